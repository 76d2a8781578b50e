"""Gradient clipping: no step longer than theta, in the same direction (O09).

Dive into Deep Learning, section 9.5: g <- min(1, theta / ||g||) g over all parameters together,
with theta = 1. (The notes lost the symbol and clip where the length "exceeds 0".) The network here
is the deepest cliff there is: one weight applied ten times, w^10, fitted to 1 from w = 2, where the
gradient is five million times too long. What clipping does to a recurrent network is measured
with those.

    python launch.py --experiment=clipping

Expected: norms at most theta, directions kept; at rate 0.01 the loss reaches 0 with clipping, and
without is no number within ten steps; a few seconds.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float
from matplotlib.figure import Figure

import research as ln


@ln.pytree_config
class Config:
  """The cliff, and how it is descended."""

  theta: float = ln.traced(1.0, "longest gradient", above=0)
  depth: int = ln.static(10, "times the weight is applied", at_least=2)
  start: float = ln.traced(2.0, "the first weight")
  rate: float = ln.traced(0.01, "step size", above=0)
  steps: int = ln.static(300, "updates", at_least=1)


def norm(gradient: Any) -> Float[Array, ""]:
  """Length of all arrays of a pytree together; the largest entry is taken out against overflow."""
  leaves = jax.tree.leaves(gradient)
  largest = jnp.max(jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in leaves]))
  scale = jnp.where(largest > 0, largest, 1)
  return scale * jnp.sqrt(sum(jnp.sum(jnp.square(leaf / scale)) for leaf in leaves))


def clip(gradient: Any, theta: float) -> Any:
  """min(1, theta / ||g||) g; short gradients, and those of length zero, stay as they are."""
  length = norm(gradient)
  factor = jnp.where(length > theta, theta / jnp.where(length > 0, length, 1), 1)
  return jax.tree.map(lambda leaf: factor * leaf, gradient)


def draw(rng: np.random.Generator, power: float) -> dict[str, Array]:
  """A gradient of several arrays, of a size around 10^power."""
  shapes = {"w": (4, 3), "b": (3,), "scale": ()}
  return {name: jnp.asarray(10.0**power * rng.normal(size=s), float) for name, s in shapes.items()}


def cosine(a: Any, b: Any) -> float:
  """Returns the cosine of the angle between two gradients, in NumPy's float64."""
  flat = lambda tree: np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])
  a, b = (flat(tree).astype(np.float64) for tree in (a, b))
  return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def descend(
  config: Config, *, is_clipped: bool
) -> tuple[Float[Array, " steps"], Float[Array, " steps"]]:
  """Loss and length of the gradient before every update of w, for the loss (w^depth - 1)^2 / 2."""
  loss = lambda w: 0.5 * (w**config.depth - 1) ** 2

  def step(w: Array, _: None) -> tuple[Array, tuple[Array, Array]]:
    value, gradient = jax.value_and_grad(loss)(w)
    used = clip(gradient, config.theta) if is_clipped else gradient
    return w - config.rate * used, (value, jnp.abs(gradient))

  return jax.lax.scan(step, jnp.asarray(config.start, float), None, length=config.steps)[1]


POWERS = (-20, -6, -1, 0, 1, 6, 20)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The rule on gradients of all sizes, then the cliff with and without it."""
  rng = np.random.default_rng(lab.seed)
  gradients = [draw(rng, power) for power in POWERS for _ in range(20)]
  clipped = [clip(gradient, config.theta) for gradient in gradients]
  short = [pair for pair in zip(gradients, clipped, strict=True) if norm(pair[0]) <= config.theta]
  same = [all(np.array_equal(g[name], c[name]) for name in g) for g, c in short]
  by_optax = optax.clip_by_global_norm(config.theta)
  moderate = [g for g in gradients if 1e-10 < norm(g) < 1e10]  # optax squares without scaling
  off = [
    float(norm(jax.tree.map(jnp.subtract, clip(g, config.theta), by_optax.update(g, None)[0])))
    for g in moderate
  ]
  with jax.enable_x64(True):
    with_clipping = jax.device_get(descend(config, is_clipped=True))
    without = jax.device_get(descend(config, is_clipped=False))
  is_broken = ~np.isfinite(without[0])
  return ln.Report(
    [
      ln.Claim(
        "O09",
        "longest of 140 clipped gradients of sizes 1e-20 to 1e20 / theta",
        "at most 1 (theta, not 0)",
        max(float(norm(c)) for c in clipped) / config.theta,
        ln.at_most(1.000001),
      ),
      ln.Claim(
        "O09",
        "smallest cosine between a gradient and the clipped one",
        "1: direction kept",
        min(cosine(g, c) for g, c in zip(gradients, clipped, strict=True)),
        ln.at_least(0.999999),
      ),
      ln.Claim(
        "O09",
        "share of the gradients shorter than theta that stay as they are, to the bit",
        "all",
        float(np.mean(same)),
        ln.equals(1),
      ),
      ln.Claim(
        "O09",
        "distance from optax.clip_by_global_norm, the largest",
        "equal",
        max(off),
        ln.at_most(1e-6 * config.theta),
      ),
      ln.Claim(
        "O09",
        f"w^{config.depth}, rate {config.rate:g}, with clipping: last loss",
        "trains",
        float(with_clipping[0][-1]),
        ln.at_most(1e-6),
      ),
      ln.Claim(
        "O09",
        f"w^{config.depth}, rate {config.rate:g}, without: updates until the loss is no number",
        "diverges",
        float(np.argmax(is_broken)) if is_broken.any() else np.inf,
        ln.at_most(10),
      ),
    ],
    [
      ln.Picture(
        "cliff",
        cliff(config, {"with clipping": with_clipping, "without": without}),
        "Without clipping the first step is fifty thousand long: the loss leaves the picture, and "
        "then the floats. With it the weight walks down the cliff in steps of one length.",
      )
    ],
  )


def cliff(config: Config, descents: dict[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
  """Loss and gradient over the updates."""
  figure, grid = ln.new_figure(f"Down the cliff of w^{config.depth}", columns=2)
  for index, (name, values) in enumerate(descents.items()):
    look = ln.stroke(index)
    for axes, series in zip(grid[0], values, strict=True):
      shown = np.asarray(series, np.float64)
      shown = np.where(np.isfinite(shown) & (shown > 1e-14), shown, np.nan)
      axes.plot(
        shown,
        color=look.colour,
        linestyle=look.dashes,
        marker=look.marker,
        markevery=20,
        markersize=5,
        label=name,
      )
  ln.label_axes(grid[0, 0], "update", "loss")
  ln.label_axes(grid[0, 1], "update", "length of the gradient before clipping")
  grid[0, 1].axhline(config.theta, color="#555555", linewidth=0.9, label="theta")
  for axes in grid[0]:
    axes.set_yscale("log")
  grid[0, 0].set_ylim(top=1e9)
  grid[0, 1].set_ylim(1e-3, 1e10)
  ln.legend_below(figure)
  return figure


experiment = ln.Experiment(Config, run)
