"""Downpour SGD: replicas learn at their own pace through a parameter server (Y03).

Dean et al. 2012, section 4.1: replicas of a net, each with a portion of the data, fetch parameters
from servers, and push gradients, which these apply at once. Nobody waits for another, and one that
dies is not missed. A simulated cluster's events (`research/parameter_server.py`) are replayed
exactly (`research/downpour.py`), at Saito's settings for the 784-50-10 sigmoid net (94.65 % in the
book). Its rivals see as many examples: SGD alone, and synchronous replicas, which are SGD with the
batch and the rate of all of them. `staleness` has rates that one replica bears and many do not.

    python launch.py --experiment=downpour_sgd
    python launch.py --experiment=downpour_sgd --single_fit --cluster.replicas=8 --cluster.n_push=4

Expected: 4 and 8 replicas learn as SGD does, gradient by gradient, in a third and an eighth of the
time. A minute and a half of one CPU core, at 200,000 images a second.
"""

import math
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import numpy as np

import research as ln
from research.downpour import downpour_training
from research.parameter_server import COMPUTING, Cluster, events, rounds

SGD, ONE, FOUR, EIGHT = "SGD", "1 replica", "4 replicas", "8 replicas"
SYNCHRONOUS, DEAD = "8 synchronous replicas", "8 replicas, one dies half-way"
TARGET = 0.94  # test accuracy


@ln.pytree_config
class Config:
  """One net and its cluster; `run` compares several."""

  hidden: int = ln.static(50, "units of the hidden layer", at_least=1)
  init: ln.Init = ln.nested(ln.Init("normal", 0.01))
  asynchronous: bool = ln.static(True, "replicas and servers; else one net alone")
  cluster: Cluster = ln.nested(Cluster())
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("sgd", 0.1))
  batch_size: int = ln.static(100, "examples in a gradient", at_least=1)
  steps: int = ln.static(10_000, "gradients, of all replicas together", at_least=1)


def model(config: Config) -> ln.MLP:
  """The dense net."""
  return ln.MLP((config.hidden, 10), nn.sigmoid, ln.kernel_init(config.init))


together = ln.supervised_training(model, evaluations=40)
apart = downpour_training(model, evaluations=40)


def training(config: Config, seed: int) -> ln.Training:
  """By a cluster, or by one process."""
  return (apart if config.asynchronous else together)(config, seed)


def clusters(config: Config) -> dict[str, Config]:
  """The settings of the nets, which see equally many examples."""
  alone, eight = {"asynchronous": False}, {"cluster.replicas": 8}
  larger = {
    "batch_size": 8 * config.batch_size,
    "optimizer.learning_rate": 8 * config.optimizer.learning_rate,
    "steps": -(-config.steps // 8),
  }
  changes: dict[str, dict[str, Any]] = {
    SGD: alone,
    SYNCHRONOUS: alone | eight | larger,
    ONE: {"cluster.replicas": 1},
    FOUR: {"cluster.replicas": 4},
    EIGHT: eight,
    DEAD: eight | {"cluster.dies_at": max(1, config.steps // 2)},
  }
  return {name: ln.replace(config, change) for name, change in changes.items()}


def done_at(name: str, config: Config, seed: int) -> np.ndarray:
  """The time at which each step was done; a gradient takes 1 on average."""
  if name == SGD:
    return np.arange(1, config.steps + 1)
  of = config.cluster, config.steps, seed
  return (rounds(*of) if name == SYNCHRONOUS else events(*of).ticks) / COMPUTING


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The clusters side by side, and how much they had to say."""
  members = clusters(config)
  nets = {name: fits[0] for name, fits in lab.compare("clusters", members, training).items()}
  times = {name: done_at(name, own, lab.seed) for name, own in members.items()}
  said = [
    events(ln.replace(members[EIGHT].cluster, {"n_fetch": n, "n_push": n}), config.steps, lab.seed)
    for n in (1, 4)
  ]
  return report(nets, times, said[0].mean_staleness, said[1].messages / said[0].messages)


def report(
  nets: Mapping[str, ln.Fit], times: Mapping[str, np.ndarray], staleness: float, messages: float
) -> ln.Report:
  """Compares accuracies at equal gradients, and gradients and times at an equal accuracy."""
  reached, curves = {}, {}
  for name, fit in nets.items():
    steps, accuracies = (column[1:] for column in ln.series(fit, "test/accuracy"))
    curves[name] = times[name][steps.astype(int) - 1], 100 * accuracies
    is_enough, whens = accuracies >= TARGET, (steps, curves[name][0])
    reached[name] = [when[is_enough][0] if is_enough.any() else math.nan for when in whens]
  lost = lambda name, to: nets[to].last("test/accuracy") - nets[name].last("test/accuracy")
  needed, taken = np.divide(reached[FOUR], reached[SGD])
  same = ln.largest_difference(nets[ONE].state.params, nets[SGD].state.params)
  claim, none, close = ln.claims("Y03"), "none", ln.at_most(0.003)
  losses = dict.fromkeys([(FOUR, SGD), (EIGHT, SGD), (EIGHT, SYNCHRONOUS)], close)
  losses[DEAD, EIGHT] = ln.at_most(0.005)
  until = f"until {100 * TARGET:g} %, 4 replicas over SGD: "
  drawn = ln.function_curves(
    [ln.Panel("test accuracy (%)", curves, log="x", y_range=(80, 100))],
    title="As many examples in less time",
    x="simulated time (in gradients of one replica)",
    panel_inches=(6.4, 3.9),
    caption="Test accuracy over simulated time. All curves end after the same number of examples.",
    file="time",
  )
  return ln.Report(
    [
      claim("1 replica and SGD: largest difference of a parameter", "0", same, ln.equals(0)),
      *(
        claim(f"{name}: test accuracy lost to {to}", none, lost(name, to), bar, "points")
        for (name, to), bar in losses.items()
      ),
      claim(until + "gradients", none, needed, ln.at_most(1.2)),
      claim(until + "simulated time", none, taken, ln.at_most(0.5)),
      claim("8 replicas: mean staleness", "about 7", staleness, ln.within_ratio(7, 0.1)),
      claim("n_fetch = n_push = 4: share of the messages", "fewer", messages, ln.at_most(0.3)),
    ],
    [drawn],
  )


experiment = ln.Experiment(Config, run, training, takes=("lanes",))
