"""Attention from its beginnings: pooling, scores, positions, cost (S09, S10, S12, S13).

Nadaraya 1964 and Watson 1964: regression as a mean weighted by nearness, which is attention with a
Gaussian score; with a width that is learnt it becomes sharper (Dive into Deep Learning, chapter
11.2, on 50 points of 2 sin x + x^0.8 with noise of deviation 0.5). Additive scores and dot products
under a mask; why dot products are divided by sqrt(d); sinusoidal positions (Vaswani et al. 2017,
section 3.5), where a shift is one rotation.

    python launch.py --experiment=attention_lessons

Expected: the learnt width halves the loss; no training worth the name, a few seconds.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from matplotlib.figure import Figure

import research as ln
from research.layers.attention import attention_pooling, dot_product_scores, masked_softmax
from research.layers.positional import sinusoids

Vector = Float[Array, " n"]


@ln.pytree_config
class Config:
  """The regression, and sizes of what is looked at."""

  points: int = ln.static(50, "training points", at_least=3)
  noise: float = ln.traced(0.5, "deviation of the noise", at_least=0)
  rate: float = ln.traced(0.5, "step size for the kernel's width", above=0)
  updates: int = ln.static(50, "updates of the width", at_least=1)
  dimension: int = ln.static(512, "features of queries and keys", at_least=2)
  places: int = ln.static(60, "positions that are encoded", at_least=2)
  features: int = ln.static(32, "features of a position, even", at_least=2)


def truth(x: Array) -> Array:
  """The function without noise."""
  return 2 * jnp.sin(x) + x**0.8


def fit_width(config: Config, x: Vector, y: Vector) -> tuple[Array, Vector]:
  """The width that predicts each point best from all the others, and the losses on the way."""
  others = ~jnp.eye(len(x), dtype=bool)

  def loss(width: Array) -> Array:
    scores = -0.5 * jnp.square((x[:, None] - x[None]) * width)
    return jnp.mean(jnp.square(masked_softmax(scores, others) @ y - y)) / 2

  def update(width: Array, _: None) -> tuple[Array, Array]:
    value, gradient = jax.value_and_grad(loss)(width)
    return width - config.rate * gradient, value

  return jax.lax.scan(update, jnp.ones(()), None, length=config.updates)


def largest_share(key: Array, dimension: int, *, scaled: bool) -> float:
  """Mean largest weight of ten random keys under a random query; at 1 the softmax has no slope."""
  queries, keys = jax.random.normal(key, (2, 500, 10, dimension))
  return float(
    jax.nn.softmax(dot_product_scores(queries[:, :1], keys, scaled=scaled)).max(-1).mean()
  )


def shift_error(table: np.ndarray, shift: int) -> float:
  """How far the table, each pair of features turned by its angle, is from the table further on."""
  features = table.shape[1]
  angles = shift * 10_000.0 ** (-np.arange(0, features, 2) / features)
  sine, cosine = table[:, ::2], table[:, 1::2]
  cos, sin = np.cos(angles)[None], np.sin(angles)[None]
  turned = np.stack([sine * cos + cosine * sin, cosine * cos - sine * sin], -1)
  return float(np.max(np.abs(turned.reshape(table.shape)[:-shift] - table[shift:])))


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The numbers, then the pictures."""
  x_key, noise_key, score_key = jax.random.split(lab.key("data"), 3)
  x = jnp.sort(5 * jax.random.uniform(x_key, (config.points,)))
  y = truth(x) + config.noise * jax.random.normal(noise_key, x.shape)
  width, losses = jax.jit(fit_width)(config, x, y)
  at = jnp.arange(0, 5, 0.1)
  pooled = {
    "mean of all": (jnp.full_like(at, y.mean()), None),
    "width 1, not learnt": attention_pooling(at, x, y),
    f"width 1/{float(width):.1f}, learnt": attention_pooling(at, x, y, width),
  }
  error = [float(jnp.mean(jnp.square(found - truth(at)))) for found, _ in pooled.values()]
  sharpness = [
    float(weights.max(1).mean()) for _, weights in pooled.values() if weights is not None
  ]
  q, k = jax.random.normal(score_key, (2, 30_000, config.dimension))
  variance = float(jnp.var(jnp.sum(q * k, axis=1)))
  example = masked_softmax(jnp.array([2.0, 4.0, 4.0]), jnp.ones(3, bool))
  table = np.asarray(sinusoids(config.places, config.features))
  return ln.Report(
    [
      ln.Claim(
        "S09",
        "leave-one-out loss with the learnt width over that with width 1",
        "falls",
        float(losses[-1] / losses[0]),
        ln.at_most(0.9),
      ),
      ln.Claim(
        "S09",
        "mean largest attention weight, learnt width over width 1",
        "parametric is sharper",
        sharpness[1] / sharpness[0],
        ln.at_least(1.2),
      ),
      ln.Claim(
        "S09",
        "squared distance from the truth, width 1 over the mean of all",
        "attention beats the mean",
        error[1] / error[0],
        ln.at_most(0.5),
      ),
      ln.Claim(
        "S10",
        f"variance of q'k / d for normal q, k of d = {config.dimension}",
        "1: so scores are divided by sqrt(d)",
        variance / config.dimension,
        ln.within(1, 0.03),
      ),
      ln.Claim(
        "S12",
        "softmax of (2, 4, 4): its first entry",
        "0.063 (the notes round to 0)",
        float(example[0]),
        ln.within(0.0634, 0.0001),
      ),
      ln.Claim(
        "S12",
        "positions turned by each pair's angle, against the positions 7 on: largest difference",
        "equal",
        shift_error(table, 7),
        ln.at_most(1e-4),
      ),
    ],
    [
      ln.Picture(
        "pooling",
        pooling(x, y, at, {name: found for name, (found, _) in pooled.items()}),
        "The mean of all points knows nothing of x; a fixed width smooths too much; the learnt "
        "width follows the points, and their noise too.",
      ),
      ln.Picture(
        "scaling",
        scaling(lab.key("scaling")),
        "With more features the softmax of plain dot products goes to one key, where it has no "
        "gradient. Divided by sqrt(d) it stays as it is.",
      ),
      ln.Picture(
        "positions",
        positions(table),
        "Each pair of features is a hand of a clock; the hands to the right turn more slowly.",
      ),
    ],
  )


