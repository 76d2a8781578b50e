"""One net for many tasks, each with few labels, against a net for each (N07).

Ng, "Structuring machine learning projects": one net may learn several tasks at once, with a sigmoid
for each over a trunk that they share; the loss sums over the labels that are there. It helps where
tasks share features, each has little data, and the net is large enough. Here eight questions are
asked about MNIST's images, six of the digit and two of its writing, and each image answers one:
200 labels a task, though the trunk learns from 1,600 images. The rivals are nets for one task each.
Units and tasks are masked by traced numbers, so that all nets are lanes of one program.

    python launch.py --experiment=multi_task
    python launch.py --experiment=multi_task --single_fit --labels=4 --units=64

Expected: eight tasks by a trunk of 256 units err 2.9 points less than by nets of 32 units each and
1.3 less than by nets of 256; by a trunk of 4 units 6.8 more than by nets of 4. Half of all labels
missing costs 1.5 points, above the bar. Two minutes of one CPU core, 100,000 images a second.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

import research as ln
from research.data import digit_attributes
from research.models.shared_trunk import SharedTrunk, labelled_loss, task_errors

COUNTS = (2, 4, 8)  # tasks
WIDTHS = (4, 16, 64, 256)  # units of the shared trunk
MOST, WIDEST = max(COUNTS), max(WIDTHS)
Errors = Mapping[str, Float[np.ndarray, " repeat"]]


@ln.pytree_config
class Config:
  """One net; `run` compares shared trunks with nets for one task each."""

  units: float = ln.traced(256.0, "hidden units", at_least=1, at_most=WIDEST)
  first: float = ln.traced(0.0, "number of the first task", at_least=0, at_most=MOST - 1)
  tasks: float = ln.traced(8.0, "tasks", at_least=1, at_most=MOST)
  labels: float = ln.traced(1.0, "labels of an image", at_least=1, at_most=MOST)
  examples: int = ln.static(1600, "training images", at_least=10)
  held_out: int = ln.static(5000, "test images", at_least=10)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 6e-3, "linear"))
  batch_size: int = ln.static(64, "examples per step", at_least=1)
  steps: int = ln.static(1500, "updates", at_least=1)
  repeats: int = ln.static(2, "sets of training images", at_least=2)


def task(config: Config, seed: int) -> ln.Task:
  """Training images drawn by the seed, and the first test images."""
  mnist = ln.sets.load("mnist")
  drawn = np.random.default_rng(seed).permutation(len(mnist.train["label"]))[: config.examples]
  few = {name: np.asarray(array)[drawn] for name, array in mnist.train.items()}
  test = {name: np.asarray(array)[: config.held_out] for name, array in mnist.test.items()}
  numbered = lambda data: {**data, "number": np.arange(len(data["image"]), dtype=np.int32)}
  train, test = map(numbered, digit_attributes.asked(few, test))
  return ln.Task(train, {"test": test})


training = ln.supervised_training(
  lambda config: SharedTrunk(config.units, WIDEST, MOST),
  task,
  loss=ln.ReadsConfig(labelled_loss),
  metrics={"error": ln.ReadsConfig(task_errors)},
)


def member(units: int, tasks: int, labels: int = 1, first: int = 0) -> str:
  """The settings of one net, which are its name, too."""
  return f"{units} units, {tasks} tasks from {first}, {labels} labels"


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Trunks of all widths for all numbers of tasks, and nets for each task alone."""
  pairs = [(units, tasks) for units in WIDTHS for tasks in COUNTS]
  trunks = [{"units": units, "tasks": tasks} for units, tasks in pairs]
  trunks += [{"units": WIDEST, "tasks": MOST, "labels": labels} for labels in (MOST // 2, MOST)]
  sizes = {(size, tasks) for units, tasks in pairs for size in (units, units // tasks) if size}
  own = {(size, number) for size, tasks in sizes for number in range(tasks)}
  nets = [{"units": size, "tasks": 1, "first": number} for size, number in sorted(own)]
  numbers = lambda each: {"first": 0.0, "labels": 1.0} | {k: float(v) for k, v in each.items()}
  members = {member(**each): ln.replace(config, numbers(each)) for each in (*trunks, *nets)}

  def errors(draw: int) -> dict[str, float]:
    made = training(config, lab.seed * config.repeats + draw)
    fits = lab.compare(f"draw {draw}", members, lambda *_: made)
    return {name: fit.last("test/error") for name, (fit,) in fits.items()}

  found = list(map(errors, range(config.repeats)))
  return report({name: np.array([each[name] for each in found]) for name in members})


def report(errors: Errors) -> ln.Report:
  """Compares trunks with nets of as many units in all, and with nets as large as the trunk."""
  claim, least = ln.claims("N07", unit="points"), min(WIDTHS)
  of = ((WIDEST, True), (WIDEST, False), (least, False))
  in_all, each, small = (gain(errors, units, MOST, is_total) for units, is_total in of)
  half, whole = (errors[member(WIDEST, MOST, labels)] for labels in (MOST // 2, MOST))
  made = lambda what, bar, values, source="above 0": claim(
    f"{MOST} tasks, {what}", source, np.mean(values), bar, repeats=values
  )
  claims = [
    made(f"{WIDEST} units in all: errors, own nets less shared trunk", ln.at_least(0.01), in_all),
    made(f"{WIDEST} units each: errors, own nets less shared trunk", ln.above(0), each),
    made(f"{least} units each: errors, shared trunk less own nets", ln.above(0), -small),
    made("half of all labels missing: errors added", ln.at_most(0.01), half - whole, "little"),
  ]
  return ln.Report(claims, [surface(errors)])


def gain(errors: Errors, units: int, tasks: int, is_total: bool) -> Float[np.ndarray, " repeat"]:
  """Mean errors of own nets, of so many units in all or each, less those of the trunk."""
  size = units // tasks if is_total else units
  if not size:
    return np.full(len(errors[member(units, tasks)]), np.nan)
  alone = [errors[member(size, 1, first=number)] for number in range(tasks)]
  return np.mean(alone, axis=0) - errors[member(units, tasks)]


def surface(errors: Errors) -> ln.Picture:
  """The gain of a shared trunk, by its units and tasks."""
  table = lambda is_total: [
    [100 * gain(errors, units, tasks, is_total).mean() for tasks in COUNTS] for units in WIDTHS
  ]
  return ln.heat_maps(
    {"nets with as many units in all": table(True), "nets as large as the trunk": table(False)},
    title="What a shared trunk gains over a net for each task (points)",
    x="tasks",
    y="units of the trunk",
    columns=tuple(map(str, COUNTS)),
    rows=tuple(map(str, WIDTHS)),
    value_range=(-5, 5),
    colours="RdBu",
    number="+.1f",
    caption="Mean errors of nets of their own, where there is a unit for each, less the trunk's.",
    file="surface",
  )


experiment = ln.Experiment(Config, run, training, takes=("lanes",))
