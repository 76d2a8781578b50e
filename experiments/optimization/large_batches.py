"""Larger batches for more workers, at the same rate or at one that grows with them (Y02).

Workers that share each batch (`data_parallel`) mostly get larger batches, and so make fewer updates
in an epoch. Goyal et al. 2017 multiply the rate by the number of workers and raise it to that over
the first updates; so ImageNet was learnt as well from 8,192 images a step as from 256. Here
784-100-100-10 nets learn MNIST for equal epochs by plain SGD, 64 examples a worker. The rate rises
over the first tenth of the updates and then falls linearly to zero, in all of them.

    python launch.py --experiment=large_batches
    python launch.py --experiment=large_batches --single_fit --batch_size=1024

Expected: eight workers cost nothing where the rate is eight times as large, and some five points
where it is not; with 16 half a point is lost. Two minutes of one CPU core.
"""

from collections.abc import Mapping, Sequence

import numpy as np

import research as ln

WORKERS = (1, 2, 4, 8, 16)
SHARE = 64  # examples of a worker in a step
SAME, SCALED = "same rate", "rate times workers"


@ln.pytree_config
class Config:
  """One net; `run` compares numbers of workers."""

  hidden: tuple[int, ...] = ln.static((100, 100), "units of the hidden layers", at_least=1)
  init: ln.Init = ln.nested(ln.Init("he_normal"))
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("sgd", 0.05, "linear", warmup=0.1))
  batch_size: int = ln.static(SHARE, "examples per step, of all workers together", at_least=1)
  epochs: int = ln.static(5, "passes over the training images", at_least=1)
  repeats: int = ln.static(3, "seeds of every number of workers", at_least=2)


def model(config: Config) -> ln.MLP:
  """The dense net."""
  return ln.MLP((*config.hidden, 10), kernel_init=ln.kernel_init(config.init))


training = ln.supervised_training(model)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Nets that see larger batches for equal epochs, at both rates."""
  rate = config.optimizer.learning_rate
  members = {
    f"{kind}, {count}": ln.replace(
      config, {"batch_size": count * SHARE, "optimizer.learning_rate": rate * factor}
    )
    for count in WORKERS
    for kind, factor in {SAME: 1, SCALED: count}.items()
    if count > 1 or kind == SAME
  }
  return report(lab.compare("workers", members, training, repeats=config.repeats))


def report(fits: Mapping[str, Sequence[ln.Fit]]) -> ln.Report:
  """Compares test accuracies."""
  accuracy = {
    name: np.array([fit.last("test/accuracy") for fit in found]) for name, found in fits.items()
  }
  accuracy[f"{SCALED}, 1"] = accuracy[f"{SAME}, 1"]
  lost = accuracy[f"{SAME}, 1"] - accuracy[f"{SCALED}, 8"]
  gain = accuracy[f"{SCALED}, 8"] - accuracy[f"{SAME}, 8"]
  none, scaled = "0 (Goyal et al. 2017, on ImageNet)", "8 workers: rate times 8 less the same rate"
  claim = ln.claims("Y02", unit="points")
  drawn = ln.spread_curves(
    {
      kind: (np.array(WORKERS), [100 * accuracy[f"{kind}, {count}"] for count in WORKERS])
      for kind in (SAME, SCALED)
    },
    title="More workers, larger batches",
    x=f"workers of {SHARE} examples each",
    y="test accuracy (%)",
    caption="After equal epochs. Means over the seeds, bars one standard deviation.",
    file="accuracy",
  )
  return ln.Report(
    [
      claim("8 workers, rate times 8: test accuracy lost", none, lost.mean(), ln.at_most(0.003)),
      claim(scaled, "above 0", gain.mean(), ln.above(0), repeats=gain),
    ],
    [drawn],
  )


experiment = ln.Experiment(Config, run, training, takes=("lanes",))
