"""A judge of photographs and of pictures made of them: EfficientNet-Lite0, taught by ImageNet."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from research.models import pretrained
from research.models.efficientnet import EfficientNetLite0

ARCHITECTURE = "efficientnet_lite0"
SIDE = 224  # pixels, for which the weights are

Picture = Float[np.ndarray, "height width 3"]


def check() -> None:
  """Raises UserError where the weights are not installed, so that it can be known early."""
  pretrained.published_file(ARCHITECTURE)


def places_of_class(photograph: Picture, pictures: Sequence[Picture]) -> list[int]:
  """The place of the photograph's likeliest class among each picture's, 1 being the likeliest.

  Args:
    photograph: of numbers from 0 to 1.
    pictures: of the same size.

  Raises:
    UserError: the weights are not installed.
  """
  variables = pretrained.read(ARCHITECTURE, pretrained.published_file(ARCHITECTURE))
  images = jnp.asarray(np.stack([photograph, *pictures]))
  large = jax.image.resize(images, (len(images), SIDE, SIDE, 3), "bilinear")
  of_images = jax.jit(lambda x: EfficientNetLite0().apply(variables, (255 * x - 127) / 128))
  logits = np.asarray(of_images(large))
  label = logits[0].argmax()
  return [1 + int(np.sum(row > row[label])) for row in logits[1:]]
