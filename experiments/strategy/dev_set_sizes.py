"""A dev set tells as much as it has examples, and only about what it is drawn from (N01).

Ng, "Structuring machine learning projects": 70/30 and 60/20/20 are splits for small data; of a
million examples 98/1/1 leaves dev and test sets of ten thousand, which is enough. Both must come
from one distribution, that which the system is for. Here three nets learn from 10,000 of MNIST's
training images, one of half the units, one from images turned by 30 degrees. Thousands of dev sets
of every size are drawn from the other 50,000: how wide is the interval that one gives for the
error, how often does one rank two nets rightly, and which net do dev sets of turned images choose?

    python launch.py --experiment=dev_set_sizes

Expected: intervals shrink by the root of the size; ten thousand images tell apart two nets whose
errors differ by a point, thirty hardly do; turned dev images choose a net that errs on a third of
the upright ones. Half a minute of one CPU core.
"""

from collections.abc import Mapping

import numpy as np
import scipy.stats
from jaxtyping import Bool, Float

import research as ln
from research.analysis.shares import Count, wilson
from research.data.planted_faults import turn
from research.data.stratify import shuffled_split

SIZES = (30, 100, 300, 1000, 3000, 10_000)
DRAWS = 2000  # dev sets of every size
TURN = 30.0  # degrees
BEST, SMALLER, TURNED = "100 units", "50 units", "learned from turned images"


@ln.pytree_config
class Config:
  """One net; `run` trains three."""

  hidden: int = ln.static(100, "hidden units", at_least=1)
  examples: int = ln.static(10_000, "training images", at_least=10)
  held_out: int = ln.static(50_000, "other images, to draw dev sets from", at_least=10)
  turned: float = ln.static(0.0, "degrees by which training images are turned")
  init: ln.Init = ln.nested(ln.Init("he_normal"))
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 1e-3, "linear"))
  batch_size: int = ln.static(100, "examples per step", at_least=1)
  steps: int = ln.static(1500, "updates", at_least=1)


def model(config: Config) -> ln.MLP:
  """The dense net."""
  return ln.MLP((config.hidden, 10), kernel_init=ln.kernel_init(config.init))


def turned(data: ln.HostData, degrees: float) -> ln.HostData:
  """The same with its images turned to the left."""
  return {**data, "image": turn(data["image"], degrees)}


def task(config: Config, seed: int) -> ln.Task:
  """Some training images, and all others to draw dev sets from."""
  mnist = ln.sets.load("mnist").train
  both, there = config.examples + config.held_out, len(mnist["label"])
  if both > there:
    raise ln.UserError(f"examples and held_out are {both:,} together, and there are {there:,}")
  train, others = shuffled_split(mnist, config.examples, config.held_out, seed)
  return ln.Task(turned(train, config.turned), {"others": others})


training = ln.supervised_training(model, task)
Wrong = Bool[np.ndarray, " images"]


def means(
  values: Float[np.ndarray, " images"], size: int, rng: np.random.Generator
) -> Float[np.ndarray, " draws"]:
  """The mean over each of many dev sets of that size."""
  return np.array([values[rng.integers(0, len(values), size)].mean() for _ in range(DRAWS)])


def intervals(wrong: Wrong, size: int, rng: np.random.Generator) -> tuple[float, float]:
  """The mean width of 95 % intervals (Wilson 1927) of the error, and the share that holds it."""
  errors, truth = means(wrong.astype(float), size, rng), wrong.mean()
  ends = {error: wilson(Count(round(error * size), size)) for error in np.unique(errors)}
  low, high = np.array([ends[error] for error in errors]).T
  return float(np.mean(high - low)), float(np.mean((low <= truth) & (truth <= high)))


def ranked(worse: Wrong, better: Wrong, size: int, rng: np.random.Generator) -> tuple[float, float]:
  """The share of dev sets that rank two nets rightly, ties half, and what a normal law says."""
  difference = worse.astype(float) - better
  found = means(difference, size, rng)
  by_law = scipy.stats.norm.cdf(difference.mean() / difference.std() * np.sqrt(size))
  return float(np.mean(found > 0) + np.mean(found == 0) / 2), float(by_law)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Three nets, and where each is wrong, on images upright and turned."""
  nets = {
    BEST: config,
    SMALLER: ln.replace(config, {"hidden": max(config.hidden // 2, 1)}),
    TURNED: ln.replace(config, {"turned": TURN}),
  }
  fits = ln.fit_each(lab, nets, training)

  def wrong(name: str, degrees: float) -> Wrong:
    others = turned(fits[name].training.evaluate["others"], degrees)
    return ln.predict_classes(model(nets[name]), fits[name].state, others) != others["label"]

  upright, of_turned = ({name: wrong(name, degrees) for name in nets} for degrees in (0, TURN))
  return report(upright, of_turned, np.random.default_rng(lab.seed))


def report(
  upright: Mapping[str, Wrong], of_turned: Mapping[str, Wrong], rng: np.random.Generator
) -> ln.Report:
  """Widths and rankings by size, and the cost of a dev set from elsewhere."""
  better, worse = sorted((BEST, SMALLER), key=lambda name: upright[name].mean())
  width, held = np.array([intervals(upright[better], size, rng) for size in SIZES]).T
  right, by_law = np.array([ranked(upright[worse], upright[better], n, rng) for n in SIZES]).T
  chosen = min(of_turned, key=lambda name: of_turned[name].mean())
  lost = upright[chosen].mean() - min(wrong.mean() for wrong in upright.values())
  sizes, claim = np.array(SIZES), ln.claims("N01")
  apart = 100 * (upright[worse].mean() - upright[better].mean())
  drawn = ln.function_curves(
    [
      ln.Panel(
        "width of a 95 % interval (points)", {"of the error": (sizes, 100 * width)}, log="xy"
      ),
      ln.Panel(
        "dev sets that rank two nets rightly (%)",
        {"found": (sizes, 100 * right), "normal law": (sizes, 100 * by_law)},
        log="x",
      ),
    ],
    title="What a dev set tells, by its size",
    x="images of the dev set",
    caption=(
      f"{DRAWS:,} dev sets of every size. Right: nets whose errors on all images are {apart:.2f} "
      "points apart; ties count half."
    ),
    file="sizes",
  )
  elsewhere = "test error lost by a choice on turned images"
  return ln.Report(
    [
      claim(
        "95 % intervals that hold the error, fewest of all sizes",
        "95 %",
        held.min(),
        ln.at_least(0.93),
        "%",
      ),
      claim(
        "width of the interval, 100 images over 10,000",
        "10",
        width[1] / width[-1],
        ln.within_ratio(10, 0.1),
      ),
      claim(
        "dev sets of 10,000 images that rank two nets rightly",
        "enough",
        right[-1],
        ln.at_least(0.95),
        "%",
      ),
      claim(elsewhere, "above 0", lost, ln.at_least(0.005), "points"),
    ],
    [drawn],
  )


experiment = ln.Experiment(Config, run, training)
