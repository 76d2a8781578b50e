"""A hundred errors with tags say which fault to work on, and how much that can bring (N04).

Ng, "Structuring machine learning projects": look at about a hundred of the dev set's errors, write
down what is the matter with each, and count; the share of a tag is the most of the error that
curing it can take away. Here the counts are put to the test. A dense net learns clean MNIST. Thirty
dev sets have six faults in shares of their own, some images several: noise, blur, a covered part, a
turn, faint ink and wrong labels. The tags of the errors predict what curing a fault brings; then it
is cured, the same dev set is made without it, and the error is measured again.

    python launch.py --experiment=error_analysis

Expected: counts over all errors name the best cure nearly always, and gains to a quarter of a
point. A hundred errors cannot tell two faults of almost equal shares: they name the best cure in
three of four dev sets, and one that brings 0.1 points less on average. Half a minute of one core.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

import research as ln
from research.analysis.error_tags import tag_table
from research.data import planted_faults
from research.data.planted_faults import TAGS, plant, spoiled

DEV = 5000  # images of a dev set
SAMPLE = 100  # errors that somebody looks at
LEAST, MOST = 0.005, 0.08  # of the images have a fault; a tenth is then wrong, as in the course


@ln.pytree_config
class Config:
  """Settings of the net, and how many dev sets it is judged on."""

  hidden: int = ln.static(100, "hidden units", at_least=1)
  init: ln.Init = ln.nested(ln.Init("he_normal"))
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 1e-3, "linear"))
  batch_size: int = ln.static(100, "examples per step", at_least=1)
  steps: int = ln.static(2000, "updates", at_least=1)
  projects: int = ln.static(30, "dev sets", at_least=2)


def model(config: Config) -> ln.MLP:
  """The dense net."""
  return ln.MLP((config.hidden, 10), kernel_init=ln.kernel_init(config.init))


training = ln.supervised_training(model)


class Found(NamedTuple):
  """The most that curing each tag brings, by counts, and what it brought; [tag] shares each.

  Attributes:
    by_sample: the bound from a hundred errors.
    by_all: the bound from all errors.
    measured: the fall of the error.
    is_held: whether the interval from a hundred errors holds the share among all.
  """

  by_sample: np.ndarray
  by_all: np.ndarray
  measured: np.ndarray
  is_held: np.ndarray


def analysed(
  made: planted_faults.DevSet,
  error_at: Callable[[Mapping[str, np.ndarray]], Bool[np.ndarray, " images"]],
) -> Found:
  """Counts the tags of errors, then cures one after the other."""
  is_wrong = error_at(spoiled(made))
  errors, error = np.flatnonzero(is_wrong), float(is_wrong.mean())
  few = np.random.default_rng(made.seed).permutation(errors)[:SAMPLE]
  counted = lambda chosen: {
    row.tag: row for row in tag_table({tag: made.tags[tag][chosen] for tag in TAGS}, error)
  }
  sample, whole = counted(few), counted(errors)
  return Found(
    np.array([sample[tag].gain for tag in TAGS]),
    np.array([whole[tag].gain for tag in TAGS]),
    np.array([error - float(error_at(spoiled(made, [tag])).mean()) for tag in TAGS]),
    np.array([sample[tag].low <= whole[tag].share <= sample[tag].high for tag in TAGS]),
  )


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """One net, and dev sets of the run's seed."""
  fit = lab.fit("train", config, training(config, lab.seed))
  test, net = fit.training.evaluate["test"], model(config)
  error_at = lambda data: ln.predict_classes(net, fit.state, data) != data["label"]
  seeds = range(lab.seed * config.projects, (lab.seed + 1) * config.projects)
  return report([analysed(plant(test, DEV, LEAST, MOST, seed), error_at) for seed in seeds])


def report(found: Sequence[Found]) -> ln.Report:
  """Compares what was counted with what curing brought, over all dev sets."""
  by_sample, by_all, measured, is_held = (np.stack(each) for each in zip(*found, strict=True))
  best = measured.argmax(axis=1)
  named = {
    f"{SAMPLE} errors": np.mean(by_sample.argmax(axis=1) == best),
    "all errors": np.mean(by_all.argmax(axis=1) == best),
  }
  chosen = np.take_along_axis(measured, by_sample.argmax(axis=1)[:, None], axis=1)
  lost = float(np.mean(measured.max(axis=1) - chosen[:, 0]))
  claim, often = ln.claims("N04"), ln.at_least(0.9)
  what = f"largest tag of {SAMPLE} errors: gain less the best cure's, mean"
  most = 100 * max(by_sample.max(), measured.max())
  bars = {f"counted, {SAMPLE} errors": by_sample, "counted, all": by_all, "measured": measured}
  return ln.Report(
    [
      *(
        claim(f"dev sets whose best cure is the largest tag of {name}", "all", share, often, "%")
        for name, share in named.items()
      ),
      claim(what, "0", -lost, ln.at_least(-0.005), "points"),
      claim(
        "predicted less measured gain, median of the distances",
        "within 1 point",
        float(np.median(np.abs(by_all - measured))),
        ln.at_most(0.005),
        "points",
      ),
      claim(
        f"95 % intervals from {SAMPLE} errors that hold the share of all",
        "95 %",
        is_held.mean(),
        often,
        "%",
      ),
    ],
    [
      ln.grouped_bars(
        {name: 100 * values[0] for name, values in bars.items()},
        TAGS,
        title="What each cure can bring, and brought",
        x="fault",
        y="error taken away (points)",
        caption="The first dev set. Counts give the most that a cure can take from the error.",
        file="first_dev_set",
      ),
      ln.function_curves(
        [
          ln.Panel(
            "measured (points)",
            {"equal": (np.array([0, most]), np.array([0, most]))},
            points={"a fault of a dev set": (100 * counted.ravel(), 100 * measured.ravel())},
            title=f"from {name}",
          )
          for name, counted in (("all errors", by_all), (f"{SAMPLE} errors", by_sample))
        ],
        title="Counted and measured gains",
        x="counted (points)",
        share_y=True,
        caption=f"Six faults of {len(found)} dev sets, each cured alone.",
        file="gains",
      ),
    ],
  )


experiment = ln.Experiment(Config, run, training)
