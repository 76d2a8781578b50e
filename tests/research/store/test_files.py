import errno
import os

import pytest

from research.errors import DiskFullError, UserError
from research.store.files import (
  cache_folder,
  disk_full_is_a_user_error,
  write_atomically,
  write_json,
)

pytestmark = pytest.mark.fast


def test_a_file_is_whole_or_absent_and_leaves_no_temporary(tmp_path, monkeypatch):
  path = tmp_path / "ünï.json"
  write_json(path, {"a": 1})
  old = path.read_bytes()
  assert old == b'{\n  "a": 1\n}\n'

  def fails(*arguments):
    raise OSError(errno.ENOSPC, "No space left on device")

  for victim in ("fsync", "replace"):
    with monkeypatch.context() as patch:
      patch.setattr(os, victim, fails)
      with pytest.raises(OSError):
        write_atomically(path, "new")
    assert path.read_bytes() == old
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
  write_atomically(path, b"new")
  assert path.read_bytes() == b"new"


@pytest.mark.parametrize(
  "error",
  [
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EDQUOT, "Disk quota exceeded"),
    OSError(errno.EFBIG, "File too large"),
    ValueError("RESOURCE_EXHAUSTED: Disk is full writing 'x'"),
    ValueError("INTERNAL: write failed: No space left on device"),
  ],
)
def test_a_full_disk_is_one_line_that_says_what_to_do(tmp_path, error):
  with pytest.raises(DiskFullError) as caught, disk_full_is_a_user_error(tmp_path):
    try:
      raise error
    except Exception as inner:
      raise RuntimeError("a library's wrapping") from inner
  assert str(tmp_path) in str(caught.value) and "same command" in str(caught.value)
  assert "\n" not in str(caught.value) and caught.value.exit_code == 4


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "denied"), UserError("x"), ValueError()])
def test_errors_other_than_a_full_disk_pass_through(tmp_path, error):
  with pytest.raises(type(error)) as caught, disk_full_is_a_user_error(tmp_path):
    raise error
  assert caught.value is error


@pytest.mark.parametrize(
  ("variables", "folder"),
  [
    ({"LINEAGE_CACHE": "/own", "XDG_CACHE_HOME": "/xdg"}, "/own"),
    ({"LINEAGE_CACHE": "~/own"}, "/home/me/own"),
    ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/lineage"),
    ({"XDG_CACHE_HOME": "", "LINEAGE_CACHE": ""}, "/home/me/.cache/lineage"),
    ({}, "/home/me/.cache/lineage"),
  ],
)
def test_the_cache_is_where_the_environment_says(monkeypatch, variables, folder):
  monkeypatch.setenv("HOME", "/home/me")
  for name in ("LINEAGE_CACHE", "XDG_CACHE_HOME"):
    monkeypatch.delenv(name, raising=False)
  for name, value in variables.items():
    monkeypatch.setenv(name, value)
  assert str(cache_folder()) == folder
