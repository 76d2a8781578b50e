import json
import os
from pathlib import Path

import pytest

from research.errors import UserError
from research.lab import run_folder, run_fork, run_results
from research.lab.run_folder import Identity, Lock, check, read_identity, write_identity

pytestmark = pytest.mark.fast

IDENTITY = Identity("net", 3, {"sizes": (100, 50), "rate": 1e-3, "deep": False})


def test_an_identity_comes_back_from_its_folder(tmp_path):
  write_identity(tmp_path, IDENTITY)
  assert read_identity(tmp_path).as_json() == IDENTITY.as_json()
  check(tmp_path, IDENTITY)
  before = (tmp_path / "config.json").stat().st_mtime_ns
  write_identity(tmp_path, Identity("other", 0, {}))
  assert (tmp_path / "config.json").stat().st_mtime_ns == before


def test_a_difference_is_shown_as_it_is_written_on_the_command_line(tmp_path):
  write_identity(tmp_path, IDENTITY)
  other = Identity("net", 3, {"sizes": (100, 60), "rate": 1e-3, "deep": True})
  with pytest.raises(UserError) as caught:
    check(tmp_path, other)
  text = str(caught.value)
  assert "(sizes: there 100,50, here 100,60, deep: there false, here true)" in text
  assert str(tmp_path) in text and "rate" not in text


def test_a_field_that_one_side_lacks_is_a_difference(tmp_path):
  write_identity(tmp_path, IDENTITY)
  with pytest.raises(UserError, match="new: there off, here 1"):
    check(tmp_path, Identity("net", 3, {**IDENTITY.config, "new": 1}))


def test_a_folder_may_be_new_empty_or_what_a_killed_start_left(tmp_path):
  check(tmp_path / "new", IDENTITY)
  check(tmp_path, IDENTITY)
  (tmp_path / ".lock").touch()
  (tmp_path / ".config.json.123.tmp").touch()
  check(tmp_path, IDENTITY)
  (tmp_path / "checkpoints").mkdir()
  with pytest.raises(UserError, match="holds other files"):
    check(tmp_path, IDENTITY)
  (tmp_path / ".fork").touch()
  check(tmp_path, IDENTITY)


def test_a_folder_has_one_owner_at_a_time(tmp_path):
  folder = tmp_path / "a" / "b"
  first = Lock(folder)
  with pytest.raises(UserError, match=rf"in use by process {os.getpid()} on \S+; wait"):
    Lock(folder)
  first.release()
  Lock(folder).release()


def test_a_folder_that_cannot_be_locked_is_not_reported_as_in_use(tmp_path, monkeypatch):
  def no_locks(*arguments):
    raise OSError(37, "No locks available")

  monkeypatch.setattr(run_folder.fcntl, "flock", no_locks)
  with pytest.raises(UserError, match="cannot be locked: No locks available"):
    Lock(tmp_path)


def test_only_runs_are_set_aside(tmp_path):
  foreign = tmp_path / "foreign"
  foreign.mkdir()
  assert run_folder.set_aside(foreign) is None
  (foreign / "mine").touch()
  with pytest.raises(UserError, match="holds other files"):
    run_folder.set_aside(foreign)
  assert (foreign / "mine").exists()
  run = tmp_path / "run"
  assert run_folder.set_aside(run) is None and not run.exists()
  for number in (1, 2):
    Lock(run).release()
    write_identity(run, IDENTITY)
    assert run_folder.set_aside(run) == tmp_path / f"run.old-{number}"
  assert not run.exists()


def test_a_folder_that_cannot_be_renamed_is_reported_in_one_line(tmp_path, monkeypatch):
  write_identity(tmp_path, IDENTITY)

  def busy(*arguments):
    raise OSError(16, "Device or resource busy")

  monkeypatch.setattr(os, "rename", busy)
  with pytest.raises(UserError, match=r"--fresh cannot rename .*: Device or resource busy"):
    run_folder.set_aside(tmp_path)
  Lock(tmp_path).release()  # it is free again


def test_a_run_is_finished_when_all_that_it_leaves_is_there(tmp_path):
  assert not run_results.is_finished(tmp_path)
  (tmp_path / "figures").mkdir()
  (tmp_path / "report.html").touch()
  for content, finished in (("[]", True), ("", False), ("{", False), ("{}", False)):
    (tmp_path / "claims.json").write_text(content)
    assert run_results.is_finished(tmp_path) is finished, content


def test_the_copy_for_a_fork_leaves_unfinished_and_damaged_checkpoints_behind(tmp_path):
  source, folder = tmp_path / "source", tmp_path / "folder"
  for name in ("5", "10.orbax-checkpoint-tmp-3", "damaged-3.1", "behind-4.1"):
    (source / "checkpoints/train" / name).mkdir(parents=True)
  write_identity(source, IDENTITY)
  folder.mkdir()
  run_fork.fork(source, folder, IDENTITY)
  assert [path.name for path in (folder / "checkpoints/train").iterdir()] == ["5"]
  assert json.loads((folder / "fork.json").read_text())["source"] == str(source)
  assert not (folder / ".fork").exists() and not run_fork.needs_fork(source, folder)
  assert not run_fork.needs_fork(Path(os.path.relpath(source)), folder)


CLAIM = {
  "id": "C06",
  "what": "accuracy",
  "source": "1",
  "ours": 0.5,
  "bar": "≥ 0.01",
  "verdict": "pass",
}


@pytest.mark.parametrize(
  "changes",
  [
    {"bar": 3},
    {"bar": "≥ --"},
    {"bar": {"relation": "at least"}},
    {"ours": "much"},
    {"what": None},
    {"source": []},
  ],
)
def test_a_run_with_malformed_claims_is_not_finished(tmp_path, changes):
  (tmp_path / "figures").mkdir()
  (tmp_path / "report.html").touch()
  for claims, finished in (([CLAIM], True), ([CLAIM | changes], False), ([3], False), ({}, False)):
    (tmp_path / "claims.json").write_text(json.dumps(claims))
    assert run_results.is_finished(tmp_path) is finished, claims


@pytest.mark.parametrize(
  "content",
  [
    "[" * 100_000,
    '{"experiment": "net", "seed": "x", "config": {}}',
    '{"experiment": "net", "seed": true, "config": {}}',
    '{"experiment": "net", "seed": -1, "config": {}}',
    '{"experiment": ["net"], "seed": 0, "config": {}}',
    '{"experiment": "net", "seed": 0, "config": []}',
  ],
)
def test_an_identity_with_values_of_wrong_types_is_reported_as_damaged(tmp_path, content):
  (tmp_path / "config.json").write_text(content)
  with pytest.raises(UserError, match=r"config\.json is damaged"):
    read_identity(tmp_path)
