"""Staleness: rates that one replica bears and many do not, by SGD and by Adagrad (Y03).

Where replicas learn through a parameter server (`downpour_sgd`), a gradient is of parameters that
the others have moved meanwhile: with n replicas by n - 1 updates. Dean et al. 2012, section 4.1,
found that Adagrad on the servers, with gamma / sqrt(sum of squared gradients) for a rate, makes
this far more robust, and began with one replica alone, a warm start. Here 784-50-10 ReLU nets learn
MNIST by either rule, each at a rate that suits one replica.

    python launch.py --experiment=staleness
    python launch.py --experiment=staleness --single_fit --cluster.warm_start=500

Expected: one replica learns as well by either rule; eight learn next to nothing by SGD, and lose
two or three points by Adagrad, most of which a warm start saves. A minute and a half of one CPU
core, at 200,000 images a second.
"""

from collections.abc import Mapping, Sequence

import numpy as np

import research as ln
from research.downpour import downpour_training
from research.parameter_server import Cluster, events

CROWDS = (1, 4, 8, 16)
RATES = {"sgd": 0.3, "adagrad": 0.03}
WARM = "adagrad after a warm start, 8"


@ln.pytree_config
class Config:
  """One net and its cluster; `run` compares several."""

  hidden: int = ln.static(50, "units of the hidden layer", at_least=1)
  init: ln.Init = ln.nested(ln.Init("normal", 0.01))
  cluster: Cluster = ln.nested(Cluster(8))
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adagrad", 0.03))
  batch_size: int = ln.static(100, "examples in a gradient", at_least=1)
  steps: int = ln.static(1_500, "gradients, of all replicas together", at_least=1)
  repeats: int = ln.static(3, "seeds of every comparison", at_least=2)


def model(config: Config) -> ln.MLP:
  """The dense net."""
  return ln.MLP((config.hidden, 10), kernel_init=ln.kernel_init(config.init))


training = downpour_training(model)


def crowds(config: Config) -> dict[str, Config]:
  """The settings by the servers' rule and the number of replicas."""
  keys = "optimizer.name", "optimizer.learning_rate", "cluster.replicas", "cluster.warm_start"
  wanted = {f"{rule}, {n}": (rule, rate, n, 0) for rule, rate in RATES.items() for n in CROWDS}
  wanted[WARM] = ("adagrad", RATES["adagrad"], 8, max(1, config.steps // 3))
  return {
    name: ln.replace(config, dict(zip(keys, values, strict=True)))
    for name, values in wanted.items()
  }


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Both rules in growing crowds."""
  members = crowds(config)
  clusters = (members[f"sgd, {n}"].cluster for n in CROWDS)
  staleness = [events(own, config.steps, lab.seed).mean_staleness for own in clusters]
  return report(lab.compare("crowds", members, training, repeats=config.repeats), staleness)


def report(nets: Mapping[str, Sequence[ln.Fit]], staleness: Sequence[float]) -> ln.Report:
  """Compares test accuracies after equally many gradients."""
  accuracy = {
    name: np.array([fit.last("test/accuracy") for fit in fits]) for name, fits in nets.items()
  }
  alone = abs(np.mean(accuracy["sgd, 1"] - accuracy["adagrad, 1"]))
  survives = accuracy["adagrad, 8"] - accuracy["sgd, 8"]
  warm = accuracy[WARM] - accuracy["adagrad, 8"]
  claim, better = ln.claims("Y03", unit="points"), ln.above(0)
  drawn = ln.spread_curves(
    {
      f"{rule}, rate {rate}": (
        np.array(staleness),
        [100 * accuracy[f"{rule}, {count}"] for count in CROWDS],
      )
      for rule, rate in RATES.items()
    },
    title="The price of staleness",
    x="mean staleness (updates) of 1, 4, 8 and 16 replicas",
    y="test accuracy (%)",
    caption="After equally many gradients. Means over the seeds, bars one standard deviation.",
    file="staleness",
  )
  return ln.Report(
    [
      claim("1 replica: SGD from Adagrad, test accuracy", "none", alone, ln.at_most(0.01)),
      claim(
        "8 replicas: Adagrad less SGD, test accuracy",
        "Adagrad survives",
        survives.mean(),
        better,
        repeats=survives,
      ),
      claim(
        "8 replicas, Adagrad: warm start less none, test accuracy",
        "better",
        warm.mean(),
        better,
        repeats=warm,
      ),
    ],
    [drawn],
  )


experiment = ln.Experiment(Config, run, training, takes=("lanes",))
