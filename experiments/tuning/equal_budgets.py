"""Searches of one net at equal budgets: halving, grid, coarse to fine, panda, caviar (R08, R10).

All search the learning rate and the weight decay of R07's net: six layers of 100 ReLU units, 400
images of MNIST to learn from and 100 to be judged by, SGD. Each comparison is made over several
seeds, with initial weights and batches of their own. In R07's own range the best learning rate is
the largest, where a grid has a point by luck; all but ASHA search a range that goes on beyond it.

ASHA (Li et al. 2020) stops what falls behind: beside the 100 whole trials of R07.
R08 (Bergstra and Bengio 2012; Ng, course 2 week 3): 25 trials as a grid of 5 by 5, at random, on
Halton's sequence, and at random in two rounds, from coarse to fine.
R10: the panda has one child and watches over it, the caviar has many (Ng, course 2 week 3). 400
epochs are spent on one net whose learning rate a rule nudges, on 20 nets at random, and on a
population of 20 in which the worst copy the best (Jaderberg et al. 2017).

    python launch.py --experiment=equal_budgets

Expected, measured when all seeds shared one split of the images: over seeds 0 to 9 ASHA finds the
best of the 100 trials in every one, for 28 % of their epochs; random search is 3.0 points ahead of
the grid, coarse to fine 0.6 points ahead of random; the population is at least as good as the
caviar in 9 seeds of 10, and the caviar 1.7 points ahead of the panda. By the studies' events, the
learning rate along the line of the population's best member falls in 7 seeds, by up to two fifths,
and rises in 2. 8 to 20 minutes on two CPU cores, for all ten seeds.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import research as ln
from research.compile import ONE_DEVICE, run_evaluation, run_steps
from research.data.stratify import shuffled_split
from research.sweep.plan import Settings, Swept
from research.sweep.space import Distribution, Range, Space
from research.training import on_device

OBJECTIVE = "validation/accuracy"
RATE, DECAY = "optimizer.learning_rate", "optimizer.weight_decay"
RANGES: dict[str, Distribution] = {RATE: Range("log", 1e-6, 1e-2), DECAY: Range("log", 1e-8, 1e-4)}
WIDER: dict[str, Distribution] = {RATE: Range("log", 1e-5, 1.0), DECAY: Range("log", 1e-8, 1e-4)}
SEARCHES: dict[str, dict[str, Any]] = {
  "grid": {"sampler": "grid"},
  "random": {"sampler": "random"},
  "halton": {"sampler": "halton"},
  "coarse to fine": {"sampler": "random", "rounds": 2},
}


@ln.pytree_config
class Config:
  """The net of R07, and the budgets."""

  seeds_each: int = ln.static(10, "seeds of each comparison", at_least=2)
  whole: int = ln.static(100, "trials that ASHA is compared with", at_least=9)
  few: int = ln.static(25, "trials of the searches beside the grid", at_least=4)
  members: int = ln.static(20, "of the population", at_least=5)
  member_epochs: int = ln.static(20, "epochs of each of its members", at_least=2)
  epochs: int = ln.static(50, "passes over the training images", at_least=2)
  examples: int = ln.static(400, "training images, the first of MNIST", at_least=1, at_most=60_000)
  held_out: int = ln.static(100, "images after those, for validation", at_least=1, at_most=60_000)
  hidden: tuple[int, ...] = ln.static((100,) * 6, "units of the hidden layers", at_least=1)
  init: ln.Init = ln.nested(ln.Init("he_normal"))
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer(name="sgd", learning_rate=0.01))
  batch_size: int = ln.static(100, "examples per step", at_least=1)


def steps_per_epoch(config: Config) -> int:
  """Batches that hold as many images as there are."""
  return max(config.examples // config.batch_size, 1)


learner = ln.supervised(
  lambda config: ln.MLP((*config.hidden, 10), jax.nn.relu, ln.kernel_init(config.init)),
  ln.softmax_cross_entropy,
  lambda config: ln.sets.spec("mnist").image_shape,
  lambda config: ln.make_optimizer(config.optimizer, config.epochs * steps_per_epoch(config)),
)


def training(config: Config, seed: int) -> ln.Training:
  """Returns the training of one trial."""
  few, held_out = shuffled_split(
    ln.sets.load("mnist").train, config.examples, config.held_out, seed
  )  # the book shuffles, then splits
  return ln.Training(
    learner,
    few,
    ln.sampling.with_replacement(config.batch_size),
    steps=config.epochs * steps_per_epoch(config),
    evaluate={"validation": held_out},
    evaluate_every=steps_per_epoch(config),
    log_every=steps_per_epoch(config),
    best=OBJECTIVE,
  )


def best(swept: Swept) -> float:
  """The best accuracy of a trial that ran to its end."""
  return swept.score(swept.ranked()[0])


def share_of_budget(swept: Swept) -> float:
  """Epochs spent over those of all trials at full length."""
  spent = sum(len(trial.reports) for trial in swept.trials.values())
  return spent / (len(swept.trials) * swept.plan.intervals)


class Panda(NamedTuple):
  """One net that was watched over: its best accuracy, and the learning rate of each stage."""

  accuracy: float
  rates: list[float]


def panda(config: Config, lab: ln.Lab, seed: int) -> Panda:
  """One net for the whole budget: a stage that lowers the loss doubles the rate, another undoes it.

  A stage has as many epochs as a member of the population, and there are as many stages as members.
  A stage that ends with a higher validation loss is taken back, and the rate falls to a quarter.
  """
  task = training(config, seed)
  steps = config.member_epochs * steps_per_epoch(config)
  data, held_out = jax.device_put((dict(task.data), dict(task.evaluate["validation"])))
  init_key, order_key = jax.random.split(jax.random.fold_in(lab.key("panda"), seed))

  @jax.jit
  def stage(settings: Config, state: object, first: jax.Array) -> tuple:
    state, _ = run_steps(
      learner, task.sampler, ONE_DEVICE, steps, settings, state, data, order_key, first
    )
    means = run_evaluation(learner, config.held_out, ONE_DEVICE, settings, state, held_out)
    return state, {name: mean.total / mean.weight for name, mean in means.items()}

  rate, rates, accuracies = 1e-3, list[float](), list[float]()
  state = jax.jit(learner.init)(on_device(config), init_key)
  lowest = np.inf
  for number in range(config.members):
    settings = on_device(ln.replace(config, {RATE: rate}))
    after, means = stage(settings, state, jnp.int32(number * steps))
    rates.append(rate)
    accuracies.append(float(means["accuracy"]))
    if float(means["loss"]) < lowest:
      state, lowest, rate = after, float(means["loss"]), min(2 * rate, 1.0)
    else:
      rate /= 4
  return Panda(max(accuracies), rates)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """All searches, seed after seed."""
  seeds = range(lab.seed, lab.seed + config.seeds_each)
  short = ln.replace(config, {"epochs": config.member_epochs})

  def search(name: str, own: Config, ranges: dict, trials: int, **how: Any) -> list[Swept]:
    settings = Settings(trials, OBJECTIVE)._replace(**how)
    space = Space(own, ranges)
    return [lab.sweep(f"{name} {n}", space, training, settings, seed=n) for n in seeds]

  whole = search("whole", config, RANGES, config.whole)
  asha = search("asha", config, RANGES, config.whole, stopper="asha")
  few = {name: search(name, config, WIDER, config.few, **how) for name, how in SEARCHES.items()}
  caviar = search("caviar", short, WIDER, config.members)
  population = search("population", short, WIDER, config.members, stopper="pbt")
  watched = [panda(config, lab, seed) for seed in seeds]

  scores = {
    "100 whole trials": {"random": list(map(best, whole)), "ASHA": list(map(best, asha))},
    f"{config.few} trials": {name: list(map(best, each)) for name, each in few.items()},
    f"{config.members * config.member_epochs} epochs": {
      "panda": [one.accuracy for one in watched],
      "caviar": list(map(best, caviar)),
      "population": list(map(best, population)),
    },
  }
  budgets = list(scores)
  behind = np.array(scores[budgets[0]]["random"]) - np.array(scores[budgets[0]]["ASHA"])
  ahead = np.array(scores[budgets[2]]["population"]) >= np.array(scores[budgets[2]]["caviar"])
  row = lambda id, what, source, ours, bar, unit="": ln.Claim(id, what, source, ours, bar, unit)

  def ahead_of(id: str, budget: str, name: str, other: str, source: str) -> ln.Claim:
    gain = 100 * (np.array(scores[budget][name]) - np.array(scores[budget][other]))
    what = f"{name} less {other}, mean points"
    return ln.Claim(id, what, source, float(gain.mean()), ln.above(0), repeats=gain.tolist())

  return ln.Report(
    [
      row(
        "R07",
        "ASHA: share of the whole budget",
        "at most a third",
        float(np.mean([share_of_budget(each) for each in asha])),
        ln.at_most(0.3333),
        "%",
      ),
      row(
        "R07",
        f"ASHA: mean points behind the best of {config.whole} whole trials",
        "within 2",
        100 * float(behind.mean()),
        ln.at_most(2),
      ),
      row(
        "R07",
        f"ASHA: seeds of {config.seeds_each} within 2 points",
        "all",
        float((behind <= 0.02 + 1e-6).sum()),
        ln.at_least(config.seeds_each),
      ),
      ahead_of("R08", budgets[1], "random", "grid", "random is better"),
      ahead_of("R08", budgets[1], "coarse to fine", "random", "better"),
      row(
        "R10",
        f"seeds of {config.seeds_each} in which the population is as good as the caviar",
        "7 of 10",
        float(ahead.sum()),
        ln.at_least(0.7 * config.seeds_each),
      ),
      ahead_of("R10", budgets[2], "caviar", "panda", "not given"),
    ],
    [
      ln.Picture(
        "equal_budgets",
        strips(scores),
        "A mark is a seed, the line its group's mean. Within a panel all have the same budget, "
        "except that ASHA takes a part of it.",
      ),
    ],
  )


def strips(scores: Mapping[str, Mapping[str, list[float]]]) -> Figure:
  """The best accuracy of every seed by search, a panel for each budget."""
  every = [value for groups in scores.values() for values in groups.values() for value in values]
  figure, grid = ln.new_figure("Searches at equal budgets", 1, len(scores), panel_inches=(3.8, 3.4))
  for axes, (budget, groups) in zip(grid[0], scores.items(), strict=True):
    for place, (name, values) in enumerate(groups.items()):
      spread = np.linspace(-0.18, 0.18, len(values))
      look = ln.stroke(place)
      axes.plot(place + spread, values, look.marker, color=look.colour, label=name)
      axes.plot([place - 0.3, place + 0.3], [np.mean(values)] * 2, color=ln.INK, linewidth=1.6)
    axes.set_xticks(range(len(groups)), list(groups), rotation=12)
    ln.label_axes(axes, "", "best validation accuracy" if axes is grid[0, 0] else "", budget)
    axes.set_ylim(min(every) - 0.02, max(every) + 0.02)
  return figure


experiment = ln.Experiment(Config, run, training, takes=("lanes", "engine"))
