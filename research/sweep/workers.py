"""The interface between a sweep, which decides, and the workers, which train its trials."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import jax

from research.training import Training

Report = dict[str, list[float]]  # by metric, one value for each repetition of a trial
Keys = Callable[[int], tuple[jax.Array, jax.Array]]  # of a repetition: to begin with, and to order
OfRepeat = Callable[[Any, int], Training]  # of a config, for one of its repetitions


class Workers(Protocol):
  """Trains the trials of a sweep, each with all its repetitions, one interval after the other.

  A trial is training from `enter` or `resume` until `pause` or `dismiss`.
  """

  def restart_from(self, settled: int) -> int:
    """Returns how many events of the study stand after an interruption.

    Args:
      settled: events after which no trial trained or waited, so that no state is needed.
    """
    ...

  def restore(self, config_of: Callable[[int], Any]) -> None:
    """Takes up the trials as they were after the events that `restart_from` named.

    Args:
      config_of: a trial's settings, by its number.
    """
    ...

  def save(self, events: int) -> None:
    """Keeps all states, to which the first `events` events belong; waits for none of it."""
    ...

  def enter(self, newcomers: Mapping[int, Any]) -> None:
    """Starts trials, given as {number: config}."""
    ...

  def resume(self, trial: int, config: Any, intervals: int) -> None:
    """Goes on with a paused trial, of which so many intervals are done."""
    ...

  def pause(self, trial: int) -> None:
    """Frees the trial's slots and keeps its states."""
    ...

  def dismiss(self, trial: int) -> None:
    """Frees the trial's slots and forgets its states."""
    ...

  def copy(self, copies: Mapping[int, tuple[int, Any]]) -> None:
    """Gives trials the states of others, all as they are before any of them changes.

    Args:
      copies: for each such trial, whose states it takes over, and its new config.
    """
    ...

  def advance(self) -> dict[int, Report]:
    """Trains every trial in a slot for one interval; returns its metrics, by trial."""
    ...
