"""A Gaussian process: its likelihood and posterior, its fit, and where improvement is expected.

Snoek, Larochelle and Adams 2012: the kernel is Matern's with smoothness 5/2 and one length for each
dimension. Its hyper-parameters maximise the marginal likelihood (ML-II); the paper averages over
samples of them. All are pure functions, and observations that are still to come are rows that a
mask leaves out, so that a search is a loop of one program and many searches are its lanes.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Key

LENGTHS = (0.03, 3.0)  # shortest and longest length of the kernel, in units of the range
AMPLITUDES = (0.1, 10.0)  # deviation of the process, in deviations of the observations
ZOOMS = (0.1, 0.02, 0.004)  # deviations of the candidates around the best one so far

Points = Float[Array, "n d"]
Values = Float[Array, " n"]
Present = Bool[Array, " n"]


class Kernel(NamedTuple):
  """The hyper-parameters."""

  lengths: Float[Array, " d"]
  amplitude: Float[Array, ""]


class Data(NamedTuple):
  """Observations, of which those that are present count."""

  x: Points
  y: Values
  present: Present


def matern(kernel: Kernel, a: Points, b: Float[Array, "m d"]) -> Float[Array, "n m"]:
  """Covariance of the process at a and at b: the paper's equation 13 (ARD Matern-5/2)."""
  squares = jnp.sum(((a[:, None, :] - b[None, :, :]) / kernel.lengths[None, None, :]) ** 2, axis=-1)
  r = jnp.sqrt(5 * squares + 1e-30)  # the root has no derivative at 0
  return kernel.amplitude**2 * (1 + r + r**2 / 3) * jnp.exp(-r)


def factor(kernel: Kernel, data: Data, noise: Array | float) -> Float[Array, "n n"]:
  """Cholesky factor of the observations' covariance; absent ones are independent, of variance 1."""
  both = data.present[:, None] & data.present[None, :]
  own = jnp.where(data.present, noise, 1.0)
  return jnp.linalg.cholesky(jnp.where(both, matern(kernel, data.x, data.x), 0) + jnp.diag(own))


def log_marginal(kernel: Kernel, data: Data, noise: Array | float) -> Float[Array, ""]:
  """log p(y | x, kernel), for y of mean 0; absent observations add nothing."""
  root = factor(kernel, data, noise)
  whitened = jax.scipy.linalg.solve_triangular(root, jnp.where(data.present, data.y, 0), lower=True)
  constant = 0.5 * math.log(2 * math.pi) * data.present.sum()
  return -0.5 * whitened @ whitened - jnp.log(jnp.diag(root)).sum() - constant


def posterior(
  kernel: Kernel, data: Data, noise: Array | float, at: Float[Array, "m d"]
) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
  """Mean and deviation of the process at other points, given the observations."""
  root = factor(kernel, data, noise)
  cross = jnp.where(data.present[:, None], matern(kernel, data.x, at), 0)
  solve = lambda right: jax.scipy.linalg.solve_triangular(root, right, lower=True)
  whitened = solve(cross)
  variance = kernel.amplitude**2 - jnp.sum(whitened**2, axis=0)
  return whitened.T @ solve(data.y), jnp.sqrt(jnp.maximum(variance, 1e-16))


def expected_improvement(
  mean: Float[Array, " m"], deviation: Float[Array, " m"], best: Float[Array, ""]
) -> Float[Array, " m"]:
  """E max(best - f, 0) for f normal: (best - mean) Phi(z) + deviation phi(z), equation 2."""
  z = (best - mean) / deviation
  return deviation * (z * jax.scipy.stats.norm.cdf(z) + jax.scipy.stats.norm.pdf(z))


def between(bounds: tuple[float, float], place: Array) -> Array:
  """A number within bounds, on a log scale; a place of 0 is the middle."""
  low, high = bounds
  return low * (high / low) ** jax.nn.sigmoid(place)


def fitted(data: Data, noise: Array | float, steps: int) -> Kernel:
  """The kernel under which the observations are likeliest; Adam from two starts, the better end."""
  dimensions = data.x.shape[1]
  kernel_at = lambda place: Kernel(between(LENGTHS, place[:-1]), between(AMPLITUDES, place[-1]))
  loss = lambda place: -log_marginal(kernel_at(place), data, noise)
  adam = optax.adam(0.2)

  def step(carry: tuple, _: None) -> tuple[tuple, None]:
    place, state = carry
    updates, state = adam.update(jax.grad(loss)(place), state)
    return (place + updates, state), None

  def climb(start: Array) -> tuple[Array, Array]:
    (place, _), _ = jax.lax.scan(step, (start, adam.init(start)), length=steps)
    return place, loss(place)

  starts = jnp.outer(jnp.array([-0.5, 1.0]), jnp.ones(dimensions + 1)).at[:, -1].set(0.0)
  places, losses = jax.vmap(climb)(starts)
  return kernel_at(places[jnp.argmin(losses)])


def standardised(data: Data) -> Data:
  """Observations of mean 0 and deviation 1; absent ones are 0."""
  mean = data.y.mean(where=data.present)
  deviation = data.y.std(where=data.present)
  return data._replace(y=jnp.where(data.present, (data.y - mean) / deviation, 0))


def outlook(
  data: Data, noise: Array | float, steps: int, at: Float[Array, "m d"]
) -> tuple[Float[Array, " m"], Float[Array, " m"], Float[Array, " m"]]:
  """Mean, deviation and expected improvement of a fitted process, in the observations' own unit."""
  scaled = standardised(data)
  mean, deviation = posterior(fitted(scaled, noise, steps), scaled, noise, at)
  best = scaled.y.min(where=data.present, initial=jnp.inf)
  gain = expected_improvement(mean, deviation, best)
  unit = data.y.std(where=data.present)
  return mean * unit + data.y.mean(where=data.present), deviation * unit, gain * unit


def most_promising(
  data: Data, noise: Array | float, steps: int, candidates: int, key: Key[Array, ""]
) -> Float[Array, " d"]:
  """Finds the point of the unit cube where a fitted process expects the largest improvement.

  It is looked for at random points, then ever closer to the best one.
  """
  scaled = standardised(data)
  kernel = fitted(scaled, noise, steps)
  best = scaled.y.min(where=data.present, initial=jnp.inf)
  improvement = lambda at: expected_improvement(*posterior(kernel, scaled, noise, at), best)
  shape = (candidates, data.x.shape[1])
  keys = jax.random.split(key, len(ZOOMS) + 1)
  at = jax.random.uniform(keys[0], shape, data.x.dtype)
  for zoom, zoom_key in zip(ZOOMS, keys[1:], strict=True):
    centre = at[jnp.argmax(improvement(at))]
    around = centre[None] + zoom * jax.random.normal(zoom_key, shape, data.x.dtype)
    at = jnp.clip(around.at[0].set(centre), 0, 1)
  return at[jnp.argmax(improvement(at))]
