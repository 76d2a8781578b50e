"""Four optimisers go down a long valley: the paths on x^2/20 + y^2 (O02).

Saito 2016, section 6.1, figures 6.3 to 6.8: 30 updates from (-7, 2) by SGD with rate 0.95, momentum
with 0.1, AdaGrad with 1.5 and Adam with 0.3. They are the optimisers that all experiments use; that
Adam's epsilon is the paper's, not the book's, moves the end by less than 1e-5.

    python launch.py --experiment=paths

Expected: the end points of the book's code to 1e-5; a few seconds.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import research as ln
from research.analysis.descent import descend
from research.figures.paths import descent_paths


@ln.pytree_config
class Config:
  """The book's settings."""

  updates: int = ln.static(30, "steps of each path", at_least=1)
  x: float = ln.traced(-7.0, "where the paths begin")
  y: float = ln.traced(2.0, "where the paths begin")
  sgd: ln.Optimizer = ln.nested(ln.Optimizer("sgd", 0.95))
  momentum: ln.Optimizer = ln.nested(ln.Optimizer("momentum", 0.1))
  adagrad: ln.Optimizer = ln.nested(ln.Optimizer("adagrad", 1.5, epsilon=1e-7))
  adam: ln.Optimizer = ln.nested(ln.Optimizer("adam", 0.3))


def valley(x: Any, y: Any) -> Any:
  """Steep across, nearly flat along: the gradient hardly ever points to the minimum."""
  return x**2 / 20 + y**2


ENDS = {  # of the book's code
  "sgd": (-0.350393, 0.084782),
  "momentum": (0.896414, 0.088086),
  "adagrad": (-0.120162, 0.0),
  "adam": (0.136007, 0.318245),
}


def paths(config: Config) -> dict[str, np.ndarray]:
  """All four, in float64."""
  with jax.enable_x64(True):
    start, loss = jnp.array([config.x, config.y]), lambda point: valley(point[0], point[1])
    rules = {name: ln.make_optimizer(getattr(config, name), config.updates) for name in ENDS}
    return {
      name: np.asarray(descend(loss, start, rule, config.updates)) for name, rule in rules.items()
    }


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The end points, and the figure."""
  del lab
  found = paths(config)
  claim = ln.claims("O02")
  names = {"sgd": "SGD", "momentum": "Momentum", "adagrad": "AdaGrad", "adam": "Adam"}
  return ln.Report(
    [
      claim(
        f"{names[name]}: {axis} after {config.updates} updates",
        f"{end[column]}",
        found[name][-1, column],
        ln.within(end[column], 1e-5),
      )
      for name, end in ENDS.items()
      for column, axis in enumerate("xy")
    ],
    [
      descent_paths(
        valley,
        {
          f"{names[name]}, learning rate {getattr(config, name).learning_rate:g}": points
          for name, points in found.items()
        },
        title="Four optimisers on x²/20 + y²",
        x_range=(-10, 10),
        y_range=(-5, 5),
        levels=[0.05, 0.2, 0.5, 1, 2, 3.5, 5.5, 8, 11, 15, 20],
        minimum=(0, 0),
        caption="A filled circle is the start, an open one the end; the cross is the minimum.",
        file="paths",
      )
    ],
  )


experiment = ln.Experiment(Config, run)
