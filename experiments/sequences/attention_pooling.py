"""Attention as regression: a mean weighted by nearness, whose width is learnt (S09).

Nadaraya 1964 and Watson 1964: regression as a mean weighted by nearness, which is attention with a
Gaussian score; with a width that is learnt it becomes sharper (Dive into Deep Learning, chapter
11.2, on 50 points of 2 sin x + x^0.8 with noise of deviation 0.5).

    python launch.py --experiment=attention_pooling

Expected: the learnt width halves the loss; no training worth the name, a few seconds.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import research as ln
from research.layers.attention import attention_pooling, masked_softmax

Vector = Float[Array, " n"]


@ln.pytree_config
class Config:
  """The regression."""

  points: int = ln.static(50, "training points", at_least=3)
  noise: float = ln.traced(0.5, "deviation of the noise", at_least=0)
  rate: float = ln.traced(0.5, "step size for the kernel's width", above=0)
  updates: int = ln.static(50, "updates of the width", at_least=1)


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


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The learnt width beside a fixed one and the mean of all."""
  x_key, noise_key, _ = jax.random.split(lab.key("data"), 3)
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
  claim = ln.claims("S09")
  loss = "leave-one-out loss with the learnt width over that with width 1"
  sharper = "mean largest attention weight, learnt width over width 1"
  nearer = "squared distance from the truth, width 1 over the mean of all"
  claims = [
    claim(loss, "falls", float(losses[-1] / losses[0]), ln.at_most(0.9)),
    claim(sharper, "parametric is sharper", after / before, ln.at_least(1.2)),
    claim(nearer, "attention beats the mean", fixed / mean, ln.at_most(0.5)),
  ]
  curves = {"truth": truth(at), **{name: found for name, (found, _) in pooled.items()}}
  regression = ln.function_curves(
    [ln.Panel("y", {name: (at, each) for name, each in curves.items()}, points={"points": (x, y)})],
    title="Attention as regression",
    x="x",
    panel_inches=(6.2, 3.8),
    caption="Every prediction is a mean of the points' y: of all alike, or weighted by nearness.",
    file="pooling",
  )
  return ln.Report(claims, [regression])


experiment = ln.Experiment(Config, run)
