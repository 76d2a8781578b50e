import errno
import json
import math
import struct

import pytest
from tensorboardX.crc32c import crc32c
from tensorboardX.proto.event_pb2 import Event

from research.errors import UserError
from research.store.metrics_log import MetricsLog, read_rows

pytestmark = pytest.mark.fast


def row(step, fit="train", **metrics):
  return {"fit": fit, "step": step, **(metrics or {"train/loss": 1 / (step + 1)})}


def written(folder, rows):
  log = MetricsLog(folder)
  log.seek(0, 0)
  for each in rows:
    log.append(each, {"seconds": 0.5})
  log.sync()
  log.close()
  return log


def masked(data):
  checksum = crc32c(data)
  return (((checksum >> 15) | (checksum << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def events(folder):
  """(tag, step, value) of every record of the event files, checksums verified."""
  found = []
  for path in sorted(folder.glob("events/*/events.out.tfevents.*")):
    data = path.read_bytes()
    while data:
      (length,), header = struct.unpack("<Q", data[:8]), data[:8]
      body, tail = data[12 : 12 + length], data[12 + length : 16 + length]
      assert struct.unpack("<I", data[8:12])[0] == masked(header)
      assert struct.unpack("<I", tail)[0] == masked(body)
      event = Event.FromString(body)
      found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
      data = data[16 + length :]
  return found


def test_rows_are_read_back_and_times_are_in_a_file_of_their_own(tmp_path):
  rows = [row(0, **{"test/accuracy": 0.1}), row(5), row(5, fit="other")]
  written(tmp_path, rows)
  assert read_rows(tmp_path) == rows
  assert read_rows(tmp_path, "other") == rows[2:]
  assert read_rows(tmp_path / "nowhere") == []
  times = [json.loads(line) for line in (tmp_path / "timing.jsonl").read_text().splitlines()]
  assert [time["step"] for time in times] == [0, 5, 5] and times[0]["seconds"] == 0.5


def test_values_that_are_not_finite_become_null_in_valid_json(tmp_path):
  written(tmp_path, [row(1, a=math.nan, b=math.inf, c=-math.inf, d=0.5)])
  text = (tmp_path / "metrics.jsonl").read_text()

  def refuse(constant):
    raise AssertionError(constant)

  assert json.loads(text, parse_constant=refuse) == row(1, a=None, b=None, c=None, d=0.5)
  assert [tag for tag, _, _ in events(tmp_path)] == ["d"]


def test_seek_cuts_rows_behind_the_checkpoint_and_equal_runs_have_equal_files(tmp_path):
  rows = [row(step) for step in range(6)]
  written(tmp_path, rows)
  whole = (tmp_path / "metrics.jsonl").read_bytes()
  other = tmp_path / "other"
  other.mkdir()
  half = written(other, rows[:3])
  for path in other.glob("events/*/*"):  # of an earlier second, so that the next has another name
    path.rename(path.with_name("events.out.tfevents.1234567890.host"))
  offset, checksum = half.offset, half.checksum
  with open(other / "metrics.jsonl", "a") as file:
    file.write(json.dumps(row(3)) + '\n{"fit": "tr')
  with open(other / "timing.jsonl", "a") as file:
    file.write('{"fit": "tr')
  assert half.fits_behind(offset) == {"train"} and half.fits_behind(10**6) == set()
  half.seek(offset, checksum)
  for each in rows[3:]:
    half.append(each, {"seconds": 0.5})
  half.close()
  assert (other / "metrics.jsonl").read_bytes() == whole
  assert all(json.loads(line) for line in (other / "timing.jsonl").read_text().splitlines())
  expected = [(tag, step, pytest.approx(value)) for tag, step, value in events(tmp_path)]
  assert len(expected) == 6
  assert events(other) == expected  # none twice, none missing


@pytest.mark.parametrize(
  ("edit", "word"), [(lambda data: data[:-1], "shortened"), (lambda data: b" " + data, "changed")]
)
def test_a_log_that_does_not_fit_the_checkpoint_is_refused_and_left_alone(tmp_path, edit, word):
  log = written(tmp_path, [row(0), row(1)])
  path = tmp_path / "metrics.jsonl"
  path.write_bytes(edit(path.read_bytes()))
  before = path.read_bytes()
  with pytest.raises(UserError, match=f"{word}.*put the file back, or start over with --fresh"):
    log.seek(log.offset, log.checksum)
  assert path.read_bytes() == before


@pytest.mark.parametrize("last", [b'{"fit": "tr', b"\xff\xfe", b"3", b"[]", b"{}"])
def test_reading_stops_at_the_first_line_that_is_no_row(tmp_path, last):
  written(tmp_path, [row(0), row(1)])
  with open(tmp_path / "metrics.jsonl", "ab") as file:
    file.write(last)
  assert read_rows(tmp_path) == [row(0), row(1)]


def test_all_files_are_closed_even_where_one_has_no_space(tmp_path):
  log = MetricsLog(tmp_path)
  log.seek(0, 0)
  log.append(row(0), {})
  file, timing = log._file, log._timing

  class Full:
    def close(self):
      raise OSError(errno.ENOSPC, "No space left on device")

  log.events._writers["train"] = Full()
  with pytest.raises(OSError):
    log.close()
  assert file.closed and timing.closed
  log.close()  # and nothing is left to fail
