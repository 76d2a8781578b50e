"""TensorBoard's event files: a folder for each fit, so that fits and members share their charts."""

import shutil
import struct
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

FOLDER = "events"
PICTURES = "figures"  # beside the folders of fits
MOST = 200  # folders of one run that are written, each an open file


class EventFiles:
  """Writes metrics, settings (as HParams) and figures of one run, for TensorBoard to show.

  A folder is named by its fit, in a population also by the member and the repetition. What is lost
  in a kill is written again from metrics.jsonl.
  """

  def __init__(self, folder: Path):
    self._folder = folder / FOLDER
    self._writers: dict[str, Any] = {}
    self._settings: dict[str, Mapping[str, Any]] = {}
    self._flushed_at = 0.0

  def describe(self, owner: str, settings: Mapping[str, Any]) -> None:
    """Notes the settings of a fit or member, which go before its first metrics."""
    self._settings[owner] = settings

  def remove(self) -> None:
    """Removes all files, to begin anew; also those that lay in the run's folder itself."""
    self.close()
    shutil.rmtree(self._folder, ignore_errors=True)
    for old in self._folder.parent.glob("events.out.tfevents.*"):
      old.unlink()

  def show(self, owner: str, step: int, metrics: Mapping[str, float | None]) -> None:
    """Adds values of metrics; None, for a value that is not finite, is left out."""
    from tensorboardX.summary import scalar

    if owner not in self._writers and len(self._writers) == MOST:
      return
    is_new = owner not in self._writers
    writer = self._writer(owner)
    if is_new and owner in self._settings:
      writer.write_event(_event(0, _hyperparameters(self._settings[owner])))
    for name, value in metrics.items():
      if value is not None:
        writer.write_event(_event(step, scalar(name, value)))
    # A flush reaches the disk, which takes long; the more files, the more seldom.
    if time.monotonic() - self._flushed_at > len(self._writers):
      for each in self._writers.values():
        each.flush()
      self._flushed_at = time.monotonic()

  def show_pictures(self, pictures: Mapping[str, bytes]) -> None:
    """Writes the figures of a finished run, PNG or GIF by name, in place of those before."""
    shutil.rmtree(self._folder / PICTURES, ignore_errors=True)
    writer = self._writer(PICTURES)
    for name, image in pictures.items():
      writer.write_event(_event(0, _image(name, image)))
    self._writers.pop(PICTURES).close()

  def close(self) -> None:
    """Closes all files, even where one has no space for its last bytes."""
    with ExitStack() as stack:
      for writer in self._writers.values():
        stack.callback(writer.close)
      self._writers = {}

  def _writer(self, owner: str) -> Any:
    # Not a SummaryWriter: its thread dies silently of a full disk, and the run hangs behind it.
    from tensorboardX.event_file_writer import EventsWriter

    if owner not in self._writers:
      folder = self._folder / owner
      folder.mkdir(parents=True, exist_ok=True)
      self._writers[owner] = EventsWriter(str(folder / "events"))
    return self._writers[owner]


def _event(step: int, summary: Any) -> Any:
  from tensorboardX.proto.event_pb2 import Event

  return Event(wall_time=time.time(), step=step, summary=summary)


def _hyperparameters(settings: Mapping[str, Any]) -> Any:
  """The settings as a session of the HParams page, which gathers its columns from all runs."""
  from tensorboardX.summary import hparams

  plain = {
    name: value if isinstance(value, bool | int | float | str) else str(value)
    for name, value in settings.items()
  }
  _, session, _ = hparams(plain, {})
  return session


def _image(name: str, image: bytes) -> Any:
  from tensorboardX.proto.summary_pb2 import Summary

  if image.startswith(b"\x89PNG"):
    width, height = struct.unpack(">II", image[16:24])
  else:  # GIF
    width, height = struct.unpack("<HH", image[6:10])
  content = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=image)
  return Summary(value=[Summary.Value(tag=name, image=content)])
