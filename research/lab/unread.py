"""Finds the settings that nothing reads: those that a command changes, or that a file declares."""

import dataclasses
import functools
import inspect
import os
import re
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr
from jax.interpreters.partial_eval import dce_jaxpr

from research.config import Field, fields
from research.lab import process
from research.lab.experiment import Experiment
from research.training import Training, on_device

Reads = set[tuple[type, str]]  # the class of a config, and a field


class _Recorder:
  """Keeps the reads of one configuration; compared by identity, so that no trace is reused."""

  def __init__(self) -> None:
    self.reads: Reads = set()


def recording(config: Any) -> tuple[Any, Reads]:
  """A copy of a config that notes which of its fields are read, and the set of its notes."""
  recorder = _Recorder()
  return _recorded(config, recorder), recorder.reads


def _recorded(config: Any, recorder: _Recorder) -> Any:
  copy = object.__new__(_recording_class(typing.cast(Any, type(config))))
  for field in dataclasses.fields(config):
    value = getattr(config, field.name)
    held = _recorded(value, recorder) if "nested" in field.metadata else value
    object.__setattr__(copy, field.name, held)
  object.__setattr__(copy, "_recorder", recorder)
  return copy


@functools.cache
def _recording_class(cls: Any) -> Any:
  """A subclass that is a pytree of the same leaves, in the same order."""
  declared = {field.name: field for field in dataclasses.fields(cls)}
  is_data = lambda field: "nested" in field.metadata or field.metadata["rule"].is_traced
  data = [name for name, field in declared.items() if is_data(field)]
  static = [name for name, field in declared.items() if not is_data(field)]

  def read(self: Any, name: str) -> Any:
    if name in declared and "_recorder" in object.__getattribute__(self, "__dict__"):
      object.__getattribute__(self, "_recorder").reads.add((cls, name))
    return object.__getattribute__(self, name)

  def flatten(value: Any) -> tuple[list[Any], tuple[Any, ...]]:
    held = object.__getattribute__(value, "__dict__")
    return [held[name] for name in data], (
      held.get("_recorder"),
      *(held[name] for name in static),
    )

  def unflatten(about: tuple[Any, ...], leaves: list[Any]) -> Any:
    copy = object.__new__(recorded)
    values = dict(zip([*data, *static], [*leaves, *about[1:]], strict=True))
    for name, value in values.items():
      object.__setattr__(copy, name, value)
    if about[0] is not None:
      object.__setattr__(copy, "_recorder", about[0])
    return copy

  body = {"__getattribute__": read, "__eq__": object.__eq__, "__hash__": object.__hash__}
  recorded: Any = type(cls.__name__, (cls,), body)
  jax.tree_util.register_pytree_node(recorded, flatten, unflatten)
  return recorded


def of_training(experiment: Experiment, config: Any, seed: int) -> list[str]:
  """The changed fields that neither the single fit of an experiment nor its report reads.

  A traced field counts where the initial state, the step or the evaluation depends on it; a static
  one, and one that is off, where they read it; each where the training or the report does. At the
  default settings nothing is traced.
  """
  changed = changes(experiment.Config(), config)
  if not changed or experiment.training is None:
    return []
  recorded, reads = recording(config)
  made = experiment.training(recorded, seed)
  outside = set(reads)
  traces = _traces(made, on_device(recorded))
  traced = [field.name for field in fields(config) if _is_leaf(field)]
  used = {
    name
    for trace in traces
    for name, is_used in zip(traced, _used_inputs(trace), strict=False)
    if is_used
  }
  around = experiment.file.parent if experiment.file else process.ROOT
  reported = _names(experiment.report, around)
  owner = dict(_owners(config))
  return [
    field.name
    for field in changed
    if field.name.rpartition(".")[2] not in reported
    and (owner[field.name] not in (outside if _is_leaf(field) else reads))
    and field.name not in used
  ]


