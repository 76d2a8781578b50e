"""Scores and positions of attention (S10, S12, S13).

Vaswani et al. 2017: why dot products are divided by sqrt(d) (section 3.2.1), and sinusoidal
positions (section 3.5), where a shift is one rotation. `attention_pooling` shows what attention was
before, a regression.

    python launch.py --experiment=attention_lessons

Expected: the numbers of the equations; a few seconds.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import research as ln
from research.layers.attention import dot_product_scores, masked_softmax
from research.layers.positional import sinusoids


@ln.pytree_config
class Config:
  """Sizes of what is looked at."""

  dimension: int = ln.static(512, "features of queries and keys", at_least=2)
  places: int = ln.static(60, "positions that are encoded", at_least=2)
  features: int = ln.static(32, "features of a position, even", at_least=2)


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
  q, k = jax.random.normal(lab.key("scores"), (2, 30_000, config.dimension))
  variance = float(jnp.var(jnp.sum(q * k, axis=1))) / config.dimension
  first = float(masked_softmax(jnp.array([2.0, 4.0, 4.0]), jnp.ones(3, bool))[0])
  table = np.asarray(sinusoids(config.places, config.features))
  shift = shift_error(table, 7)
  positions = ln.heat_maps(
    {"": table},
    title="Sinusoidal positions",
    x="feature",
    y="place",
    value_range=(-1, 1),
    shades="value",
    caption="Each pair of features is a hand of a clock; the hands to the right turn more slowly.",
    file="positions",
  )
  s10, s12 = ln.claims("S10"), ln.claims("S12")
  spread = f"variance of q'k / d for normal q, k of d = {config.dimension}"
  softmax, rounded = "softmax of (2, 4, 4): its first entry", "0.063"
  turned = "positions turned by each pair's angle, against the positions 7 on: largest difference"
  return ln.Report(
    [
      s10(spread, "1: so scores are divided by sqrt(d)", variance, ln.within(1, 0.03)),
      s12(softmax, rounded, first, ln.within(0.0634, 0.0001)),
      s12(turned, "equal", shift, ln.at_most(1e-4)),
    ],
    [scaling(lab.key("scaling")), positions],
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


experiment = ln.Experiment(Config, run)
