"""Normalised inputs: scales, outliers, and descent on a stretched valley (I08).

Ng, course 2 week 1; beside it, min-max scaling (x - min) / (max - min) and z-scores (x - mean) /
std. Linear regression on features whose scales differ a hundredfold is a stretched quadratic:
gradient descent needs steps in proportion to its condition number. One outlier squeezes all other
values of a min-max scale, and of a z-score less. The statistics are those of the training set, on
the test set too.

    python launch.py --experiment=input_normalisation

Expected: thousands of times fewer steps; a few seconds on two CPU cores.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import research as ln

Rows = Float[Array, "examples features"]


@ln.pytree_config
class Config:
  """The generated data, and when descent is done."""

  examples: int = ln.static(500, "training examples, and as many for the test", at_least=10)
  scales: tuple[int, ...] = ln.static((1, 10, 100), "deviations of the features", at_least=1)
  outlier: float = ln.traced(100.0, "the outlier, in standard deviations", above=1)
  tolerance: float = ln.traced(1e-6, "share of the first excess loss that ends descent", above=0)


MOST_STEPS = 2_000_000


class Scaler(NamedTuple):
  """The number subtracted from a feature, and the one it is divided by; from the training set."""

  shift: Float[Array, " features"]
  scale: Float[Array, " features"]

  def __call__(self, x: Rows) -> Rows:
    """The same map for any rows."""
    return (x - self.shift[None]) / self.scale[None]


def z_score(train: Rows) -> Scaler:
  """Mean 0 and deviation 1."""
  return Scaler(train.mean(axis=0), train.std(axis=0))


def min_max(train: Rows) -> Scaler:
  """From 0 to 1."""
  low = train.min(axis=0)
  return Scaler(low, train.max(axis=0) - low)


SCALERS: dict[str, Callable[[Rows], Scaler]] = {
  "as it is": lambda train: Scaler(jnp.zeros(train.shape[1]), jnp.ones(train.shape[1])),
  "min-max": min_max,
  "z-score": z_score,
}


def hessian(x: Rows) -> Float[Array, "p p"]:
  """Second derivatives of half the mean squared error, the intercept's too."""
  x = jnp.column_stack([x, jnp.ones(len(x))])
  return x.T @ x / len(x)


def condition(x: Rows) -> float:
  """Largest over smallest eigenvalue."""
  values = jnp.linalg.eigvalsh(hessian(x))
  return float(values[-1] / values[0])


@jax.jit
def steps_to_tolerance(x: Rows, y: Float[Array, " examples"], tolerance: float) -> Array:
  """Steps of gradient descent from 0, at the rate 1 / largest eigenvalue; at most MOST_STEPS."""
  h = hessian(x)
  g = jnp.column_stack([x, jnp.ones(len(x))]).T @ y / len(y)
  best, rate = jnp.linalg.solve(h, g), 1 / jnp.linalg.eigvalsh(h)[-1]
  start, excess = jnp.zeros(len(g)), lambda w: (w - best) @ h @ (w - best)
  goal = tolerance * excess(start)
  go_on = lambda carry: (excess(carry[0]) > goal) & (carry[1] < MOST_STEPS)
  step = lambda carry: (carry[0] - rate * (h @ carry[0] - g), carry[1] + 1)
  return jax.lax.while_loop(go_on, step, (start, jnp.int32(0)))[1]


def draw(config: Config, key: Array) -> tuple[Rows, Rows, Float[Array, " examples"]]:
  """Training rows, test rows, and training targets to which every feature adds alike."""
  scales = jnp.asarray(config.scales, float)[None]
  noise, *keys = jax.random.split(key, 3)
  shape = (config.examples, scales.size)
  train, test = (scales * (3 + jax.random.normal(key, shape)) for key in keys)
  y = jnp.sum(train / scales, axis=1) + 0.1 * jax.random.normal(noise, (config.examples,))
  return train, test, y


def squeezed(scaler: Callable[[Rows], Scaler], config: Config, key: Array) -> float:
  """Spread of 1,000 ordinary values beside one outlier, over their spread without it."""
  ordinary = jax.random.normal(key, (1000, 1))
  with_outlier = jnp.concatenate([ordinary, jnp.full((1, 1), config.outlier)])
  return float(scaler(with_outlier)(ordinary).std() / scaler(ordinary)(ordinary).std())


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Three scalings of the same rows, in float64."""
  with jax.enable_x64(True):
    train, test, y = draw(config, lab.key("rows"))
    scaled = {name: fit(train)(train) for name, fit in SCALERS.items()}
    conditions = {name: condition(x) for name, x in scaled.items()}
    steps = {name: int(steps_to_tolerance(x, y, config.tolerance)) for name, x in scaled.items()}
    kept = {name: squeezed(SCALERS[name], config, lab.key("x")) for name in ("min-max", "z-score")}
    shifted = test + 2 * test.std(axis=0, keepdims=True)  # the world has moved since the training
    right, wrong = (float(z_score(rows)(shifted).mean()) for rows in (train, shifted))
  better = conditions["as it is"] / conditions["z-score"]
  fewer = {name: steps["as it is"] / taken for name, taken in steps.items()}
  claim, z = ln.claims("I08"), conditions["z-score"]
  over, left = "steps as it is, over steps with", "spread of the other values left by one outlier"
  shift = "a shift of the test set by 2 deviations, by the training set's statistics"
  own = "the same shift, by the test set's own statistics"
  much = "condition number as it is, over that with z-scores"
  return ln.Report(
    [
      claim(much, "much larger", better, ln.at_least(1000)),
      claim("condition number with z-scores", "about 1", z, ln.at_most(1.5)),
      claim(f"{over} min-max scaling", "faster", fewer["min-max"], ln.at_least(100)),
      claim(f"{over} z-scores", "faster", fewer["z-score"], ln.at_least(1000)),
      claim(f"min-max: {left}", "squeezed", kept["min-max"], ln.at_most(0.1), "%"),
      claim(f"z-score: {left}", "less sensitive", kept["z-score"], ln.at_least(0.2), "%"),
      claim(shift, "2: seen", right, ln.at_least(1.8)),
      claim(own, "0: hidden", abs(wrong), ln.at_most(1e-9)),
    ],
    [
      ln.bar_charts(
        {"condition number": conditions, "steps to tolerance": steps},
        title="Gradient descent on normalised inputs",
        x="inputs",
        log=True,
        caption="Z-scores also remove the means, which tie the features to the intercept; min-max "
        "scaling leaves some of that.",
        file="steps",
      )
    ],
  )


experiment = ln.Experiment(Config, run)
