"""Data that may change under their name are part of a run's identity."""

import json

import pytest

from research.errors import UserError
from research.lab import own_data
from research.lab.run_folder import Identity
from tests.fixtures.own_files import image_folder

pytestmark = pytest.mark.fast


def made(tmp_path):
  """A folder of images, a run's folder that has learned from it, and the run's settings."""
  image_folder(tmp_path / "fruit")
  fields = {"dataset": f"folder:{tmp_path / 'fruit'}", "epochs": 3}
  identity = Identity("any", 0, fields | own_data.identity(fields))
  run = tmp_path / "run"
  run.mkdir()
  (run / "config.json").write_text(json.dumps(identity.as_json()))
  own_data.write(run, identity)
  return tmp_path / "fruit", run, fields


def test_published_sets_add_nothing(tmp_path):
  assert own_data.identity({"dataset": "mnist"}) == {} == own_data.identity({"epochs": 3})
  own_data.write(tmp_path, Identity("any", 0, {"dataset": "digits"}))
  assert not list(tmp_path.iterdir())


def test_the_same_files_are_the_same_run(tmp_path):
  _, run, fields = made(tmp_path)
  again = Identity("any", 0, fields | own_data.identity(fields))
  own_data.check(run, again)
  assert again.as_json() == json.loads((run / "config.json").read_text())


def test_changed_files_are_named(tmp_path):
  fruit, run, fields = made(tmp_path)
  (fruit / "apple" / "0.png").write_bytes((fruit / "plum" / "0.png").read_bytes())
  (fruit / "lime" / "5.png").rename(fruit / "lime" / "6.png")
  identity = Identity("any", 0, fields | own_data.identity(fields))
  assert identity.as_json() != json.loads((run / "config.json").read_text())
  with pytest.raises(UserError) as refusal:
    own_data.check(run, identity)
  for words in ("apple/0.png is other than", "lime/5.png is gone", "lime/6.png is new"):
    assert words in str(refusal.value)


def test_another_data_set_is_no_change_of_files(tmp_path):
  _, run, _ = made(tmp_path)
  own_data.check(run, Identity("any", 0, {"dataset": "digits"}))


def test_a_text_of_ones_own_is_part_of_the_identity(tmp_path):
  file = tmp_path / "mine.txt"
  file.write_text("one")
  fields = {"text": str(file)}
  before = own_data.identity(fields)
  file.write_text("another")
  assert before and own_data.identity(fields) != before
  assert own_data.identity({"text": ""}) == {} == own_data.identity({"text": str(tmp_path)})
