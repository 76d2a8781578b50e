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
  """The distance of the table, its pairs of features turned, from the table further on."""
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
  mean, fixed, _ = (float(jnp.mean(jnp.square(found - truth(at)))) for found, _ in pooled.values())
  before, after = (
    float(weights.max(1).mean()) for _, weights in pooled.values() if weights is not None
  )
  q, k = jax.random.normal(score_key, (2, 30_000, config.dimension))
  variance = float(jnp.var(jnp.sum(q * k, axis=1))) / config.dimension
  first = float(masked_softmax(jnp.array([2.0, 4.0, 4.0]), jnp.ones(3, bool))[0])
  table = np.asarray(sinusoids(config.places, config.features))
  shift = shift_error(table, 7)
  s09, s10, s12 = ln.claims("S09"), ln.claims("S10"), ln.claims("S12")
  loss = "leave-one-out loss with the learnt width over that with width 1"
  sharper = "mean largest attention weight, learnt width over width 1"
  nearer = "squared distance from the truth, width 1 over the mean of all"
  spread = f"variance of q'k / d for normal q, k of d = {config.dimension}"
  softmax, rounded = "softmax of (2, 4, 4): its first entry", "0.063 (the notes round to 0)"
  turned = "positions turned by each pair's angle, against the positions 7 on: largest difference"
  return ln.Report(
    [
      s09(loss, "falls", float(losses[-1] / losses[0]), ln.at_most(0.9)),
      s09(sharper, "parametric is sharper", after / before, ln.at_least(1.2)),
      s09(nearer, "attention beats the mean", fixed / mean, ln.at_most(0.5)),
      s10(spread, "1: so scores are divided by sqrt(d)", variance, ln.within(1, 0.03)),
      s12(softmax, rounded, first, ln.within(0.0634, 0.0001)),
      s12(turned, "equal", shift, ln.at_most(1e-4)),
    ],
    [
      pooling(x, y, at, {name: found for name, (found, _) in pooled.items()}),
      scaling(lab.key("scaling")),
      positions(table),
    ],
  )


def pooling(x: Array, y: Array, at: Array, found: dict[str, Array]) -> ln.Picture:
  """Points, truth and predictions."""
  curves = {name: (at, values) for name, values in {"truth": truth(at), **found}.items()}
  return ln.function_curves(
    [ln.Panel("y", curves, points={"points": (x, y)})],
    title="Attention as regression",
    x="x",
    panel_inches=(6.2, 3.8),
    caption="Every prediction is a mean of the points' y: of all alike, or weighted by nearness.",
    file="pooling",
  )


def scaling(key: Array) -> ln.Picture:
  """Mean largest weight against the number of features."""
  sizes = [2**power for power in range(1, 10)]
  share = lambda scaled: [largest_share(key, size, scaled=scaled) for size in sizes]
  curves = {"q'k": (sizes, share(False)), "q'k / sqrt(d)": (sizes, share(True))}
  return ln.function_curves(
    [ln.Panel("mean largest weight of ten keys", curves, log="x", y_range=(0, 1))],
    title="Why scores are scaled",
    x="features d",
    caption="Where the softmax of the scores gives all weight to one key it has no gradient.",
    file="scaling",
  )


def positions(table: np.ndarray) -> ln.Picture:
  """The table as shades."""
  return ln.heat_maps(
    {"": table},
    title="Sinusoidal positions",
    x="feature",
    y="place",
    value_range=(-1, 1),
    shades="value",
    caption="Each pair of features is a hand of a clock; the hands to the right turn more slowly.",
    file="positions",
  )


experiment = ln.Experiment(Config, run)