def pooling(x: Array, y: Array, at: Array, curves: dict[str, Array]) -> Figure:
  """Points, truth and predictions."""
  figure, grid = ln.new_figure("Attention as regression", panel_inches=(6.2, 3.8))
  axes = grid[0, 0]
  axes.plot(x, y, "o", color="#888888", markersize=3.5, label="points")
  for index, (name, found) in enumerate({"truth": truth(at), **curves}.items()):
    look = ln.stroke(index)
    axes.plot(at, found, color=look.colour, linestyle=look.dashes, label=name)
  ln.label_axes(axes, "x", "y")
  ln.legend_below(figure)
  return figure


def scaling(key: Array) -> Figure:
  """Mean largest weight against the number of features."""
  figure, grid = ln.new_figure("Why scores are scaled", panel_inches=(5.6, 3.6))
  axes, sizes = grid[0, 0], [2**power for power in range(1, 10)]
  for index, (name, scaled) in enumerate({"q'k": False, "q'k / sqrt(d)": True}.items()):
    look = ln.stroke(index)
    shares = [largest_share(key, size, scaled=scaled) for size in sizes]
    axes.plot(
      sizes, shares, color=look.colour, linestyle=look.dashes, marker=look.marker, label=name
    )
  axes.set_xscale("log", base=2)
  axes.set_ylim(0, 1)
  ln.label_axes(axes, "features d", "mean largest weight of ten keys")
  ln.legend_below(figure)
  return figure


def positions(table: np.ndarray) -> Figure:
  """The table as shades, and four of its columns."""
  figure, grid = ln.new_figure("Sinusoidal positions", columns=2)
  shades = grid[0, 0].imshow(table, cmap="Greys", aspect="auto", vmin=-1, vmax=1)
  ln.label_axes(grid[0, 0], "feature", "place")
  grid[0, 0].grid(False)
  bar = figure.colorbar(shades, ax=grid[0, 0], pad=0.02)
  bar.ax.tick_params(labelsize=9, colors=ln.INK)
  for index, feature in enumerate((6, 7, 8, 9)):
    look = ln.stroke(index)
    axes = grid[0, 1]
    axes.plot(
      table[:, feature], color=look.colour, linestyle=look.dashes, label=f"feature {feature}"
    )
  ln.label_axes(grid[0, 1], "place", "value")
  ln.legend_below(figure)
  return figure


experiment = ln.Experiment(Config, run)
