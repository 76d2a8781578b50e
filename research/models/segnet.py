"""SegNet, and decoders like its own but for the way they enlarge their maps.

Badrinarayanan et al. 2015, "SegNet: a deep convolutional encoder-decoder architecture for image
segmentation": every convolution has batch normalisation and ReLU, and each stage of the decoder
undoes one of the encoder. The U-Net (Ronneberger et al. 2015) also hands the encoder's maps over.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from research.layers.batch_norm import BatchNorm
from research.layers.convolution import Conv
from research.layers.unpooling import max_pool_with_places, unpool

Images = Float[Array, "batch height width channel"]


class SegNet(nn.Module):
  """Logits for every pixel of images whose sides are multiples of 8.

  Attributes:
    widths: feature maps of the encoder's three stages, of one convolution each.
    classes: logits of a pixel.
    decoder: how maps are enlarged: "indices" puts maxima back to where they were, "bilinear"
      interpolates, with as many parameters, and "unet" interpolates and appends the encoder's maps
      of that size.
  """

  widths: tuple[int, ...]
  classes: int
  decoder: str = "indices"

  @nn.compact
  def __call__(self, x: Images, train: bool = False) -> Float[Array, "batch height width class"]:
    """Down to an eighth of the size and back."""
    kept = []
    for width in self.widths:
      x = self._convolved(x, width, train)
      pooled, places = max_pool_with_places(x)
      kept.append((x, places))
      x = pooled
    for number in reversed(range(len(self.widths))):
      earlier, places = kept[number]
      if self.decoder == "indices":
        x = unpool(x, places)
      else:
        x = jax.image.resize(x, (*earlier.shape[:3], x.shape[-1]), "bilinear")
      if self.decoder == "unet":
        x = jnp.concatenate([x, earlier], axis=-1)
      x = self._convolved(x, self.widths[max(number - 1, 0)], train)
    return Conv(self.classes, (1, 1))(x)

  def _convolved(
    self, x: Float[Array, "batch _ _ _"], width: int, train: bool
  ) -> Float[Array, "batch _ _ _"]:
    he = nn.initializers.he_normal()
    x = Conv(width, (3, 3), use_bias=False, kernel_init=he)(x)
    return nn.relu(BatchNorm()(x, train))
