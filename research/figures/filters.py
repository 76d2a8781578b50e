"""First-layer convolution kernels as small pictures."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike

from research.figures.style import INK, new_figure
from research.report import Picture

GAP_COLOUR = "#b3cde3"


def filter_montage(
  panels: Mapping[str, ArrayLike],
  *,
  title: str,
  columns: int | None = None,
  shared_scale: bool = True,
  caption: str,
  file: str = "filter_montage",
) -> Picture:
  """Kernels side by side, such as {"before training": w0, "after training": w}.

  Each value is [kernel height, kernel width, channels in, channels out]. Each kernel is one tile,
  white for the most negative weight and black for the most positive one, on a scale that is
  symmetric about zero, so that mid-grey is zero. All panels share the scale, and so compare;
  without `shared_scale` each panel has its own, which shows the pattern of weights too small to be
  seen beside the others. With several input channels the tiles of one kernel stand side by side.
  `columns` counts kernels to a row.

  Raises ValueError naming a panel of another shape.
  """
  weights = {name: np.asarray(kernels, float) for name, kernels in panels.items()}
  for name, kernels in weights.items():
    if kernels.ndim != 4:
      raise ValueError(f"{name!r}: kernels are [height, width, in, out], not {kernels.shape}")
  limits = {name: float(np.abs(kernels).max()) or 1.0 for name, kernels in weights.items()}
  if shared_scale:
    limits = dict.fromkeys(limits, max(limits.values()))

  montages = [tile(kernels, columns) for kernels in weights.values()]
  height, width = montages[0].shape
  panel = (4.3, min(6.0, max(1.6, 3.6 * height / width)) + 0.3)
  figure, grid = new_figure(title, columns=len(montages), panel_inches=panel)
  for axes, name, montage in zip(grid[0], weights, montages, strict=True):
    axes.set_facecolor(GAP_COLOUR)
    limit = limits[name]
    shades = axes.imshow(montage, cmap="gray_r", vmin=-limit, vmax=limit, interpolation="nearest")
    axes.set_title(name, fontsize=10.5, color=INK)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
      spine.set_visible(False)
    if not shared_scale:
      _colour_bar(figure, shades, [axes])
  if shared_scale:
    _colour_bar(figure, shades, list(grid[0]))
  return Picture(file, figure, caption)


def tile(kernels: np.ndarray, columns: int | None = None) -> np.ndarray:
  """One image of all kernels [kh, kw, in, out]; NaN fills the gaps around the tiles.

  A row holds `columns` kernels, by default as many as make the image about square. Gaps are one
  pixel, and two between kernels of several input channels, to show which channels belong together.
  """
  kh, kw, channels_in, channels_out = kernels.shape
  if columns is None:
    columns = int(np.ceil(np.sqrt(channels_out / channels_in)))
  columns = max(1, min(columns, channels_out))
  rows = -(-channels_out // columns)
  gap = 1 if channels_in == 1 else 2
  pitch = channels_in * (kw + 1) - 1 + gap
  montage = np.full((rows * (kh + gap) + gap, columns * pitch + gap), np.nan)
  for out in range(channels_out):
    for channel in range(channels_in):
      top = (out // columns) * (kh + gap) + gap
      left = (out % columns) * pitch + channel * (kw + 1) + gap
      montage[top : top + kh, left : left + kw] = kernels[:, :, channel, out]
  return montage


def _colour_bar(figure: Figure, shades: AxesImage, panels: list[Axes]) -> None:
  bar = figure.colorbar(shades, ax=panels, pad=0.02)
  bar.set_label("weight", fontsize=10, color=INK)
  bar.ax.tick_params(labelsize=9, colors=INK)
