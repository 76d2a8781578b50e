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

Expected: over seeds 0 to 9 ASHA finds the best of the 100 trials in every one, for 28 % of their
epochs; random search is 1.3 ± 1.3 points ahead of the grid, coarse to fine 1.4 ± 1.1 points ahead
of random; the population is at least as good as the caviar in 9 seeds of 10. The panda is 2.1 ± 1.7
points ahead of the caviar, so that this claim fails: one long training gains more here than the
best of 20 short ones. By the studies' events, the learning rate along the line of the population's
best member falls in 7 seeds, by up to three quarters, and rises in 2. 11 minutes of one CPU core.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import research as ln
from research.compile import ONE_DEVICE, run_evaluation, run_steps
from research.report import ClaimMaker
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


def net(config: Config) -> ln.MLP:
  """The layers of ReLU units."""
  return ln.MLP((*config.hidden, 10), jax.nn.relu, ln.kernel_init(config.init))


training = ln.supervised_training(net, ln.shuffled_images, sampler=ln.sampling.with_replacement)


def best(swept: Swept) -> float:
  """The best accuracy of a trial that ran to its end."""
  return swept.score(swept.ranked()[0])


def share_of_budget(swept: Swept) -> float:
  """Epochs spent over those of all trials at full length."""
  spent = sum(len(trial.reports) for trial in swept.trials.values())
  return spent / (len(swept.trials) * swept.plan.intervals)


def panda(config: Config, lab: ln.Lab, seed: int) -> float:
  """The best accuracy of one net that is watched over for the whole budget.

  A stage has as many epochs as a member of the population, and there are as many stages as members.
  A stage that lowers the validation loss doubles the learning rate; another is taken back, and the
  rate falls to a quarter.
  """
  net = training(config, seed)
  steps = config.member_epochs * net.steps_per_epoch
  data, held_out = jax.device_put((dict(net.data), dict(net.evaluate["validation"])))
  init_key, order_key = jax.random.split(jax.random.fold_in(lab.key("panda"), seed))

  @jax.jit
  def stage(settings: Config, state: object, first: jax.Array) -> tuple:
    how = net.learner, net.sampler, ONE_DEVICE, steps
    state, _ = run_steps(*how, settings, state, data, order_key, first)
    means = run_evaluation(net.learner, config.held_out, ONE_DEVICE, settings, state, held_out)
    return state, {name: mean.total / mean.weight for name, mean in means.items()}

  rate, lowest, accuracies = 1e-3, np.inf, list[float]()
  state = jax.jit(net.learner.init)(on_device(config), init_key)
  for number in range(config.members):
    settings = on_device(ln.replace(config, {RATE: rate}))
    after, means = stage(settings, state, jnp.int32(number * steps))
    accuracies.append(float(means["accuracy"]))
    if float(means["loss"]) < lowest:
      state, lowest, rate = after, float(means["loss"]), min(2 * rate, 1.0)
    else:
      rate /= 4
  return max(accuracies)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """All searches, seed after seed."""
  seeds = range(lab.seed, lab.seed + config.seeds_each)
  short = ln.replace(config, {"epochs": config.member_epochs})

  def search(name: str, own: Config, ranges: dict, trials: int, **how: Any) -> list[Swept]:
    settings, space = Settings(trials, OBJECTIVE)._replace(**how), Space(own, ranges)
    return [lab.sweep(f"{name} {n}", space, training, settings, seed=n) for n in seeds]

  accuracy = lambda searches: np.array([best(swept) for swept in searches])
  whole = accuracy(search("whole", config, RANGES, config.whole))
  asha = search("asha", config, RANGES, config.whole, stopper="asha")
  few = {
    name: accuracy(search(name, config, WIDER, config.few, **how)) for name, how in SEARCHES.items()
  }
  caviar = accuracy(search("caviar", short, WIDER, config.members))
  population = accuracy(search("population", short, WIDER, config.members, stopper="pbt"))
  watched = np.array([panda(config, lab, seed) for seed in seeds])
  behind = whole - accuracy(asha)
  spent = float(np.mean([share_of_budget(each) for each in asha]))
  close, as_good = float((behind <= 0.02 + 1e-6).sum()), float((population >= caviar).sum())

  def ahead_of(claim: ClaimMaker, what: str, source: str, gain: np.ndarray) -> ln.Claim:
    gain, what = 100 * gain, f"{what}, mean points"
    return claim(what, source, float(gain.mean()), ln.above(0), repeats=gain.tolist())

  r07, r08, r10 = (ln.claims(id) for id in ("R07", "R08", "R10"))
  trials, of = f"the best of {config.whole} whole trials", f"seeds of {config.seeds_each}"
  points = 100 * float(behind.mean())
  gains = few["random"] - few["grid"], few["coarse to fine"] - few["random"]
  most = 0.7 * config.seeds_each
  return ln.Report(
    [
      r07("ASHA: share of the whole budget", "at most a third", spent, ln.at_most(0.3333), "%"),
      r07(f"ASHA: mean points behind {trials}", "within 2", points, ln.at_most(2)),
      r07(f"ASHA: {of} within 2 points", "all", close, ln.at_least(config.seeds_each)),
      ahead_of(r08, "random less grid", "random is better", gains[0]),
      ahead_of(r08, "coarse to fine less random", "better", gains[1]),
      r10(
        f"{of} in which the population is as good as the caviar",
        "7 of 10",
        as_good,
        ln.at_least(most),
      ),
      ahead_of(r10, "caviar less panda", "not given", caviar - watched),
    ],
    [
      ln.strip_panels(
        {
          "100 whole trials": {"random": whole, "ASHA": accuracy(asha)},
          f"{config.few} trials": few,
          f"{config.members * config.member_epochs} epochs": {
            "panda": watched,
            "caviar": caviar,
            "population": population,
          },
        },
        percent=True,
        title="Searches at equal budgets",
        y="best validation accuracy (%)",
        caption="A mark is a seed, the line its group's mean. Within a panel all have the same "
        "budget, except that ASHA takes a part of it.",
        file="equal_budgets",
      ),
    ],
  )


experiment = ln.Experiment(Config, run, training, takes=("lanes", "engine"))
