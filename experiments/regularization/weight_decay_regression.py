"""Weight decay where it helps: a linear regression of 200 features on 20 examples (R02).

Dive into Deep Learning, section 3.7: y = 0.05 + 0.01 sum(x) + noise of deviation 0.01, 20 examples
to learn from and 100 to validate on, lambda = 0 and 3; batches of 5, rate 0.01, 10 epochs. Twenty
draws of the data, as lanes of one program.

    python launch.py --experiment=weight_decay_regression

Expected: with decay the validation error falls too; a few seconds on two CPU cores.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import research as ln

TRAIN, VALIDATION, BATCH, RATE, NOISE = 20, 100, 5, 0.01, 0.01
DRAWS = 20


@ln.pytree_config
class Config:
  """The settings that Dive into Deep Learning varies."""

  decay: float = ln.traced(3.0, "lambda", at_least=0)
  features: int = ln.static(200, "features", at_least=1)
  epochs: int = ln.static(10, "passes over the 20 examples", at_least=1)


class Regression(NamedTuple):
  """Mean half squared errors after every epoch, and the weights at the end."""

  train: Float[Array, " epochs"]
  validation: Float[Array, " epochs"]
  w: Float[Array, " features"]


def regress(config: Config, decay: float | Array, key: Array) -> Regression:
  """Mini-batch descent on the squared error, with L2 decay of the weights but not of the bias."""
  x_key, noise_key, w_key, order_key = jax.random.split(key, 4)
  x = jax.random.normal(x_key, (TRAIN + VALIDATION, config.features))
  y = 0.05 + 0.01 * x.sum(axis=1) + NOISE * jax.random.normal(noise_key, (len(x),))

  def error(w: Array, b: Array, rows: Array) -> Array:
    return 0.5 * jnp.mean(jnp.square(x[rows] @ w + b - y[rows]))

  def step(carry: tuple[Array, Array], rows: Array) -> tuple[tuple[Array, Array], None]:
    w, b = carry
    d_w, d_b = jax.grad(error, argnums=(0, 1))(w, b, rows)
    return (w - RATE * (d_w + decay * w), b - RATE * d_b), None

  def epoch(carry: tuple[Array, Array], key: Array) -> tuple[tuple[Array, Array], Array]:
    batches = jax.random.permutation(key, TRAIN).reshape(-1, BATCH)
    carry, _ = jax.lax.scan(step, carry, batches)
    both = jnp.arange(TRAIN), TRAIN + jnp.arange(VALIDATION)
    return carry, jnp.stack([error(*carry, rows) for rows in both])

  start = 0.01 * jax.random.normal(w_key, (config.features,)), jnp.zeros(())
  (w, _), errors = jax.lax.scan(epoch, start, jax.random.split(order_key, config.epochs))
  return Regression(errors[:, 0], errors[:, 1], w)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Regressions with decay and without, on the same draws."""
  keys = jax.random.split(lab.key("regression"), DRAWS)
  many = jax.jit(jax.vmap(lambda decay, key: regress(config, decay, key), in_axes=(None, 0)))
  free, decayed = (jax.device_get(many(decay, keys)) for decay in (0.0, config.decay))
  error = lambda line: np.mean(line.validation[:, -1])
  size = lambda line: np.mean(np.linalg.norm(line.w, axis=1))
  claim, what = ln.claims("R02"), "with decay over without"
  errors, sizes = error(decayed) / error(free), size(decayed) / size(free)
  return ln.Report(
    [
      claim(f"regression, 20 draws: validation error {what}", "falls", errors, ln.at_most(0.8)),
      claim(f"regression: |w| {what}", "below 1", sizes, ln.at_most(0.8)),
    ],
    [regression_figure({"lambda = 0": free, f"lambda = {config.decay:g}": decayed})],
  )


def regression_figure(lines: dict[str, Regression]) -> ln.Picture:
  """Errors after every epoch, means over the draws."""
  curve = lambda values: (np.arange(1, values.shape[1] + 1), np.mean(values, axis=0))
  return ln.function_curves(
    [
      ln.Panel(
        "half squared error",
        {"training": curve(line.train), "validation": curve(line.validation)},
        name,
        log="y",
      )
      for name, line in lines.items()
    ],
    title="200 features, 20 examples",
    x="epoch",
    share_y=True,
    caption=(
      "Errors on the examples that are learned from and on those that are not, without decay and "
      f"with it. Means over {DRAWS} draws of the data."
    ),
    file="regression",
  )


experiment = ln.Experiment(Config, run)
