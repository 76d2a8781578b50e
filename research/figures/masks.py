"""Pictures beside the classes of their pixels."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int, UInt8

from research.figures.image_grids import image_grid
from research.report import Picture

Masks = Int[np.ndarray, "image height width"]


def mask_grid(
  images: UInt8[np.ndarray, "image height width channel"],
  masks: Mapping[str, Masks],
  *,
  title: str,
  caption: str,
  file: str = "masks",
) -> Picture:
  """A row for each image: itself, grey or in colours, and its masks, whose names stand below."""
  colours = np.broadcast_to(images, (*images.shape[:3], 3))
  columns = np.stack([colours, *map(coloured, masks.values())], axis=1)
  return image_grid(
    columns.reshape(-1, *colours.shape[1:]),
    title=title,
    note=", ".join(["scene", *masks]),
    columns=columns.shape[1],
    value_range=(0, 255),
    caption=caption,
    file=file,
  )


def coloured(masks: Masks) -> UInt8[np.ndarray, "image height width 3"]:
  """Masks as pictures: class 0 is black, and each other one has a colour of its own, up to 20."""
  from matplotlib import colormaps

  palette = 255 * colormaps["tab20"](np.arange(20))[:, :3]
  return np.concatenate([np.zeros((1, 3)), palette])[masks].astype(np.uint8)
