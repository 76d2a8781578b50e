import shlex
import tomllib
from pathlib import Path

import pytest

from research.cli import common_flags, config_flags, grammar
from research.config import flatten
from research.lab import registry
from research.reporting import sweep_report
from research.reporting.next_steps import COUNT, FILE, next_steps

pytestmark = pytest.mark.fast

CATALOGUE = registry.catalogue()


@pytest.mark.parametrize("name", CATALOGUE)
def test_what_is_to_be_tried_is_a_valid_command_that_changes_something(name):
  experiment = registry.load(CATALOGUE[name])
  steps = next_steps(experiment)
  assert len(steps) == COUNT == len({command for _, command in steps})
  for what, command in steps:
    assert what and "set by" not in what
    words = shlex.split(command)
    assert words[:2] == ["python", "launch.py"]
    values = common_flags.define()
    common_flags.parse(values, grammar.in_flags(words[1:]), known_only=True)
    if values.experiment != name:  # another one to look at
      assert values.experiment in CATALOGUE
      continue
    default = experiment.Config()
    config_flags.define(default, values)
    common_flags.parse(values, grammar.in_flags(words[1:]))
    config = config_flags.read(default, values)
    if values.sweep is not None:
      search = {flag: values[flag].value for flag in grammar.SEARCH}
      sweep_report.prepare(experiment, config, search, 0)
    else:
      assert flatten(config) != flatten(default) or any(
        (values.seed, values.verify, values.help, values.gradcheck)
      )


def test_what_somebody_wrote_comes_first_and_is_of_experiments_of_the_catalogue():
  written = tomllib.loads((registry.ROOT / FILE).read_text())
  assert set(written) <= set(CATALOGUE)
  own = registry.load(CATALOGUE["gates"])
  assert next_steps(own)[0] == tuple(written["gates"][0].values())
  elsewhere = own._replace(file=Path("gates.py"), flag="gates.py")
  assert all("--experiment=gates.py" in command for _, command in next_steps(elsewhere))
