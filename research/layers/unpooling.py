"""Max pooling that remembers where its maxima were, and unpooling that puts them back.

Zeiler & Fergus 2014; SegNet (Badrinarayanan et al. 2015), whose decoder has no other knowledge of
the image's details.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Images = Float[Array, "batch height width channel"]
Tiles = Float[Array, "batch rows columns channel"]
Places = Float[Array, "4 batch rows columns channel"]


def max_pool_with_places(x: Images) -> tuple[Tiles, Places]:
  """The maxima of 2x2 windows, and their places.

  Of equal maxima the first counts, row by row; it gets the whole gradient. Height and width are
  even.

  Returns:
    maxima: of each window.
    places: 1 at one of the four positions in the window, in the order of rows, and 0 at the others.
  """
  tiles = jnp.stack([x[:, row::2, column::2] for row in range(2) for column in range(2)])
  places = jnp.moveaxis(jax.nn.one_hot(jnp.argmax(tiles, axis=0), 4, dtype=x.dtype), -1, 0)
  return jnp.sum(tiles * places, axis=0), places


def unpool(x: Tiles, places: Places) -> Float[Array, "batch _ _ channel"]:
  """Twice the height and width: each value at its place in its window, 0 elsewhere."""
  batch, rows, columns, channels = x.shape
  tiles = (x[None] * places).reshape(2, 2, batch, rows, columns, channels)
  return tiles.transpose(2, 3, 0, 4, 1, 5).reshape(batch, 2 * rows, 2 * columns, channels)
