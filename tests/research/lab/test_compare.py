"""A comparison: members side by side, each as if it were alone, durable like every fit."""

import jax
import numpy as np
import pytest

from research.config import replace
from research.errors import InterruptedRun
from research.lab.groups import by_program
from research.lab.lab import Lab
from research.store.host_state import to_host
from research.training import Options
from tests.fixtures.stop_after import StopAfter
from tests.fixtures.tiny_experiment import Config, everything_under, training

MEMBERS = {
  "slow": replace(Config(), {"learning_rate": 0.01}),
  "wide": replace(Config(), {"width": 6}),
  "fast": replace(Config(), {"learning_rate": 0.1}),
}


def compared(folder, members=MEMBERS, *, repeats=2, interruption=None, **options):
  folder.mkdir(exist_ok=True)
  lab = Lab(folder, seed=0, options=Options(**options), interruption=interruption)
  return lab.compare("race", members, training, repeats=repeats)


def bits(fit):
  return {name: array.tobytes() for name, array in to_host(fit.state).items()}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
  folder = tmp_path_factory.mktemp("race")
  return folder, compared(folder)


def test_members_that_differ_in_traced_fields_share_a_program():
  groups = by_program(MEMBERS, training)
  assert [list(group) for group, _ in groups] == [["slow", "fast"], ["wide"]]


def test_members_with_other_data_do_not_share_a_program():
  def own(config):
    made = training(config)
    shift = float(config.learning_rate > 0.05)
    return made._replace(data={n: a + a.dtype.type(shift) for n, a in made.data.items()})

  assert len(by_program({name: MEMBERS[name] for name in ("slow", "fast")}, own)) == 2


def test_every_member_has_its_rows_and_its_state(expected):
  fits = expected[1]
  assert list(fits) == list(MEMBERS)
  for name, config in MEMBERS.items():
    assert [fit.config for fit in fits[name]] == [config] * 2
    for fit in fits[name]:
      assert [row["step"] for row in fit.history] == list(range(0, 41, 5))
      assert {row["member"] for row in fit.history} == {name}
      assert int(fit.state.step) == 40
  assert fits["wide"][0].state.params["W"].shape[-1] == 6
  finals = {fit.last("test/loss") for each in fits.values() for fit in each}
  assert len(finals) == 6


def test_repetitions_start_apart_and_members_start_together(expected):
  fits = expected[1]
  start = lambda name, number: np.asarray(fits[name][number].initial().params["W"])
  np.testing.assert_array_equal(start("slow", 0), start("fast", 0))
  assert not np.allclose(start("slow", 0), start("slow", 1))


def test_a_member_is_not_changed_by_the_others(expected, tmp_path):
  alone = compared(tmp_path, {"slow": MEMBERS["slow"]})
  for ours, theirs in zip(alone["slow"], expected[1]["slow"], strict=True):
    assert bits(ours) == bits(theirs)
    assert ours.history == theirs.history


def test_a_diverged_member_goes_on_and_changes_no_other_member(expected, tmp_path):
  wild = replace(Config(), {"learning_rate": 1e30})
  fits = compared(tmp_path, {"slow": MEMBERS["slow"], "wild": wild})
  assert fits["wild"][0].history[-1]["train/loss"] is None
  assert bits(fits["slow"][1]) == bits(expected[1]["slow"][1])


def test_interruptions_change_no_byte(expected, tmp_path):
  folder, stops = tmp_path / "chopped", 0
  while True:
    try:
      fits = compared(folder, interruption=StopAfter(2 * stops % 7), save_seconds=1e9)
      break
    except InterruptedRun:
      stops += 1
  assert stops >= 3
  for name in MEMBERS:
    for ours, theirs in zip(fits[name], expected[1][name], strict=True):
      assert bits(ours) == bits(theirs)
  text = lambda folder: (folder / "metrics.jsonl").read_bytes()
  assert text(folder) == text(expected[0])


def test_a_finished_comparison_is_read_and_not_made_again(expected, monkeypatch):
  before = everything_under(expected[0])
  monkeypatch.setattr("research.lab.lab.run_fit", None)
  again = compared(expected[0])
  assert {name: [bits(fit) for fit in each] for name, each in again.items()} == {
    name: [bits(fit) for fit in each] for name, each in expected[1].items()
  }
  assert everything_under(expected[0]) == before


@pytest.mark.parametrize("lanes", ["vmap", "2"])
def test_all_forms_of_lanes_give_the_same_numbers(expected, tmp_path, lanes):
  fits = compared(tmp_path, lanes=lanes)
  for name in MEMBERS:
    for ours, theirs in zip(fits[name], expected[1][name], strict=True):
      close = lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4)
      jax.tree.map(close, ours.state.params, theirs.state.params)