def of_source(experiment: Experiment, config: Any) -> list[str]:
  """The fields that differ from the defaults and whose names no source text reads.

  For experiments of several stages, whose trainings are not known before they run.
  """
  changed = changes(experiment.Config(), config)
  if not changed:
    return []
  text = "".join(path.read_text("utf-8") for path in process.sources(experiment.file))
  text += inspect.getsource(sys.modules[experiment.run.__module__])
  is_read = lambda field: re.search(rf"\.{field.name.rpartition('.')[2]}\b", text)
  return [field.name for field in changed if not is_read(field)]


def declared(experiment: Experiment) -> list[str]:
  """The fields of its own that an experiment's Config declares and no source text reads.

  For files outside of the catalogue. The library reads a few by their names, such as `batch_size`.
  """
  own = "".join(path.read_text("utf-8") for path in process.own_sources(experiment.file))
  library = "".join(path.read_text("utf-8") for path in process.sources(None))
  names = [field.name for field in dataclasses.fields(experiment.Config)]
  is_read = lambda name: (
    re.search(rf"""\.{name}\b|["']{name}["']""", own)
    or re.search(rf'config\.{name}\b|config, "{name}"', library)
  )
  return [name for name in names if not is_read(name)]


def changes(default: Any, config: Any) -> list[Field]:
  """The fields of a config that differ from the default's."""
  return [
    now
    for before, now in zip(fields(default), fields(config), strict=True)
    if before.value != now.value
  ]


def _is_leaf(field: Field) -> bool:
  return field.rule.is_traced and field.value is not None


def _owners(config: Any, prefix: str = "") -> Iterator[tuple[str, tuple[type, str]]]:
  for field in dataclasses.fields(config):
    if "nested" in field.metadata:
      yield from _owners(getattr(config, field.name), f"{prefix}{field.name}.")
    else:
      yield prefix + field.name, (type(config), field.name)


def _traces(training: Training, config: Any) -> list[ClosedJaxpr]:
  """The programs of the initial state, of a step and of the evaluations; config comes first."""
  learner, key = training.learner, jax.random.key(0)
  state = jax.eval_shape(learner.init, config, key)

  def batch(data: Any, size: int) -> dict[str, jax.ShapeDtypeStruct]:
    return {
      name: jax.ShapeDtypeStruct((size, *array.shape[1:]), array.dtype)
      for name, array in data.items()
    }

  step = batch(training.data, training.sampler.batch_size)
  found = [
    jax.make_jaxpr(learner.init)(config, key),
    jax.make_jaxpr(learner.step)(config, state, step),
  ]
  for data in list(training.evaluate.values())[:1]:
    held_out = batch(data, min(training.evaluation_batch_size, len(next(iter(data.values())))))
    found.append(jax.make_jaxpr(learner.evaluate)(config, state, held_out))
  return found


def _used_inputs(trace: ClosedJaxpr) -> list[bool]:
  _, used = dce_jaxpr(trace.jaxpr, [True] * len(trace.jaxpr.outvars))
  return used


def _names(function: Any, around: Path, seen: set[Any] | None = None) -> set[str]:
  """The names that a function uses, with those of the functions that it calls.

  Functions are followed into this repository and into the folder `around`.
  """
  seen = set() if seen is None else seen
  if not isinstance(function, FunctionType) or function in seen:
    return set()
  seen.add(function)
  names = set(_names_of_code(function.__code__))
  held = [function.__globals__.get(name) for name in names]
  for module in [each for each in held if isinstance(each, ModuleType)]:
    if _is_ours(module.__name__, around):
      held += [getattr(module, name, None) for name in names]
  for each in held:
    if isinstance(each, FunctionType) and _is_ours(each.__module__, around):
      names |= _names(each, around, seen)
  return names


def _is_ours(module: str, around: Path) -> bool:
  """Tells whether a module is of this repository or the folder, not of an environment inside."""
  if module.partition(".")[0] in ("research", "experiments"):
    return True
  file = getattr(sys.modules.get(module), "__file__", None) or ""
  return any(
    file.startswith(f"{top}{os.sep}") and "site-packages" not in file.removeprefix(str(top))
    for top in (process.ROOT, around)
  )


def _names_of_code(code: CodeType) -> Iterator[str]:
  yield from code.co_names
  for constant in code.co_consts:
    if isinstance(constant, CodeType):
      yield from _names_of_code(constant)
