"""Learning curves of one run, and of several runs side by side."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from research.figures.scales import cut_accuracy, scale_axes
from research.figures.style import Stroke, label_axes, legend_below, new_figure, stroke
from research.report import Picture
from research.training import Fit

Row = Mapping[str, Any]
Run = Fit | Sequence[Row]  # what was trained, or its rows
Runs = Mapping[str, Run | Sequence[Run]]  # by name, a fit or one for each seed
Histories = Mapping[str, Sequence[Sequence[Row]]]
MARKERS_PER_CURVE = 10


def learning_curves(
  fit: Run,
  *,
  title: str,
  splits: Sequence[str] = (),
  epochs: bool = False,
  window: int = 1,
  log_loss: bool = False,
  accuracy_floor: float | None = None,
  caption: str,
  file: str = "learning_curves",
) -> Picture:
  """Loss and accuracy of a run, one panel each; a panel without numbers is left out.

  A row is such as {"fit": "train", "step": 600, "train/loss": 0.3, "test/accuracy": 0.9}. Each key
  ending in "/loss" or "/accuracy" becomes a curve, named by what precedes (and by the fit, where
  there are several); all of them, or those of `splits`. Accuracies are fractions. The horizontal
  axis counts steps, or `epochs`. Curves of the split "train" are smoothed by a running mean over
  `window` rows. `accuracy_floor` cuts off the lower part of the accuracy panel, where every curve
  ends above it.

  Raises ValueError where no row holds a loss or an accuracy.
  """
  rows = rows_of(fit, epochs=epochs)
  if splits:
    is_shown = lambda key: "/" not in key or key.rpartition("/")[0] in splits
    rows = [{key: value for key, value in row.items() if is_shown(key)} for row in rows]
  panels = [kind for kind in ("loss", "accuracy") if _splits(rows, kind)]
  if not panels:
    raise ValueError("no row has a key that ends in '/loss' or '/accuracy'")
  names = [name for kind in panels for name in _splits(rows, kind)]
  strokes = {name: stroke(index) for index, name in enumerate(dict.fromkeys(names))}

  figure, grid = new_figure(title, columns=len(panels))
  for axes, kind in zip(grid[0], panels, strict=True):
    for of, split in _splits(rows, kind):
      x, values = series([row for row in rows if row.get("fit") == of], f"{split}/{kind}")
      width = window if split == "train" else 1
      name, y = _smoothed(_name(of, split, names), width), running_mean(values, width)
      draw_curve(axes, x, y, name=name, look=strokes[of, split])
    unit = "accuracy (%)" if kind == "accuracy" else "loss (nats)"
    label_axes(axes, "epoch" if epochs else "step", unit, kind)
    scale_axes(axes, kind, log=log_loss and kind == "loss")
    axes.sharex(grid[0, 0])
    if kind == "accuracy":
      cut_accuracy(axes, accuracy_floor)
  legend_below(figure)
  return Picture(file, figure, caption)


def compare_curves(
  fits: Runs,
  metric: str,
  *,
  title: str,
  y: str | None = None,
  epochs: bool = False,
  from_step: int = 0,
  window: int = 1,
  log: bool = False,
  caption: str,
  file: str = "compare_curves",
  panel_inches: tuple[float, float] = (6.4, 3.9),
) -> Picture:
  """One metric of several named fits, or of several seeds of each.

  The curve is the mean over seeds, at the steps that all of them have; the band reaches one sample
  standard deviation to both sides, but of values above zero not below their least. `y` names the
  vertical axis (the metric's key by default), and where it ends with "(%)" a fraction is written in
  percent. The horizontal axis counts steps, or `epochs` of each
  fit's own length; it begins at `from_step`, which is 1 to leave out the evaluation before
  training.

  Raises ValueError naming fits whose seeds have no step with this metric in common.
  """
  histories = _histories(fits, epochs, from_step)
  figure, grid = new_figure(title, panel_inches=panel_inches)
  axes = grid[0, 0]
  draw_spreads(axes, histories, metric, window=window)
  label_axes(
    axes,
    "epoch" if epochs else "step",
    y or _metric_name(metric),
    _smoothed(_spread_note(histories), window),
  )
  scale_axes(axes, "accuracy" if y and y.endswith("(%)") else metric.rpartition("/")[2], log=log)
  legend_below(figure)
  return Picture(file, figure, caption)


def compare_panels(
  panels: Mapping[str, Runs],
  metric: str,
  *,
  title: str,
  columns: int,
  y: str | None = None,
  epochs: bool = False,
  window: int = 1,
  log: bool = False,
  caption: str,
  file: str = "compare_panels",
) -> Picture:
  """Draws `compare_curves` in a panel for each of several titles, on common axes.

  A name has one look in all panels where all have the same names.
  """
  rows = -(-len(panels) // columns)
  figure, grid = new_figure(title, rows, columns, (2.5, 1.9) if columns > 2 else (4.6, 3.4))
  for number, (axes, (name, fits)) in enumerate(zip(grid.flat, panels.items(), strict=False)):
    if number:
      axes.sharex(grid[0, 0])
      axes.sharey(grid[0, 0])
    draw_spreads(axes, _histories(fits, epochs), metric, window=window)
    is_left, is_lowest = number % columns == 0, number + columns >= len(panels)
    x = "epoch" if epochs else "step"
    label_axes(axes, x if is_lowest else "", (y or _metric_name(metric)) if is_left else "", name)
  for axes in grid.flat[: len(panels)]:
    scale_axes(axes, metric.rpartition("/")[2], log=log)
  grid[0, 0].xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4 if columns > 2 else 7))
  for axes in grid.flat[len(panels) :]:
    axes.set_visible(False)
  legend_below(figure)
  return Picture(file, figure, caption)


def metric_panels(
  fits: Runs,
  metrics: Mapping[str, str],
  *,
  title: str,
  y: str,
  columns: int,
  log: bool = False,
  caption: str,
  file: str = "metric_panels",
) -> Picture:
  """Several metrics of the same fits over steps, a panel for each by its title.

  All vertical axes have the name `y`; the panels of a row share theirs.
  """
  rows = -(-len(metrics) // columns)
  figure, grid = new_figure(title, rows, columns, (2.7, 2.3) if columns > 2 else (4.6, 3.4))
  for number, (name, metric) in enumerate(metrics.items()):
    axes, first = grid.flat[number], grid[number // columns, 0]
    if axes is not first:
      axes.sharey(first)
    draw_spreads(axes, fits, metric)
    is_lowest = number + columns >= len(metrics)
    label_axes(axes, "step" if is_lowest else "", y if axes is first else "", name)
    scale_axes(axes, metric.rpartition("/")[2], log=log)
  for axes in grid.flat[len(metrics) :]:
    axes.set_visible(False)
  legend_below(figure)
  return Picture(file, figure, caption)


def split_panels(
  fits: Runs,
  splits: Sequence[str],
  *,
  title: str,
  caption: str,
  file: str = "split_panels",
) -> Picture:
  """Accuracies on several splits over epochs, a panel for each of the named fits."""
  figure, grid = new_figure(title, columns=len(fits), panel_inches=(3.6, 3.2))
  for axes, (name, runs) in zip(grid[0], _histories(fits, epochs=True).items(), strict=True):
    for index, split in enumerate(splits):
      draw_spread(
        axes,
        runs,
        f"{split}/accuracy",
        name=split,
        index=index,
        of=len(splits),
      )
    is_left = axes is grid[0, 0]
    label_axes(axes, "epoch", "accuracy (%)" if is_left else "", name)
    axes.set_ylim(0, 1.02)
    scale_axes(axes, "accuracy", log=False)
  legend_below(figure)
  return Picture(file, figure, caption)


def draw_spreads(
  axes: Axes,
  fits: Runs,
  metric: str,
  *,
  window: int = 1,
) -> None:
  """The mean over its seeds for each history, in a band of one sample standard deviation."""
  for index, (name, runs) in enumerate(_histories(fits).items()):
    draw_spread(
      axes,
      runs,
      metric,
      name=name,
      index=index,
      of=len(fits),
      window=window,
    )


def draw_spread(
  axes: Axes,
  runs: Sequence[Sequence[Row]],
  metric: str,
  *,
  name: str,
  index: int,
  of: int,
  window: int = 1,
) -> None:
  """The same for one history, which is number `index` of so many."""
  steps, values_SxT = _aligned(runs, metric, name)
  values_SxT = np.stack([running_mean(values, window) for values in values_SxT])
  mean, look = values_SxT.mean(0), stroke(index)
  draw_curve(axes, steps, mean, name=name, look=look, offset=index / of)
  if len(runs) > 1:
    with np.errstate(invalid="ignore"):  # an infinite value has no spread
      spread = values_SxT.std(0, ddof=1)
    least = values_SxT.min(0)
    # A band of a positive value below zero says nothing, and on a log scale it fills the panel.
    low = np.where((least > 0) & (mean < spread), least, mean - spread)
    axes.fill_between(steps, low, mean + spread, color=look.colour, alpha=0.18, linewidth=0)


def rows_of(run: Run, *, epochs: bool = False, from_step: int = 0) -> list[Row]:
  """The rows of a fit from a step on; with `epochs`, "step" counts passes over its data.

  Raises:
    TypeError: where epochs are asked of bare rows, which do not say how long one is.
  """
  if not isinstance(run, Fit):
    if epochs:
      raise TypeError("rows do not say how long an epoch is; give the fit")
    return [row for row in run if row["step"] >= from_step]
  scale = run.training.steps_per_epoch if epochs else 1
  return [{**row, "step": row["step"] / scale} for row in run.history if row["step"] >= from_step]


def _histories(fits: Runs, epochs: bool = False, from_step: int = 0) -> Histories:
  rows = functools.partial(rows_of, epochs=epochs, from_step=from_step)
  return {
    name: [rows(runs)] if isinstance(runs, Fit) else [rows(cast(Run, run)) for run in runs]
    for name, runs in fits.items()
  }


def series(run: Run, key: str, *, epochs: bool = False) -> tuple[np.ndarray, np.ndarray]:
  """Steps (or epochs) [t] and values [t] of the rows that hold `key`; null is not a number."""
  held = [(row["step"], row[key]) for row in rows_of(run, epochs=epochs) if key in row]
  steps, values = zip(*held, strict=True) if held else ((), ())
  return np.asarray(steps, float), np.asarray(values, float)


def running_mean(values: np.ndarray, window: int) -> np.ndarray:
  """Mean of each of the values [t] and of the up to `window - 1` before it; [t] again."""
  if window <= 1 or not len(values):
    return values
  # Windows are summed one by one, not by differences of one long sum: a single infinity must not
  # spoil everything after it.
  padded = np.concatenate([np.full(window - 1, np.nan), values])
  windows = np.lib.stride_tricks.sliding_window_view(padded, window)
  counts = np.minimum(np.arange(1, len(values) + 1), window)
  unset = np.arange(window) < (window - counts)[:, None]
  return np.where(unset, 0.0, windows).sum(1) / counts


def draw_curve(
  axes: Axes, x: np.ndarray, y: np.ndarray, *, name: str, look: Stroke, offset: float = 0.0
) -> None:
  """Draws y [t] over x [t], with about ten markers; `offset` in [0, 1) shifts the first of them."""
  every = max(1, len(x) // MARKERS_PER_CURVE)
  axes.plot(
    x,
    y,
    label=name,
    color=look.colour,
    linestyle=look.dashes,
    linewidth=1.6,
    marker=look.marker,
    markersize=4.5,
    markevery=(int(offset * every), every),
  )


def _splits(rows: Sequence[Row], kind: str) -> list[tuple[str | None, str]]:
  """(fit, split) of every curve of this kind, in the order of appearance."""
  found = [
    (row.get("fit"), key.removesuffix(f"/{kind}"))
    for row in rows
    for key in row
    if key.endswith(f"/{kind}")
  ]
  return list(dict.fromkeys(found))


def _name(fit: str | None, split: str, names: Sequence[tuple[str | None, str]]) -> str:
  return split if len({fit for fit, _ in names}) == 1 else f"{fit}: {split}"


def _smoothed(text: str, window: int) -> str:
  if window <= 1:
    return text
  return f"{text}, running mean over {window} rows".removeprefix(", ")


def _metric_name(metric: str) -> str:
  return metric.replace("/", " ") + (" (%)" if metric.endswith("/accuracy") else "")


def _spread_note(histories: Histories) -> str:
  seeds = {len(runs) for runs in histories.values()}
  return f"mean ± 1 std over {_range(seeds)} seeds" if max(seeds, default=1) > 1 else ""


def _range(counts: set[int]) -> str:
  low, high = min(counts), max(counts)
  return str(low) if low == high else f"{low} to {high}"


def _aligned(
  runs: Sequence[Sequence[Row]], metric: str, name: str
) -> tuple[np.ndarray, np.ndarray]:
  """The steps [t] that all seeds have, and the metric there, [seeds, t]."""
  tables = [dict(zip(*series(rows, metric), strict=True)) for rows in runs]
  common = sorted(set.intersection(*(set(table) for table in tables))) if tables else []
  if not common:
    raise ValueError(f"{name!r}: its seeds have no step with {metric!r} in common")
  return np.asarray(common), np.asarray([[table[step] for step in common] for table in tables])
