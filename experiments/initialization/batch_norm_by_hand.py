"""Batch normalisation with its backward pass by hand, for dense and convolutional layers (I04).

Ioffe and Szegedy 2015, algorithm 1 and section 3.2; Saito 2016, section 6.3. The batch variance
divides by m, not by m - 1. After a convolution the paper normalises every channel over examples and
pixels; the book flattens the image first, so that every pixel of every channel has its own
statistics. The book checks the gradient on a batch of one, where x - mean is 0: numbers and
gradients vanish, and a wrong backward pass passes.

    python launch.py --experiment=batch_norm_by_hand

Expected: equal to central differences to 1e-8, in float64; a few seconds.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import research as ln

EPSILON = 1e-6  # 10e-7, as the book writes it


@ln.pytree_config
class Config:
  """The sizes of what is normalised."""

  batch: int = ln.static(6, "examples", at_least=2)
  size: int = ln.static(4, "height and width of the images, in pixels", at_least=1)
  channels: int = ln.static(3, "channels, and features of the dense layer", at_least=1)
  momentum: float = ln.traced(0.9, "share of the old running statistics", at_least=0, below=1)


@jax.custom_vjp
def batch_norm(
  x: Float[Array, "m features"], gamma: Float[Array, " features"], beta: Float[Array, " features"]
) -> Float[Array, "m features"]:
  """gamma (x - mean) / sqrt(variance + epsilon) + beta, with the batch's own statistics."""
  return forward(x, gamma, beta)[0]


def forward(x: Array, gamma: Array, beta: Array) -> tuple[Array, tuple[Array, Array, Array]]:
  """The output; and normalised values, deviations and gains for the way back."""
  centred = x - x.mean(axis=0, keepdims=True)
  std = jnp.sqrt(jnp.mean(centred**2, axis=0, keepdims=True) + EPSILON)
  normal = centred / std
  return gamma[None] * normal + beta[None], (normal, std, gamma)


def backward(kept: tuple[Array, Array, Array], d: Array) -> tuple[Array, Array, Array]:
  """The gradient without its mean and without its part along the normalised values (section 3)."""
  normal, std, gamma = kept
  d_normal = d * gamma[None]
  along = jnp.mean(d_normal * normal, axis=0, keepdims=True)
  d_x = (d_normal - d_normal.mean(axis=0, keepdims=True) - normal * along) / std
  return d_x, jnp.sum(d * normal, axis=0), d.sum(axis=0)


batch_norm.defvjp(forward, backward)


def per_channel(x: Float[Array, "n h w c"], gamma: Array, beta: Array) -> Array:
  """The paper's form after a convolution: c means, each of n h w values."""
  return batch_norm(x.reshape(-1, x.shape[-1]), gamma, beta).reshape(x.shape)


def per_pixel(x: Float[Array, "n h w c"], gamma: Array, beta: Array) -> Array:
  """The book's form: h w c means, each of n values."""
  return batch_norm(x.reshape(x.shape[0], -1), gamma, beta).reshape(x.shape)


def running(old: Array, batch: Array, momentum: float | Array) -> Array:
  """Statistics for the test, remembered while training."""
  return momentum * old + (1 - momentum) * batch


def at_test(x: Array, mean: Array, variance: Array, gamma: Array, beta: Array) -> Array:
  """With remembered statistics every example is on its own."""
  return gamma[None] * (x - mean[None]) / jnp.sqrt(variance + EPSILON)[None] + beta[None]


Layer = Callable[[Array, Array, Array], Array]


def shapes(config: Config, batch: int) -> dict[str, tuple[Layer, tuple[int, ...], int]]:
  """By name: the layer, the shape of its inputs, and how many gammas it has."""
  images = (batch, config.size, config.size, config.channels)
  return {
    "dense": (batch_norm, (batch, config.channels), config.channels),
    "convolution, per channel": (per_channel, images, config.channels),
    "convolution, per pixel": (per_pixel, images, config.channels * config.size**2),
  }


def gradients(
  layer: Layer, shape: tuple[int, ...], gains: int, seed: int, h: float = 1e-5
) -> tuple[list[Array], list[Array]]:
  """By hand and by central differences, of a random reading of the outputs by all arguments."""
  rng = np.random.default_rng(seed)
  draw = lambda *size: jnp.asarray(rng.normal(size=size))
  arguments, reading = [draw(*shape), 1 + 0.3 * draw(gains), draw(gains)], draw(*shape)
  total = lambda arguments: jnp.sum(reading * layer(*arguments))
  return jax.grad(total)(arguments), ln.central_differences(total, arguments, h)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Gradients of three forms, the batch of one, and the statistics; in float64."""
  claim = ln.claims("I04")
  largest = lambda x: float(jnp.abs(x).max())
  with jax.enable_x64(True):
    errors = {
      name: ln.largest_difference(*gradients(layer, shape, gains, lab.seed))
      for name, (layer, shape, gains) in shapes(config, config.batch).items()
    }
    (alone, *_), (difference, *_) = gradients(*shapes(config, 1)["dense"], lab.seed)
    x = jnp.asarray(np.random.default_rng(lab.seed).normal(2, 3, (config.batch, config.channels)))
    ones, zeros = jnp.ones(config.channels), jnp.zeros(config.channels)
    layer = ln.BatchNorm(config.momentum, EPSILON)
    variables = layer.init(jax.random.key(0), x)
    y, updated = layer.apply(variables, x, train=True, mutable="batch_stats")
    variance = running(ones, jnp.mean((x - x.mean(axis=0, keepdims=True)) ** 2, 0), config.momentum)
    mean = running(zeros, x.mean(axis=0), config.momentum)
    tested = at_test(x, mean, variance, ones, zeros) - layer.apply({**variables, **updated}, x)
    trained = batch_norm(x, ones, zeros)
    lone = max(largest(alone), largest(difference))
    checked, ours = "gradient by hand against differences", "against the project's layer"
    spread = "variance of the normalised batch - 1 (1/m; 1/(m - 1) would give -1/m)"
    one, same = "batch of one: largest gradient of x, either way", ln.at_most(1e-6)
    claims = [
      *(
        claim(f"{name}: {checked}, batch of {config.batch}", "equal", error, ln.at_most(1e-8))
        for name, error in errors.items()
      ),
      claim(one, "0: nothing is checked", lone, ln.equals(0)),
      claim(f"{ours}, training: largest difference", "equal", largest(trained - y), same),
      claim(f"{ours}, with running statistics", "equal", largest(tested), same),
      claim(spread, "0", largest(trained.var(axis=0) - 1), ln.at_most(1e-5)),
    ]
    return ln.Report(claims, [before_and_after(lab.key("figure"))])


def before_and_after(key: Array) -> ln.Picture:
  """Distributions of three units over a batch, before and after."""
  x = jax.random.normal(key, (2000, 3))
  x = x * jnp.array([[0.5, 1.0, 3.0]]) + jnp.array([[-4.0, 0.0, 5.0]])
  units = lambda rows: {f"unit {n}": column for n, column in enumerate(np.asarray(rows).T, 1)}
  normal = batch_norm(x, jnp.ones(3), jnp.zeros(3))
  return ln.compare_histograms(
    {"value before": units(x), "value after": units(normal)},
    title="Batch normalisation of three units",
    y="share of the batch",
    caption="Three units of different means and spreads, over a batch of 2,000.",
    file="before_and_after",
  )


experiment = ln.Experiment(Config, run)
