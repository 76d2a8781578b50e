"""Real absl flags, made from a config."""

from pathlib import Path
from typing import Any

from absl import flags

from research import experiment_file
from research.cli.grammar import OF_EXPERIMENT
from research.config import Field, fields, replace, show
from research.errors import UserError


class _FieldParser(flags.ArgumentParser):
  """Reads one field; absl shows its complaint with the flag's name and the value."""

  def __init__(self, field: Field):
    self.field = field

  def parse(self, argument: Any) -> Any:
    return self.field.parse(argument) if isinstance(argument, str) else argument

  def flag_type(self) -> str:
    return "list of int" if self.field.kind is tuple else self.field.kind.__name__


class _FieldSerializer(flags.ArgumentSerializer):
  def serialize(self, value: Any) -> str:
    return show(value)


class _BooleanField(flags.Flag):
  """A switch, so that `--name`, `--noname` and `--name=false` all work."""

  def __init__(self, *arguments: Any):
    super().__init__(*arguments)
    self.boolean = True  # absl's own class sets it to False


def define(config: Any, flag_values: flags.FlagValues, file: Path | None = None) -> None:
  """Defines one flag for every field of the config, by its dotted name.

  Args:
    config: at its defaults.
    flag_values: to which they are added.
    file: of the experiment.

  Raises:
    UserError: where a field has the name of a flag that is there already.
  """
  reserved = {"flagfile", "undefok", *flag_values}
  for field in fields(config):
    if {field.name, field.name.removeprefix("no")} & reserved:
      place = f"{experiment_file.place_of_field(file, field.name)}: " if file else ""
      raise UserError(
        f"{place}the Config's field {field.name!r} has the name of a flag of every experiment; "
        "rename it"
      )
    kind = "" if field.rule.is_traced else "; static: recompiles"
    help_text = f"{field.rule.help} ({field.rule.allowed(field.kind)}{kind})"
    flag_class = _BooleanField if field.kind is bool else flags.Flag
    flags.DEFINE_flag(
      flag_class(_FieldParser(field), _FieldSerializer(), field.name, field.value, help_text),
      flag_values,
      module_name=OF_EXPERIMENT,
    )


def read(config: Any, flag_values: flags.FlagValues) -> Any:
  """The config with the values that the flags have.

  Raises:
    UserError: for a value outside of its field's rule.
  """
  return replace(config, {field.name: flag_values[field.name].value for field in fields(config)})
