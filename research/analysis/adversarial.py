"""Adversarial examples: images changed so little that only a network is deceived.

Three ways to find them: the box-constrained L-BFGS of Szegedy et al. 2014 (section 4.1), which
looks for the nearest one; the fast gradient sign of Goodfellow et al. 2015 (section 4); and the
projected gradient of Madry et al. 2018 (section 2.1), the strongest within a given distance.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int
from scipy.optimize import minimize

Images = Float[Array, "batch height width channel"]
Labels = Int[Array, " batch"]
Logits = Callable[[Images], Float[Array, "batch class"]]

PIXELS = (0.0, 1.0)
# The weight of the distance is sought between these, for cross-entropies in nats and distances
# as roots of sums of squares: at the first the distance hardly counts, at the second nothing else.
WEIGHTS = (1e-4, 10.0)
_NEAR_ZERO = 1e-12  # inside the root, whose slope at zero is infinite


def distortion(
  images: Float[Array, " batch *pixels"], changed: Float[Array, " batch *pixels"]
) -> Float[Array, " batch"]:
  """Root mean square change of a pixel (Szegedy et al., section 4.2)."""
  axes = tuple(range(1, images.ndim))
  return jnp.sqrt(jnp.mean(jnp.square(changed - images), axis=axes))


def with_distortion(changes: Images, size: float | Float[Array, " batch"]) -> Images:
  """The changes, scaled to have distortions of `size`."""
  factor = size / distortion(jnp.zeros_like(changes), changes)
  return changes * jnp.broadcast_to(factor, len(changes))[:, None, None, None]


def error(logits: Logits, images: Images, labels: Labels) -> float:
  """Share of the images whose label is not the network's answer."""
  return float(jnp.mean(logits(images).argmax(-1) != labels))


def fast_gradient_sign(
  logits: Logits, images: Images, labels: Labels, size: float | Float[Array, ""]
) -> Images:
  """Every pixel moved by `size` to where the loss rises, and kept within [0, 1]."""
  return jnp.clip(images + size * jnp.sign(_uphill(logits, images, labels)), *PIXELS)


def projected_gradient(
  logits: Logits,
  images: Images,
  labels: Labels,
  size: float | Float[Array, ""],
  steps: int = 20,
) -> Images:
  """`steps` signs of the gradient, no pixel ever further than `size` from where it was.

  It begins at the images themselves, so that nothing is random; a step is 2.5 size / steps, as
  Madry et al. have it, so that every point within reach can be reached.
  """

  def step(_: int, changed: Images) -> Images:
    moved = changed + 2.5 * size / steps * jnp.sign(_uphill(logits, changed, labels))
    return jnp.clip(jnp.clip(moved, images - size, images + size), *PIXELS)

  return jax.lax.fori_loop(0, steps, step, images)


def _uphill(logits: Logits, images: Images, labels: Labels) -> Images:
  loss = lambda x: optax.softmax_cross_entropy_with_integer_labels(logits(x), labels).sum()
  return jax.grad(loss)(images)


def nearest_taken_for(
  logits: Logits,
  images: Images,
  targets: Labels,
  *,
  box: tuple[float, float] | None = PIXELS,
  halvings: int = 10,
) -> np.ndarray:
  """The nearest image to each that is taken for its target, by box-constrained L-BFGS.

  It minimises c |r| + loss(x + r, target) over the change r, with x + r in the box. Of all c the
  largest is sought whose minimum still is taken for the target: bisected on a logarithmic scale.

  Args:
    logits: the network.
    images: to start from.
    targets: classes that they are to be taken for.
    box: the least and the largest value of a pixel; None for no bounds.
    halvings: of the interval `WEIGHTS`; ten leave c uncertain by 1 %.

  Returns:
    [batch, height, width, channel]; NaN for an image of which no change was found.
  """

  @jax.jit
  def cost(change: Array, image: Array, target: Array, weight: Array) -> tuple[Any, Any]:
    def total(change: Array) -> tuple[Array, Array]:
      outputs = logits((image + change.reshape(image.shape))[None])
      loss = optax.softmax_cross_entropy_with_integer_labels(outputs, target[None])[0]
      distance = jnp.sqrt(jnp.sum(jnp.square(change)) + _NEAR_ZERO)
      return weight * distance + loss, jnp.argmax(outputs[0])

    return jax.value_and_grad(total, has_aux=True)(change)

  def minimum(image: Array, target: Array, weight: float) -> tuple[np.ndarray, bool]:
    """The change, and whether the network takes the changed image for the target."""
    flat = np.asarray(image, np.float64).ravel()
    bounds = None if box is None else np.stack([box[0] - flat, box[1] - flat], axis=1)
    # L-BFGS first steps by the gradient itself. Longer than 1, it may end where all sigmoids are
    # saturated and nothing has a slope; so the cost is measured in units of its first gradient.
    start = np.zeros(flat.size)
    _, slope = cost(jnp.asarray(start, image.dtype), image, target, weight)
    unit = max(1.0, float(np.linalg.norm(slope)))

    def function(change: np.ndarray) -> tuple[float, np.ndarray]:
      (value, _), slope = cost(jnp.asarray(change, image.dtype), image, target, weight)
      return float(value) / unit, np.asarray(slope, np.float64) / unit

    change = minimize(function, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    change = change.astype(image.dtype)
    (_, answer), _ = cost(jnp.asarray(change), image, target, weight)
    return change.reshape(image.shape), int(answer) == int(target)

  found = np.full(images.shape, np.nan, images.dtype)
  for number, (image, target) in enumerate(zip(images, targets, strict=True)):
    low, high = np.log(WEIGHTS)
    change, is_taken = minimum(image, target, float(np.exp(low)))
    if not is_taken:
      continue
    found[number] = image + change
    for _ in range(halvings):
      middle = (low + high) / 2
      change, is_taken = minimum(image, target, float(np.exp(middle)))
      if is_taken:
        found[number] = image + change
      low, high = (middle, high) if is_taken else (low, middle)
  return found


def nearest_on_the_other_side(
  image: Float[Array, " pixels"], weights: Float[Array, " pixels"], bias: Float[Array, ""]
) -> Float[Array, " pixels"]:
  """Closed form for a linear decision w x + b > 0: the foot of the perpendicular, x - (w x + b) w /
  |w|^2."""
  return image - (weights @ image + bias) * weights / (weights @ weights)
