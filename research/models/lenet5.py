"""LeNet-5 as LeCun, Bottou, Bengio and Haffner 1998 have it, section II.B (inventory A01)."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from research.initializers import Initializer
from research.layers.convolution import Conv, convolve
from research.layers.pooling import avg_pool

Images = Float[Array, "batch height width channel"]

# Table I: which maps of S2 each of the sixteen maps of C3 sees.
CONNECTIONS = (
  *((first, (first + 1) % 6, (first + 2) % 6) for first in range(6)),
  *(tuple((first + step) % 6 for step in range(4)) for first in range(6)),
  *((first, first + 1, (first + 3) % 6, (first + 4) % 6) for first in range(3)),
  tuple(range(6)),
)

# Seven by twelve pixels for each digit: what the last hidden layer is to look like. The paper shows
# its bitmaps in figure 3; these are drawn anew.
BITMAPS = """
..###.. ...#... .#####. .#####. ....##. ####### ..####. ####### ..###.. ..###..
.##.##. ..##... ##...## ##...## ...###. ##..... .##..## ##...## .##.##. .##.##.
##...## .###... .....## .....## ..####. ##..... ##..... .....## ##...## ##...##
##...## ..##... .....## .....## .##.##. ##..... ##..... ....##. ##...## ##...##
##...## ..##... ....##. .....## ##..##. ######. ##..... ....##. .##.##. ##...##
##...## ..##... ...##.. ..####. ##..##. .....## ######. ...##.. ..###.. .##..##
##...## ..##... ..##... .....## ####### .....## ##...## ...##.. .##.##. ..#####
##...## ..##... .##.... .....## ....##. .....## ##...## ..##... ##...## .....##
##...## ..##... ##..... .....## ....##. .....## ##...## ..##... ##...## .....##
##...## ..##... ##..... .....## ....##. .....## ##...## ..##... ##...## .....##
.##.##. ..##... ##...## ##...## ....##. ##...## .##.##. ..##... .##.##. ##..##.
..###.. .####.. ####### .#####. ....##. .#####. ..###.. ..##... ..###.. .####..
"""


def codes() -> Float[Array, "10 84"]:
  """The bitmaps as rows of -1 (paper) and +1 (ink)."""
  rows = [line.split() for line in BITMAPS.split("\n") if line]
  ink = [["".join(row[digit] for row in rows)] for digit in range(10)]
  return jnp.asarray([[1.0 if pixel == "#" else -1.0 for pixel in text] for [text] in ink])


def squash(a: Float[Array, "..."]) -> Float[Array, "..."]:
  """1.7159 tanh(2/3 a), which maps +-1 to +-1 (equation 6 and appendix A)."""
  return 1.7159 * jnp.tanh(2 / 3 * a)


def fan_in_uniform(
  key: Key[Array, ""], shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
) -> Float[Array, "..."]:
  """Uniform between +-2.4 over the number of inputs (appendix A)."""
  bound = 2.4 / np.prod(shape[:-1])
  return jax.random.uniform(key, shape, dtype, -bound, bound)


class Subsampling(linen.Module):
  """Layers S2 and S4: means of 2x2, times a trainable coefficient per map, plus a trainable bias.

  A coefficient of 1 passes the mean on; the paper multiplies the sum of the four, of which 1/4 is
  the same.
  """

  @linen.compact
  def __call__(self, x: Images) -> Float[Array, "batch half_height half_width channel"]:
    """squash(coefficient * mean + bias)."""
    channels = (1, 1, 1, x.shape[-1])
    coefficient = self.param("coefficient", linen.initializers.ones, channels)
    return squash(
      avg_pool(x) * coefficient + self.param("bias", linen.initializers.zeros, channels)
    )


class TableConv(linen.Module):
  """Layer C3: a 5x5 convolution whose maps see only some of the maps before (table I).

  Attributes:
    kernel_init: initialiser of each map's kernel, by the number of maps that it sees.
  """

  kernel_init: Initializer = fan_in_uniform

  @linen.compact
  def __call__(self, x: Images) -> Float[Array, "batch out_height out_width 16"]:
    """The convolution, before its activation."""
    pairs = np.array([(at, to) for to, seen in enumerate(CONNECTIONS) for at in seen])
    sources, targets = pairs[:, 0], pairs[:, 1]
    shape = (5, 5, 6, len(CONNECTIONS))

    def initial(key: Key[Array, ""]) -> Float[Array, "5 5 connection"]:
      keys = jax.random.split(key, len(CONNECTIONS))
      sizes = [(5, 5, len(seen), 1) for seen in CONNECTIONS]
      drawn = [self.kernel_init(key, size) for key, size in zip(keys, sizes, strict=True)]
      return jnp.concatenate(drawn, axis=2)[..., 0]

    connected = self.param("kernel", initial)
    kernel = jnp.zeros(shape, connected.dtype).at[:, :, sources, targets].set(connected)
    bias = self.param("bias", linen.initializers.zeros, (1, 1, 1, len(CONNECTIONS)))
    return convolve(x, kernel, (1, 1), "VALID") + bias


class LeNet5(linen.Module):
  """C1, S2, C3, S4, C5, F6 and ten radial basis functions; 60,000 parameters on 32x32x1.

  Images of 28x28 are framed to 32x32. The output is minus the squared distance to each digit's
  fixed code: the paper's penalty (equation 7) with its sign turned, so that the largest is the
  answer. Under softmax cross-entropy these are the logits of equation 9 with its j at infinity.

  Attributes:
    kernel_init: initialiser of all weights.
  """

  kernel_init: Initializer = fan_in_uniform

  @linen.compact
  def __call__(
    self, x: Float[Array, "batch height width 1"], train: bool = False
  ) -> Float[Array, "batch 10"]:
    """Minus the penalties; `train` changes nothing here."""
    del train
    frame = [((32 - size) // 2, 32 - size - (32 - size) // 2) for size in x.shape[1:3]]
    x = jnp.pad(x, ((0, 0), *frame, (0, 0)))
    x = squash(Conv(6, (5, 5), padding="VALID", kernel_init=self.kernel_init)(x))
    x = Subsampling()(x)
    x = squash(TableConv(self.kernel_init)(x))
    x = Subsampling()(x)
    x = squash(Conv(120, (5, 5), padding="VALID", kernel_init=self.kernel_init)(x))
    x = squash(linen.Dense(84, kernel_init=self.kernel_init)(x.reshape(x.shape[0], 120)))
    return -jnp.sum(jnp.square(x[:, None] - codes()[None]), axis=-1)
