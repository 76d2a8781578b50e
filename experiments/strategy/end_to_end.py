"""One net for the whole task, or a pipeline of steps: the number of examples decides (N08).

Ng, "Structuring machine learning projects": with few examples a pipeline of steps is better, with
many a net that learns the whole task from end to end, since nobody's idea of the steps holds it up.
Here two of MNIST's digits overlap in a strip, and their sum is asked for. The pipeline cuts a strip
where there is least ink, reads each piece by a net that was told the piece's digit, and adds: each
strip gives it two labels, and of adding it knows all. The other net sees whole strips and is told
sums alone. Both have the same trunk and see each strip as often.

    python launch.py --experiment=end_to_end
    python launch.py --experiment=end_to_end --single_fit --examples=3000

Expected: after 100 strips the pipeline gets 68 % of the sums wrong and the other net 91 %, after
30,000 strips 12.6 and 9.4 % (seed 0). Over three seeds the curves cross at 12,200 strips (95 %
interval 10,800 to 13,600). Five and a half minutes of one CPU core, at 11,000 strips a second.
"""

import numpy as np
from jaxtyping import Float

import research as ln
from research.analysis.crossings import crossing
from research.data import digit_pairs
from research.models.digit_reader import PieceReader
from research.report import half_interval

SIZES = (100, 300, 1000, 3000, 10_000)  # strips, beside the most that the config says
PIPELINE, END_TO_END = "pipeline", "end to end"
CLASSES = {PIPELINE: 10, END_TO_END: 19}  # digits, and sums of two
Errors = Float[np.ndarray, "repeat size"]


@ln.pytree_config
class Config:
  """One net; `run` compares both kinds on sets of several sizes."""

  reads: str = ln.static(END_TO_END, "set by the comparison: its task", choices=tuple(CLASSES))
  depth: int = ln.static(3, "convolutions", at_least=1, at_most=5)
  hidden: int = ln.static(128, "hidden units", at_least=1)
  examples: int = ln.static(30_000, "training strips, of the largest set", at_least=10)
  held_out: int = ln.static(5000, "test strips", at_least=10)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 4e-3, "cosine", warmup=0.05))
  batch_size: int = ln.static(32, "strips per step", at_least=1)
  steps: int = ln.static(4000, "updates, with the largest set", at_least=1)
  repeats: int = ln.static(3, "sets of every size", at_least=2)


def model(config: Config) -> PieceReader:
  """The net, of digits or of sums."""
  return PieceReader(config.depth, config.hidden, CLASSES[config.reads])


def seen(config: Config, strips: ln.HostData) -> ln.HostData:
  """Strips and their sums, or their pieces, two for a strip, and digits."""
  if config.reads == END_TO_END:
    return {"image": strips["image"], "label": strips["label"]}
  pieces = digit_pairs.pieces(strips["image"])
  return {"image": pieces.reshape(-1, *pieces.shape[2:]), "label": strips["digits"].reshape(-1)}


def task(config: Config, seed: int) -> ln.Task:
  """Strips of the seed to learn from; those to be judged by are the same for all seeds."""
  train = digit_pairs.load("train", config.examples, seed)
  test = digit_pairs.load("test", config.held_out, 0)
  return ln.Task(seen(config, train), {"test": seen(config, test)})


training = ln.supervised_training(model, task)


def strip_error(config: Config, fit: ln.Fit) -> float:
  """The share of the test strips whose sum is wrong."""
  data = fit.training.evaluate["test"]
  added = lambda labels: labels.reshape(config.held_out, -1).sum(axis=1)
  answers = ln.predict_classes(model(config), fit.state, data)
  return float(np.mean(added(answers) != added(data["label"])))


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Both kinds on sets of every size; smaller ones are learned from for a shorter time."""
  sizes = [*(size for size in SIZES if size < config.examples), config.examples]
  pieces = {"reads": PIPELINE, "batch_size": 2 * config.batch_size}  # of as many strips

  def error(kind: str, size: int, draw: int) -> float:
    steps = max(round(config.steps * (size / config.examples) ** 0.5), 1)
    few = {"examples": size, "steps": steps, "reads": END_TO_END}
    own = ln.replace(config, few | (pieces if kind == PIPELINE else {}))
    made = training(own, lab.seed * config.repeats + draw)
    return strip_error(own, lab.fit(f"{kind} {size} {draw}", own, made))

  draws = range(config.repeats)
  errors = {k: np.array([[error(k, n, d) for n in sizes] for d in draws]) for k in CLASSES}
  return report(sizes, errors[PIPELINE], errors[END_TO_END])


def report(sizes: list[int], pipeline: Errors, whole: Errors) -> ln.Report:
  """Compares the errors at both ends, and finds where the curves cross."""
  claim, ahead = ln.claims("N08", unit="points"), whole - pipeline
  found = [crossing(sizes, *both) for both in zip(pipeline, whole, strict=True)]
  first, last, inside = ahead[:, 0], -ahead[:, -1], ln.at_most(max(sizes))
  fewest = f"{min(sizes):,} strips: errors, end to end less pipeline"
  most = f"{max(sizes):,} strips: errors, pipeline less end to end"
  place = "training strips at which the curves cross"
  claims = [
    claim(fewest, "above 0", first.mean(), ln.above(0), repeats=first),
    claim(most, "above 0", last.mean(), ln.above(0), repeats=last),
    claim(place, "somewhere", np.mean(found), inside, "", repeats=found),
  ]
  return ln.Report(claims, [curves(sizes, pipeline, whole, np.log(found))])


def curves(
  sizes: list[int], pipeline: Errors, whole: Errors, found: Float[np.ndarray, " repeat"]
) -> ln.Picture:
  """Errors by the number of strips, and the mean of the logarithms of the crossings."""
  kinds = {PIPELINE: 100 * pipeline, END_TO_END: 100 * whole}
  means = {kind: errors.mean(axis=0) for kind, errors in kinds.items()}
  drawn = {kind: (np.array(sizes, float), mean) for kind, mean in means.items()}
  halves = {
    kind: np.array(list(map(half_interval, each.T.tolist()))) for kind, each in kinds.items()
  }
  bands = {k: (np.maximum(mean - halves[k], 0.1), mean + halves[k]) for k, mean in means.items()}
  said = "The curves of some repetition do not cross."
  if np.isfinite(found).all():
    middle, half = found.mean(), half_interval(found.tolist())
    low, place, high = np.exp([middle - half, middle, middle + half])
    said = f"They cross at {place:,.0f} strips (95 % interval {low:,.0f} to {high:,.0f})."
    height = float(np.exp(np.interp(middle, np.log(sizes), np.log(means[PIPELINE]))))
    drawn["crossing"] = (np.array([low, place, high]), np.full(3, height))
  return ln.function_curves(
    [ln.Panel("strips whose sum is wrong (%)", drawn, log="xy", bands=bands)],
    title="A pipeline and one net for the whole task",
    x="training strips",
    panel_inches=(6.0, 4.2),
    caption=f"Means of {len(found)} sets of every size, with 95 % intervals. {said}",
    file="sizes",
  )


experiment = ln.Experiment(Config, run, training)
