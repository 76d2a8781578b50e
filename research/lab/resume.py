"""The state that a fit begins with: a checkpoint's, another run's weights, or its own first."""

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from research.errors import UserError
from research.lab.compiled_training import CompiledTraining
from research.lab.recorder import About
from research.lab.run_folder import FORK
from research.store import checkpoint
from research.store.checkpoint import Checkpoints, Snapshot
from research.store.host_state import from_host, to_host
from research.training import Member, Training

WEIGHTS = ("params/", "variables/", "target_params/")  # of a state: all that is learnt
RAW = "raw/"  # the weights themselves, where "params/" is their moving average


class Task(NamedTuple):
  """A fit that was asked for, of one config or of a population.

  Attributes:
    name: of the fit.
    members: of the population, or the fit alone.
    training: what they share.
    initial: makes the first state.
    compile: compiles the training.
  """

  name: str
  members: Sequence[Member]
  training: Training
  initial: Callable[[], Any]
  compile: Callable[[], CompiledTraining]


class Finished(NamedTuple):
  """A fit that was trained before: its last state, and where its rows end in metrics.jsonl."""

  state: Any
  end: tuple[int, int]


def warn(line: str) -> None:
  """Prints one line to the person at the terminal."""
  print(f"warning: {line}", file=sys.stderr, flush=True)


def restored(name: str, snapshot: Snapshot, template: Any) -> Any:
  """Returns the checkpoint's state in the form of `template`.

  Raises:
    UserError: where the checkpoint is of another network or optimizer.
  """
  try:
    return from_host(snapshot.arrays, template)
  except ValueError as error:
    raise UserError(
      f"the checkpoint of fit {name!r} does not fit this config: {error}; change only settings "
      "that keep the network's shape and the optimizer, or start without --fork; a run of an older "
      "version may need --fresh"
    ) from error


def compared(name: str, snapshot: Snapshot, now: Mapping[str, Any]) -> tuple[bool, bool]:
  """Compares a checkpoint with the fit that is to go on from it, by their fingerprints.

  Returns:
    Whether the checkpoint is the end of this very fit; whether it had the same data and ranking.

  Raises:
    UserError: where it has other settings, and none of the steps that they ask for is left.
  """
  about = About(**snapshot.about)
  before = about.fingerprint or now
  is_same = before["settings"] == now["settings"]
  # Of the same settings it may have ended before the last step, out of patience.
  is_end = about.fingerprint is not None or snapshot.step == now["steps"]
  is_finished = about.finished and is_same and is_end
  if snapshot.step >= now["steps"] and not is_finished:
    raise UserError(
      f"the checkpoint of fit {name!r} is at step {snapshot.step:,} already, and with these "
      f"settings it ends at {now['steps']:,}: nothing would be trained; ask for more steps, or "
      "begin with its weights alone (--init_from in place of --fork)"
    )
  if before["steps"] != now["steps"]:
    was, is_now = (snapshot.step / each["steps"] for each in (before, now))
    warn(f"{name}: schedules go on at {is_now:.0%} of their length, and were at {was:.0%}")
  return is_finished, before["task"] == now["task"]


def with_weights(state: Any, source: Path, name: str, step: int | None = None) -> Any:
  """Returns the state with the weights of another run's checkpoint of that fit.

  It is the best one, or the one of the `step`.

  Raises:
    UserError: where there is no such checkpoint, or its weights have other names or shapes.
  """
  arrays = to_host(state)
  wanted = [each for each in arrays if each.startswith(WEIGHTS)]
  held = Checkpoints.held(source / "checkpoints" / name, warn=warn, step=step)
  if step is not None and held is None:
    raise no_such_step(source / "checkpoints" / name, step)
  if held is None or not wanted:
    raise UserError(f"--init_from={source} has no weights of a fit {name!r}; give a run that has")
  for each in wanted:
    found = held.arrays.get(each)
    if found is None or found.shape != arrays[each].shape:
      there = "is not there" if found is None else f"has the shape {found.shape} there"
      raise UserError(
        f"--init_from={source}: {each} {there}, and {arrays[each].shape} is needed; "
        "give settings of the same network"
      )
    arrays[each] = found.astype(arrays[each].dtype)
  for each in arrays:
    if each.startswith(RAW):  # the average begins where the weights do
      arrays[each] = arrays["params/" + each.removeprefix(RAW)].copy()
  return from_host(arrays, jax.eval_shape(lambda: state))


def no_such_step(folder: Path, step: int) -> UserError:
  """The refusal of a step of which a fit's folder has no whole checkpoint."""
  there = ", ".join(f"{each:,}" for each in checkpoint.steps(folder)) or "none"
  return UserError(
    f"--at_step={step}: {folder} has no checkpoint of that step (it has {there}); give one that is "
    "there, and --keep_every to a run that is to keep more"
  )


def refuse_idle_fork(folder: Path, name: str, asked: Collection[str]) -> None:
  """Refuses a fork whose first fit finds nothing to go on from.

  Args:
    folder: of the run.
    name: of the fit, which has no checkpoint.
    asked: names of all fits that were asked for so far.

  Raises:
    UserError: where the fork has checkpoints, of other fits only.
  """
  fits = {path.parent.name for path in folder.glob("checkpoints/*/*") if path.name.isdigit()}
  if (folder / FORK).exists() and fits and not fits & set(asked):
    raise UserError(
      f"--fork has no fit {name!r} to go on from (it has {', '.join(sorted(fits))}); "
      "fork a run of the same experiment, or leave --fork out"
    )
