"""Batch normalisation with its backward pass by hand, for dense and convolutional layers (I04).

Ioffe and Szegedy 2015, algorithm 1 and section 3.2; Saito 2016, section 6.3. The batch variance
divides by m (the notes say m - 1). After a convolution the paper normalises every channel over
examples and pixels; the book flattens the image first, so that every pixel of every channel has its
own statistics. The book checks the gradient on a batch of one, where x - mean is 0: numbers and
gradients vanish, and a wrong backward pass passes.

    python launch.py --experiment=batch_norm_by_hand

Expected: equal to central differences to 1e-8, in float64; a few seconds.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from matplotlib.figure import Figure

import research as ln

# Epsilon 10e-7, as the book writes it.
EPSILON = 1e-6


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
  """What comes back loses its mean, and its part along the normalised values (section 3)."""
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
  total = lambda *arguments: jnp.sum(reading * layer(*arguments))
  by_hand = jax.grad(total, argnums=(0, 1, 2))(*arguments)
  by_difference = []
  for place, x in enumerate(arguments):

    def at(move: Array, place: int = place, x: Array = x) -> Array:
      moved = x + h * move.reshape(x.shape)
      return total(*arguments[:place], moved, *arguments[place + 1 :])

    slopes = jax.vmap(lambda move, at=at: (at(move) - at(-move)) / (2 * h))(jnp.eye(x.size))
    by_difference.append(slopes.reshape(x.shape))
  return list(by_hand), by_difference


def worst(a: list[Array], b: list[Array]) -> float:
  """Largest absolute difference."""
  return max(float(jnp.max(jnp.abs(x - y))) for x, y in zip(a, b, strict=True))


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Gradients of three forms, the batch of one, and the statistics; in float64."""
  row = lambda what, source, ours, bar: ln.Claim("I04", what, source, ours, bar)
  with jax.enable_x64(True):
    claims = []
    for name, (layer, shape, gains) in shapes(config, config.batch).items():
      error = worst(*gradients(layer, shape, gains, lab.seed))
      what = f"{name}: gradient by hand against differences, batch of {config.batch}"
      claims.append(row(what, "equal", error, ln.at_most(1e-8)))
    layer, shape, gains = shapes(config, 1)["dense"]
    (alone, *_), (difference, *_) = gradients(layer, shape, gains, lab.seed)
    lone = max(float(jnp.abs(alone).max()), float(jnp.abs(difference).max()))
    x = jnp.asarray(np.random.default_rng(lab.seed).normal(2, 3, (config.batch, config.channels)))
    ones, zeros = jnp.ones(config.channels), jnp.zeros(config.channels)
    flax_norm = ln.BatchNorm(config.momentum, EPSILON)
    variables = flax_norm.init(jax.random.key(0), x)
    y, updated = flax_norm.apply(variables, x, train=True, mutable="batch_stats")
    variance = running(ones, jnp.mean((x - x.mean(axis=0, keepdims=True)) ** 2, 0), config.momentum)
    mean = running(zeros, x.mean(axis=0), config.momentum)
    tested = flax_norm.apply({**variables, **updated}, x)
    claims += [
      row(
        "batch of one: largest gradient of x, either way",
        "0: nothing is checked",
        lone,
        ln.equals(0),
      ),
      row(
        "against the project's layer, training: largest difference",
        "equal",
        float(jnp.abs(batch_norm(x, ones, zeros) - y).max()),
        ln.at_most(1e-6),
      ),
      row(
        "against the project's layer, with running statistics",
        "equal",
        float(jnp.abs(at_test(x, mean, variance, ones, zeros) - tested).max()),
        ln.at_most(1e-6),
      ),
      row(
        "variance of the normalised batch - 1 (1/m; 1/(m - 1) would give -1/m)",
        "0",
        float(jnp.abs(batch_norm(x, ones, zeros).var(axis=0) - 1).max()),
        ln.at_most(1e-5),
      ),
    ]
    figure = before_and_after(functools.partial(jax.random.normal, lab.key("figure")))
  return ln.Report(
    claims,
    [
      ln.Picture(
        "before_and_after",
        figure,
        "Three units of different means and spreads, over a batch of 2,000: afterwards all are "
        "alike, and gamma and beta are free to undo it.",
      )
    ],
  )


def before_and_after(normal: Callable[[tuple[int, int]], Array]) -> Figure:
  """Histograms of three units before and after."""
  x = normal((2000, 3)) * jnp.array([[0.5, 1.0, 3.0]]) + jnp.array([[-4.0, 0.0, 5.0]])
  after = batch_norm(x, jnp.ones(3), jnp.zeros(3))
  figure, grid = ln.new_figure("Batch normalisation of three units", columns=2)
  for axes, values, title in zip(grid[0], (x, after), ("before", "after"), strict=True):
    for unit in range(3):
      look = ln.stroke(unit)
      density, edges = np.histogram(np.asarray(values[:, unit]), 40, density=True)
      axes.stairs(
        density,
        edges,
        color=look.colour,
        linestyle=look.dashes,
        linewidth=1.6,
        label=f"unit {unit + 1}",
      )
    ln.label_axes(axes, "value", "share of the batch per unit of value", title)
  ln.legend_below(figure)
  return figure


experiment = ln.Experiment(Config, run)
