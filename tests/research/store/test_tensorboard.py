import base64

import pytest
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event

from research.store import tensorboard
from research.store.metrics_log import MetricsLog

pytestmark = pytest.mark.fast
PNG = base64.b64decode(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)


def events(folder):
  """The values of all event files in a folder, by tag."""
  found = {}
  for path in sorted(folder.glob("events.out.tfevents.*")):
    data = path.read_bytes()
    while data:
      length = int.from_bytes(data[:8], "little")
      for value in Event.FromString(data[12 : 12 + length]).summary.value:
        found.setdefault(value.tag, []).append(value)
      data = data[16 + length :]
  return found


def test_members_and_seeds_have_folders_of_their_own_and_equal_tags(tmp_path):
  log = MetricsLog(tmp_path)
  log.events.describe("race/adam/0", {"seed": 3, "learning_rate": 0.1, "sizes": (100, 50)})
  log.seek(0, 0)
  for repeat in (0, 1):
    row = {"fit": "race", "step": 5, "member": "adam", "repeat": repeat, "test/loss": 0.5 + repeat}
    log.append(row, {})
  log.close()
  for repeat in (0, 1):
    (value,) = events(tmp_path / "events" / "race" / "adam" / str(repeat))["test/loss"]
    assert value.simple_value == 0.5 + repeat
  (session,) = events(tmp_path / "events/race/adam/0")["_hparams_/session_start_info"]
  content = session.metadata.plugin_data.content
  assert b"learning_rate" in content and b"sizes" in content
  assert "_hparams_/session_start_info" not in events(tmp_path / "events/race/adam/1")


def test_figures_are_images_and_take_the_place_of_those_before(tmp_path):
  for name in ("old", "curve"):
    tensorboard.EventFiles(tmp_path).show_pictures({name: PNG, "film": b"GIF89a\3\0\2\0"})
  found = events(tmp_path / "events" / "figures")
  assert set(found) == {"curve", "film"}
  image = found["curve"][0].image
  assert image.encoded_image_string == PNG and (image.width, image.height) == (1, 1)
  assert (found["film"][0].image.width, found["film"][0].image.height) == (3, 2)


def test_not_more_files_are_open_than_a_process_may_have(tmp_path, monkeypatch):
  monkeypatch.setattr(tensorboard, "MOST", 2)
  files = tensorboard.EventFiles(tmp_path)
  for owner in "abc":
    files.show(owner, 1, {"loss": 1.0})
  assert len(files._writers) == 2 and isinstance(files._writers["a"], EventsWriter)
  files.close()


def test_files_of_before_are_removed(tmp_path):
  (tmp_path / "events.out.tfevents.1.host").write_text("old")
  tensorboard.EventFiles(tmp_path).remove()
  assert not list(tmp_path.iterdir())
