"""Pictures of a hyper-parameter search."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from research.figures.style import INK, label_axes, legend_below, new_figure, stroke
from research.report import Picture


class Curves(NamedTuple):
  """A trial's learning curves.

  Attributes:
    title: of its panel.
    lines: by name, values after each interval.
  """

  title: str
  lines: Mapping[str, Sequence[float]]


class Axis(NamedTuple):
  """A swept parameter.

  Attributes:
    name: of the field.
    scale: "linear", "log", "oneminus", or "choice".
    places: of each trial in the unit interval.
    labels: some places and the values there.
  """

  name: str
  scale: str
  places: Sequence[float]
  labels: Sequence[tuple[float, str]]


def best_curves(
  trials: Sequence[Curves], metric: str, *, title: str, caption: str, file: str = "best_curves"
) -> Picture:
  """The learning curves of the best trials, a panel each, best first, on one scale."""
  columns = min(5, len(trials))
  rows = math.ceil(len(trials) / columns)
  figure, grid = new_figure(title, rows, columns, panel_inches=(2.1, 1.75))
  for number, axes in enumerate(grid.flat):
    if number >= len(trials):
      axes.set_visible(False)
      continue
    for index, (name, values) in enumerate(trials[number].lines.items()):
      look, x = stroke(index), np.arange(1, len(values) + 1)
      marker = look.marker if len(values) < 3 else None  # a single value is no line
      style = {"color": look.colour, "linestyle": look.dashes, "linewidth": 1.5}
      axes.plot(x, values, label=name, marker=marker, markersize=4, **style)
    is_left, is_lowest = number % columns == 0, number + columns >= len(trials)
    label_axes(axes, "interval" if is_lowest else "", _named(metric) if is_left else "")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    _in_percent(axes, metric)
    axes.set_title(trials[number].title, fontsize=8.5, color=INK)
    axes.sharey(grid[0, 0])
    axes.sharex(grid[0, 0])
    axes.tick_params(labelleft=is_left, labelsize=8)
  legend_below(figure)
  return Picture(file, figure, caption)


def parameters_against_score(
  parameters: Sequence[Axis],
  scores: Sequence[float],
  metric: str,
  *,
  title: str,
  caption: str,
  file: str = "parameters_against_score",
) -> Picture:
  """The scores of trials, best first, over each parameter on the parameter's own scale.

  The winner is a star; the band spans the best tenth of the trials, at least three.
  """
  columns = min(3, len(parameters))
  rows = math.ceil(len(parameters) / columns)
  figure, grid = new_figure(title, rows, columns, panel_inches=(4.0, 3.0))
  best = max(3, len(scores) // 10)
  for number, axes in enumerate(grid.flat):
    if number >= len(parameters):
      axes.set_visible(False)
      continue
    parameter = parameters[number]
    places = np.asarray(parameter.places)
    low, high = places[:best].min(), places[:best].max()
    if parameter.scale != "choice":  # which has no order
      span = f"span of the best {best}"
      axes.axvspan(low, high, color="#56B4E9", alpha=0.25, linewidth=0, label=span)
    axes.scatter(places, scores, s=16, color="#0072B2", label="a trial")
    axes.scatter(
      places[0],
      scores[0],
      s=130,
      marker="*",
      color="#D55E00",
      edgecolor=INK,
      linewidth=0.5,
      label="the best trial",
      zorder=3,
    )
    label_axes(axes, _axis_name(parameter), _named(metric) if number % columns == 0 else "")
    _in_percent(axes, metric)
    _own_ticks(axes, parameter)
  legend_below(figure)
  return Picture(file, figure, caption)


def parallel_coordinates(
  parameters: Sequence[Axis],
  scores: Sequence[float],
  metric: str,
  *,
  title: str,
  caption: str,
  file: str = "parallel_coordinates",
) -> Picture:
  """A line for each of the trials, best first, through its parameters and its score."""
  figure, grid = new_figure(title, panel_inches=(2.0 + 1.7 * len(parameters), 3.6))
  axes = grid[0, 0]
  low, high = min(scores), max(scores)
  span = (high - low) or 1.0
  for trial in reversed(range(len(scores))):  # the best are drawn on top
    share = trial / len(scores)
    axes.plot(
      range(len(parameters) + 1),
      [parameter.places[trial] for parameter in parameters] + [(scores[trial] - low) / span],
      color=str(0.85 * share) if trial else "#D55E00",
      linewidth=1.6 - share if trial else 2.2,
      label=None if trial else "the best trial",
    )
  for place, parameter in enumerate(parameters):
    for height, text in parameter.labels:
      _beside(axes, text, place, height)
  for share in (0.0, 0.5, 1.0):
    score = low + share * span
    text = f"{100 * score:.4g}" if metric.endswith("accuracy") else f"{score:.3g}"
    _beside(axes, text, len(parameters), share)
  label_axes(axes, "", "")
  axes.set_yticks([])  # each parameter has its own values beside it
  names = [*map(_axis_name, parameters), _named(metric)]
  axes.set_xticks(range(len(parameters) + 1), names, fontsize=8.5)
  axes.set_xlim(-0.1, len(parameters) + 0.35)
  axes.grid(True, axis="x", color="#888888", linewidth=1)
  legend_below(figure)
  return Picture(file, figure, caption)


def importance(
  names: Sequence[str],
  means: Sequence[float],
  spreads: Sequence[float],
  *,
  title: str,
  caption: str,
  file: str = "importance",
) -> Picture:
  """Draws the permutation importance of each parameter for a model of the score."""
  figure, grid = new_figure(title, panel_inches=(5.4, 0.9 + 0.4 * len(names)))
  axes = grid[0, 0]
  order = np.argsort(means)
  axes.barh(
    [names[index] for index in order],
    [means[index] for index in order],
    xerr=[spreads[index] for index in order],
    color="#0072B2",
    ecolor=INK,
    capsize=3,
  )
  label_axes(axes, "loss of explained variance, mean ± 1 std over shuffles", "")
  return Picture(file, figure, caption)


def budget_against_best(
  spent: Sequence[float],
  best: Sequence[float],
  metric: str,
  *,
  title: str,
  caption: str,
  file: str = "budget_against_best",
) -> Picture:
  """The best score so far over the intervals that were trained for it, of all trials together."""
  figure, grid = new_figure(title, panel_inches=(5.8, 3.4))
  axes = grid[0, 0]
  axes.step(spent, best, where="post", color="#0072B2", linewidth=1.8)
  if len(spent) == 1:
    axes.plot(spent, best, "o", color="#0072B2")
  label_axes(axes, "intervals trained, over all trials", f"best {_named(metric)} so far")
  axes.xaxis.set_major_locator(MaxNLocator(integer=True))
  _in_percent(axes, metric)
  return Picture(file, figure, caption)


def _axis_name(parameter: Axis) -> str:
  note = {"log": " (log)", "oneminus": " (log of 1 - value)"}.get(parameter.scale, "")
  return parameter.name + note


def _named(metric: str) -> str:
  return f"{metric} (%)" if metric.endswith("accuracy") else metric


def _in_percent(axes: Axes, metric: str) -> None:
  if metric.endswith("accuracy"):
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))


def _beside(axes: Axes, text: str, x: float, y: float) -> None:
  """A value beside an upright axis, on a ground of its own so that no line crosses it."""
  ground = {"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
  axes.annotate(
    text, (x, y), xytext=(4, 0), textcoords="offset points", fontsize=8, va="center", bbox=ground
  )


def _own_ticks(axes: Axes, parameter: Axis) -> None:
  places = [place for place, _ in parameter.labels]
  texts = dict(parameter.labels)
  axes.set_xticks(places)
  axes.xaxis.set_major_formatter(FuncFormatter(lambda place, _: texts.get(place, "")))
  axes.set_xlim(-0.04, 1.04)
