import shlex

import pytest

from research.cli import common_flags, config_flags, grammar
from research.config import flatten
from research.lab import registry
from research.reporting import sweep_report
from research.reporting.next_steps import COUNT, next_steps

pytestmark = pytest.mark.fast


@pytest.mark.parametrize("name", registry.catalogue())
def test_what_is_to_be_tried_is_a_valid_command_that_changes_something(name):
  experiment = registry.load(registry.catalogue()[name])
  steps = next_steps(experiment)
  assert len(steps) == COUNT == len({command for _, command in steps})
  for what, command in steps:
    assert what and "set by" not in what
    words = shlex.split(command)
    assert words[:2] == ["python", "launch.py"]
    values = common_flags.define()
    default = experiment.Config()
    config_flags.define(default, values)
    common_flags.parse(values, grammar.in_flags(words[1:]))
    assert values.experiment == name
    config = config_flags.read(default, values)
    if values.sweep is not None:
      search = {flag: values[flag].value for flag in grammar.SEARCH}
      sweep_report.prepare(experiment, config, search, 0)
    else:
      assert flatten(config) != flatten(default) or values.seed or values.verify or values.help
