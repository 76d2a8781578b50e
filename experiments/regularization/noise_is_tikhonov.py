"""Noise on the inputs is weight decay: Tikhonov's penalty from another side (R05).

Bishop 1995, "Training with noise is equivalent to Tikhonov regularization": for a linear model the
expected sum of squares over inputs x + e, with e of deviation sigma, is |y - Xw|^2 + n sigma^2
|w|^2, exactly. So least squares on many noisy copies of n examples is ridge regression with lambda
= n sigma^2.

    python launch.py --experiment=noise_is_tikhonov

Expected: equal to 2 % with 2,000 copies; a few seconds on two CPU cores.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import research as ln

Rows = Float[Array, "n p"]


@ln.pytree_config
class Config:
  """The generated regression, and its noise."""

  examples: int = ln.static(50, "examples", at_least=2)
  features: int = ln.static(10, "features", at_least=1)
  copies: int = ln.static(2000, "noisy copies of every example", at_least=1)
  sigma: float = ln.traced(0.5, "deviation of the noise on the inputs", above=0)


def draw(config: Config, key: Array) -> tuple[Rows, Float[Array, " n"]]:
  """Normal rows, and targets by normal weights with a noise of their own."""
  x_key, w_key, noise_key = jax.random.split(key, 3)
  x = jax.random.normal(x_key, (config.examples, config.features))
  noise = jax.random.normal(noise_key, (config.examples,))
  return x, x @ jax.random.normal(w_key, (config.features,)) + noise


def ridge(x: Rows, y: Float[Array, " n"], penalty: float | Array) -> Float[Array, " p"]:
  """argmin |y - Xw|^2 + penalty |w|^2."""
  return jnp.linalg.solve(x.T @ x + penalty * jnp.eye(x.shape[1]), x.T @ y)


def with_noise(
  x: Rows, y: Float[Array, " n"], sigma: float | Array, copies: int, key: Array
) -> Float[Array, " p"]:
  """Least squares on `copies` noisy versions of all rows."""

  def add(sums: tuple[Array, Array], key: Array) -> tuple[tuple[Array, Array], None]:
    noisy = x + sigma * jax.random.normal(key, x.shape)
    return (sums[0] + noisy.T @ noisy, sums[1] + noisy.T @ y), None

  p = x.shape[1]
  start = jnp.zeros((p, p)), jnp.zeros(p)
  (gram, moment), _ = jax.lax.scan(add, start, jax.random.split(key, copies))
  return jnp.linalg.solve(gram, moment)


def distance(a: Float[Array, " p"], b: Float[Array, " p"]) -> float:
  """|a - b| / |b|."""
  return float(jnp.linalg.norm(a - b) / jnp.linalg.norm(b))


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The two solutions, for one deviation and for many; in float64."""
  noisy = jax.jit(with_noise, static_argnums=3)
  sigmas = np.linspace(0.0, 1.5, 7)
  with jax.enable_x64(True):
    x, y = draw(config, lab.key("rows"))
    by_noise = lambda sigma: noisy(x, y, sigma, config.copies, lab.key("noise"))
    by_decay = lambda sigma: ridge(x, y, config.examples * sigma**2)
    found, decayed, plain = by_noise(config.sigma), by_decay(config.sigma), ridge(x, y, 0.0)
    to_ridge, to_plain = distance(found, decayed), distance(found, plain)
    paths = {
      name: np.stack([np.asarray(solution(sigma)) for sigma in sigmas])
      for name, solution in (("noise", by_noise), ("ridge", by_decay))
    }
  claim, same = ln.claims("R05", unit="%"), "noise against ridge with lambda = n sigma^2"
  return ln.Report(
    [
      claim(f"{same}: |difference| / |w|", "equal", to_ridge, ln.at_most(0.02)),
      claim("the same against plain least squares", "another solution", to_plain, ln.at_least(0.1)),
    ],
    [
      ln.function_curves(
        [
          ln.Panel(
            f"weight {number + 1}", {name: (sigmas, w[:, number]) for name, w in paths.items()}
          )
          for number in range(min(4, config.features))
        ],
        title="Noise is Tikhonov's penalty",
        x="sigma",
        caption="Weights under noise on the inputs and under the decay that is equal to it.",
        file="weights",
      )
    ],
  )


experiment = ln.Experiment(Config, run)
