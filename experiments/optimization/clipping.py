"""Gradient clipping: no step longer than theta, in the same direction (O09).

Dive into Deep Learning, section 9.5: g <- min(1, theta / ||g||) g over all parameters together,
with theta = 1. The network here
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
  is_broken, last = ~np.isfinite(without[0]), float(with_clipping[0][-1])
  longest = max(float(norm(c)) for c in clipped) / config.theta
  least = min(cosine(g, c) for g, c in zip(gradients, clipped, strict=True))
  broken = float(np.argmax(is_broken)) if is_broken.any() else np.inf
  claim, cliff = ln.claims("O09"), f"w^{config.depth}, rate {config.rate:g}"
  sizes = "longest of 140 clipped gradients of sizes 1e-20 to 1e20 / theta"
  angle = "smallest cosine between a gradient and the clipped one"
  kept = "share of the gradients shorter than theta that stay as they are, to the bit"
  equal = "distance from optax.clip_by_global_norm, the largest"
  until = f"{cliff}, without: updates until the loss is no number"
  return ln.Report(
    [
      claim(sizes, "at most 1 (theta, not 0)", longest, ln.at_most(1.000001)),
      claim(angle, "1: direction kept", least, ln.at_least(0.999999)),
      claim(kept, "all", float(np.mean(same)), ln.equals(1)),
      claim(equal, "equal", max(off), ln.at_most(1e-6 * config.theta)),
      claim(f"{cliff}, with clipping: last loss", "trains", last, ln.at_most(1e-6)),
      claim(until, "diverges", broken, ln.at_most(10)),
    ],
    [picture(config, {"with clipping": with_clipping, "without": without})],
  )


def picture(config: Config, descents: dict[str, tuple[np.ndarray, np.ndarray]]) -> ln.Picture:
  """Loss and length of the gradient over the updates."""
  updates = np.arange(config.steps)

  def shown(series: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values = np.asarray(series, np.float64)
    return updates, np.where(np.isfinite(values) & (values > 1e-14), values, np.nan)

  losses = {name: shown(loss) for name, (loss, _) in descents.items()}
  lengths = {name: shown(length) for name, (_, length) in descents.items()}
  lengths["theta"] = (updates, np.full(config.steps, config.theta))
  return ln.function_curves(
    [
      ln.Panel("loss", losses, log="y", y_range=(None, 1e9)),
      ln.Panel("length of the gradient before clipping", lengths, log="y", y_range=(1e-3, 1e10)),
    ],
    title=f"Down the cliff of w^{config.depth}",
    x="update",
    caption="A line ends where its value is 0 or no number, or leaves the picture.",
    file="cliff",
  )


experiment = ln.Experiment(Config, run)
