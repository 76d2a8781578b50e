"""Paired differences, their means and confidence intervals."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from research.figures.style import INK, label_axes, legend_below, new_figure
from research.report import Picture

PAIR = "#999999"
BELOW = 0.2  # of a row, by which pairs stand under their mean, which would cover them


def compare_pairs(
  differences: Mapping[str, Float[np.ndarray, " pair"]],
  *,
  title: str,
  x: str,
  caption: str,
  file: str = "compare_pairs",
  panel_inches: tuple[float, float] = (6.4, 3.4),
) -> Picture:
  """A row for each name: every pair's difference, and their mean with its 95 % interval.

  The means stand beside the rows as numbers too. `x` names the horizontal axis, with its unit.

  Raises ValueError as `half_interval` does.
  """
  figure, grid = new_figure(title, panel_inches=panel_inches)
  axes = grid[0, 0]
  for row, each in enumerate(differences.values()):
    half = half_interval(each)
    axes.plot(each, np.full(len(each), row + BELOW), "o", color=PAIR, markersize=4)
    axes.errorbar(each.mean(), row, xerr=half, fmt="D", color=INK, capsize=4, markersize=6)
    digits = max(2, 1 - math.floor(math.log10(half))) if half else 2  # two that the interval has
    words = f"{each.mean():+.{digits}f} ± {half:.{digits}f}"
    axes.annotate(words, (1.01, row), xycoords=axes.get_yaxis_transform(), va="center")
  axes.axvline(0, color=INK, linewidth=0.8, linestyle="--")
  axes.set_yticks(range(len(differences)), list(differences))
  axes.set_ylim(len(differences) - 0.5, -0.5)
  label_axes(axes, x, "")
  return Picture(file, figure, caption)


def paired_values(
  baseline: Float[np.ndarray, " pair"],
  change: Float[np.ndarray, " pair"],
  names: Sequence[str],
  *,
  title: str,
  y: str,
  caption: str,
  file: str = "paired_values",
) -> Picture:
  """A line for every pair, from its value before a change to the one after it, and the means.

  `names` are those of the two columns; `y` names the vertical axis, with its unit.
  """
  figure, grid = new_figure(title, panel_inches=(4.6, 3.4))
  axes = grid[0, 0]
  for number, pair in enumerate(zip(baseline, change, strict=True)):
    label = None if number else "a pair of equal seeds"
    axes.plot((0, 1), pair, "-o", color=PAIR, markersize=4, linewidth=1, label=label)
  means = (baseline.mean(), change.mean())
  axes.plot((0, 1), means, "-D", color=INK, markersize=6, linewidth=2, label="the mean")
  axes.set_xticks((0, 1), names)
  axes.set_xlim(-0.25, 1.25)
  label_axes(axes, "", y)
  legend_below(figure)
  return Picture(file, figure, caption)


def half_interval(values: Float[np.ndarray, " n"]) -> float:
  """Half the width of the mean's 95 % interval, from Student's t distribution.

  Raises ValueError for fewer than two.
  """
  from scipy import stats  # takes a second

  count = len(values)
  if count < 2:
    raise ValueError(f"an interval needs two pairs or more, not {count}")
  return float(stats.t.ppf(0.975, count - 1) * values.std(ddof=1) / np.sqrt(count))
