"""Attribution for convolutional networks: deconvolution with switches, and occlusion.

Zeiler and Fergus 2014. A deconvnet (section 2.1) leads one activation back to the pixels: through
the transposed filters, through max pooling by the switches (each maximum returns to where it came
from; equal ones, as on an empty background, share it), and through a ReLU of the signal itself. All
but the last is what a gradient does, so that the deconvnet is the gradient of a network whose ReLU
hands back `relu(signal)`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Images = Float[Array, "batch height width channel"]
Maps = Float[Array, "batch rows columns feature"]


@jax.custom_vjp
def deconvnet_relu(x: Float[Array, "..."]) -> Float[Array, "..."]:
  """The ReLU; what comes back through it is rectified, wherever the input lay."""
  return jax.nn.relu(x)


deconvnet_relu.defvjp(lambda x: (jax.nn.relu(x), None), lambda _, signal: (jax.nn.relu(signal),))


def lead_back(maps: Callable[[Images], Maps], images: Images, feature: int) -> Images:
  """Each image's strongest activation of one feature map, led back to the pixels.

  Args:
    maps: the activations of a layer, of a network that has `deconvnet_relu` for its ReLU.
    images: that the network looks at.
    feature: which map; everything else in the layer is set to zero.
  """
  activations, back = jax.vjp(maps, images)
  chosen = activations[..., feature]
  is_strongest = chosen == chosen.max(axis=(1, 2), keepdims=True)
  signal = jnp.zeros_like(activations).at[..., feature].set(jnp.where(is_strongest, chosen, 0))
  return back(signal)[0]


def strongest_features(
  maps: Callable[[Images], Maps], images: Images, *, features: int, best: int
) -> tuple[np.ndarray, np.ndarray]:
  """For the liveliest feature maps the images that excite each most, and these led back.

  Args:
    maps: as of `lead_back`.
    images: among which are looked for.
    features: how many maps, those with the largest activations.
    best: how many images for each.

  Returns:
    Two arrays [features * best, height, width, channel]: the images, and what excited the map.
  """
  peaks = jax.jit(lambda x: maps(x).max(axis=(1, 2)))(images)
  chosen = np.asarray(jnp.argsort(-peaks.max(axis=0))[:features])
  back = jax.jit(lambda x, feature: lead_back(maps, x, feature))
  shown, painted = [], []
  for feature in chosen:
    exciting = images[np.asarray(jnp.argsort(-peaks[:, feature])[:best])]
    shown.append(np.asarray(exciting))
    painted.append(np.asarray(back(exciting, feature)))
  return np.concatenate(shown), np.concatenate(painted)


def occlusion_map(
  score: Callable[[Images], Float[Array, " batch"]],
  image: Float[Array, "height width channel"],
  size: int,
  grey: float,
) -> Float[Array, "rows columns"]:
  """The score of the image with a grey square of `size` pixels at each place (section 4.2)."""
  height, width, _ = image.shape
  at = jnp.arange(height)[:, None] - jnp.arange(height - size + 1)[None]
  rows = (at >= 0) & (at < size)
  at = jnp.arange(width)[:, None] - jnp.arange(width - size + 1)[None]
  columns = (at >= 0) & (at < size)
  hidden = rows[:, None, :, None] & columns[None, :, None, :]  # [height, width, row, column]
  covers = jnp.moveaxis(hidden.reshape(height, width, -1), -1, 0)[..., None]
  scores = score(jnp.where(covers, grey, image[None]))
  return scores.reshape(height - size + 1, width - size + 1)
