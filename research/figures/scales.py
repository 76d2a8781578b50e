"""Axes of curves that stay upright and filled, whatever the values."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from research.figures.style import INK

NOTHING = "no value is finite"
FEW = 2  # powers of ten on a logarithmic axis, below which the ticks between them have numbers too


def scale_axes(axes: Axes, kind: str, log: bool) -> None:
  """Scales the axes of curves over steps: whole steps, accuracies in %, and no empty panel.

  A panel without a finite value says so; `log` is for values above zero, where there are any.
  """
  axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
  say_if_empty(axes)
  points = np.concatenate([np.empty((0, 2)), *(line.get_xydata() for line in axes.lines)])
  is_finite = np.isfinite(points).all(axis=1)
  x, values = points[is_finite if is_finite.any() else ...].T
  if len(x) and (np.ptp(x) < 1 or not is_finite.any()):  # there is no range to go by
    axes.set_xlim(x.min() - 1, x.max() + 1)
  if log and (values[np.isfinite(values)] > 0).any():  # there is no logarithm of the others
    axes.set_yscale("log")
    _plain_ticks(axes)
  if kind == "accuracy":
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))


def say_if_empty(axes: Axes, low: float = -np.inf, high: float = np.inf) -> None:
  """Says in a panel of curves that none of their values is finite and in [low, high]."""
  values = np.concatenate([[np.nan], *(np.ravel(line.get_ydata()) for line in axes.lines)])
  is_seen = np.isfinite(values) & (values >= low) & (values <= high)
  if not is_seen.any():
    words = NOTHING if low == -np.inf and high == np.inf else f"{NOTHING} and in this range"
    axes.text(0.5, 0.5, words, fontsize=9, color=INK, ha="center", transform=axes.transAxes)


def _plain_ticks(axes: Axes) -> None:
  """Writes the ticks of a logarithmic axis as numbers; between powers of ten where few fit."""

  def between(value: float, position: int) -> str:
    low, high = axes.get_ylim()
    powers = np.floor(np.log10(high)) - np.ceil(np.log10(low)) + 1
    digit = round(value / 10 ** np.floor(np.log10(value)))
    is_written = powers < FEW and (digit in (2, 5) or high < 5 * low)
    return f"{value:.6g}" if is_written else ""

  axes.yaxis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:.6g}"))
  axes.yaxis.set_minor_formatter(FuncFormatter(between))


def cut_accuracy(axes: Axes, floor: float | None) -> None:
  """Ends an accuracy axis at 1, and begins it at a floor that hides neither the end of a curve nor
  half of its values."""
  lines = [np.asarray(line.get_ydata(), float) for line in axes.lines]
  curves = [values[np.isfinite(values)] for values in lines if np.isfinite(values).any()]
  bottom, top = axes.get_ylim()
  seen = [min(values[-1], np.median(values)) for values in curves]
  if floor is not None and min(seen, default=0.0) > floor:
    bottom = floor
  axes.set_ylim(bottom, max(min(1.005, top), bottom + 0.01))
