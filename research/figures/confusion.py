"""Confusion matrices."""

from collections.abc import Sequence

import flax.linen as nn
import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike

from research.figures.style import INK, label_axes, new_figure
from research.report import Picture
from research.set_metrics import confusion_counts
from research.training import Fit, answers_of

MOST_CLASSES_WITH_NUMBERS = 20


def confusion_matrix(
  counts: ArrayLike,
  *,
  title: str,
  class_names: Sequence[str] | None = None,
  caption: str,
  file: str = "confusion_matrix",
) -> Picture:
  """Counts [k, k], rows by label and columns by prediction; the shade is the share of the label.

  Shades follow the square root of the share, so that the few mistakes of a good classifier are
  seen. Counts are printed up to 20 classes, zeros left out.

  Raises ValueError where `counts` is not square or the names are not as many.
  """
  table = np.asarray(counts)
  if table.ndim != 2 or table.shape[0] != table.shape[1]:
    raise ValueError(f"a confusion matrix is square, not {table.shape}")
  names = list(class_names) if class_names is not None else [str(k) for k in range(len(table))]
  if len(names) != len(table):
    raise ValueError(f"{len(names)} class names for {len(table)} classes")

  totals = table.sum(1, keepdims=True)
  shares = table / np.where(totals == 0, 1, totals)
  side = max(4.0, 0.42 * min(len(table), MOST_CLASSES_WITH_NUMBERS) + 1.4)
  figure, grid = new_figure(title, panel_inches=(side + 0.6, side))
  axes = grid[0, 0]
  shades = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0.0, vmax=1.0))
  bar = figure.colorbar(shades, ax=axes, shrink=0.75, pad=0.02, ticks=[0, 0.01, 0.1, 0.25, 0.5, 1])
  bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=""))
  bar.ax.tick_params(labelsize=9, colors=INK)
  bar.set_label("share of the label's examples (%)", fontsize=10, color=INK)
  accuracy = np.trace(table) / max(1, table.sum())
  label_axes(axes, "prediction", "label", f"{100 * accuracy:.2f} % of {int(table.sum()):,} right")
  axes.grid(False)
  if len(table) <= MOST_CLASSES_WITH_NUMBERS:
    turned = max(len(name) for name in names) > 3
    axes.set_xticks(
      range(len(table)), names, rotation=45 if turned else 0, ha="right" if turned else "center"
    )
    axes.set_yticks(range(len(table)), names)
    for row, column in zip(*np.nonzero(table), strict=True):
      colour = "white" if shares[row, column] > 0.36 else INK
      axes.text(
        column, row, f"{table[row, column]}", ha="center", va="center", fontsize=8, color=colour
      )
  return Picture(file, figure, caption)


def confusion(
  fit: Fit,
  model: nn.Module,
  *,
  split: str = "test",
  title: str = "Test images by class and answer",
  class_names: Sequence[str] | None = None,
  caption: str = "Counts off the diagonal are mistakes.",
  file: str = "confusion",
) -> Picture:
  """The confusion matrix of a classifier of images on one of its fit's evaluation sets.

  Classes have the names of the fit's data where no others are given.
  """
  data, answers = answers_of(fit, model, split)
  names = class_names or fit.training.class_names or None
  classes = len(names) if names else int(max(data["label"].max(), answers.max())) + 1
  counts = confusion_counts(data["label"], answers, classes)
  return confusion_matrix(counts, title=title, class_names=names, caption=caption, file=file)
