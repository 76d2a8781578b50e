"""Three things to try after an experiment, with their commands.

Those that `experiments/next_steps.toml` names come first, then what its own settings suggest.
"""

import functools
import shlex
import tomllib
from collections.abc import Sequence

from research.config import Field, fields, show
from research.lab import registry
from research.lab.experiment import Experiment

FILE = "next_steps.toml"  # beside the families of experiments
COUNT = 3
RATES = ("learning_rate", "step_size", "rate", "lr")
SIZES = ("hidden", "width", "channels", "layers", "depth", "features", "batch_size", "epochs")

Step = tuple[str, str]  # what it shows, and the command
Change = tuple[str, str, str]  # the field, what it shows, and the flag
SET = "set by "  # begins the help of fields that an experiment sets itself


def next_steps(experiment: Experiment) -> list[Step]:
  """Three things to try: another number or choice, a sweep, or another seed, with the commands."""
  known = [field for field in fields(experiment.Config()) if not field.rule.help.startswith(SET)]
  rate = next((field for field in known if _is_rate(field)), None)
  choices = list(filter(None, map(_of_choice, known)))
  sizes = [_of_size(known, name) for name in SIZES]
  found = [_of_rate(rate), *choices[:1], *sizes, *map(_doubled, known), *choices[1:]]
  changes: dict[str, Change] = {}
  for change in filter(None, found):
    changes.setdefault(change[0], change)
  of = f"--experiment={shlex.quote(experiment.flag)}"
  tries = [(what, f"python launch.py {of} {flag}") for _, what, flag in changes.values()]
  swept = _swept(rate) if experiment.training is not None else None
  if rate is not None and swept is not None:
    sweep = f"python launch.py sweep {of} --trials=8 --sweep={swept}"
    tries.insert(2, (f"Eight values of {rate.name} beside each other, ranked", sweep))
  tries.append(("Draw everything anew: which numbers move?", f"python launch.py {of} --seed=1"))
  tries.append(("Measure the claims over three seeds", f"python launch.py verify {of}"))
  tries.append(("See all settings", f"python launch.py help {of}"))
  return [*_named(experiment), *tries][:COUNT]


def _named(experiment: Experiment) -> list[Step]:
  """Those that somebody wrote for an experiment of the catalogue."""
  if experiment.file is None or not experiment.file.is_relative_to(registry.ROOT):
    return []
  return [(each["what"], each["command"]) for each in _written().get(experiment.name, ())]


@functools.cache
def _written() -> dict[str, list[dict[str, str]]]:
  return tomllib.loads((registry.ROOT / FILE).read_text(encoding="utf-8"))


def _of_rate(rate: Field | None) -> Change | None:
  """Another rate: first one that is likely to be too large."""
  if rate is None:
    return None
  value = _allowed(rate, [10 * rate.value, 3 * rate.value, rate.value / 3])
  return None if value is None else _change(rate, value)


def _swept(rate: Field | None) -> str | None:
  """A range around a rate, as a sweep writes it."""
  ends = [rate.value / 10, rate.value * 10] if rate is not None else []
  if rate is None or not all(_allowed(rate, [end]) for end in ends):
    return None
  return shlex.quote(f"{rate.name}=log({ends[0]:.3g},{ends[1]:.3g})")


def _of_choice(field: Field) -> Change | None:
  """Another choice of a field that is no data set, which might have to be fetched."""
  others = [each for each in field.rule.choices if each != field.value and ":" not in each]
  return _change(field, others[0]) if others and "dataset" not in field.name else None


def _of_size(known: Sequence[Field], name: str) -> Change | None:
  field = next((each for each in known if each.name.rpartition(".")[2] == name), None)
  if field is None or field.kind is not int or not field.value:
    return None
  value = _allowed(field, [field.value // 2, 2 * field.value])
  return None if value is None else _change(field, value)


def _doubled(field: Field) -> Change | None:
  if field.kind not in (int, float) or not field.value or field.rule.choices:
    return None
  value = _allowed(field, [2 * field.value, field.kind(field.value / 2)])
  return None if value is None else _change(field, value)


def _is_rate(field: Field) -> bool:
  return field.kind is float and bool(field.value) and field.name.rpartition(".")[2] in RATES


def _allowed(field: Field, values: Sequence[float]) -> float | None:
  """The first of the values, with few digits, that the field takes and does not have already."""
  shown = [field.kind(f"{value:.3g}") if field.kind is float else value for value in values]
  return next(
    (value for value in shown if value != field.value and field.rule.problem(value) is None), None
  )


def _change(field: Field, value: object) -> Change:
  flag = shlex.quote(f"--{field.name}={show(value)}")
  help = field.rule.help[:1].upper() + field.rule.help[1:]
  return field.name, f"{help}: {show(value)} in place of {show(field.value)}", flag
