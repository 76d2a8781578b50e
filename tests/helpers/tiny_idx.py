"""A stand-in for MNIST small enough to prepare in a test, and processes that prepare it and die.

Run as a script it is one such process: tiny_idx.py COUNTER_FILE RAW_FOLDER KILL_AT
"""

import hashlib
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from research.data import cache, idx, idx_sets, prepared, sources
from research.data.spec import Spec

SPEC = Spec("mnist", (5, 4, 1), 3, train_size=60, test_size=20)


def arrays() -> dict[str, np.ndarray]:
  """The content of the four raw files, by file name."""
  random = np.random.RandomState(7)
  found = {}
  for split, n in (("train", SPEC.train_size), ("test", SPEC.test_size)):
    files = idx_sets.FILES[split]
    found[files.images] = random.randint(0, 256, (n, 5, 4)).astype(np.uint8)
    found[files.labels] = random.randint(0, SPEC.classes, n).astype(np.uint8)
  return found


def raw_files() -> dict[str, bytes]:
  return {name: idx.encode(array) for name, array in arrays().items()}


def write_raw_files(folder: Path) -> Path:
  folder.mkdir(parents=True, exist_ok=True)
  for name, data in raw_files().items():
    (folder / name).write_bytes(data)
  return folder


def tiny_set(*downloads: sources.Source) -> idx_sets.IdxSet:
  return idx_sets.IdxSet(
    spec=SPEC,
    sha256={name: hashlib.sha256(data).hexdigest() for name, data in raw_files().items()},
    downloads=downloads,
    homepage="https://example.org",
    citation="nobody",
  )


def die(*_args, **_kwargs):
  os.kill(os.getpid(), signal.SIGKILL)


def main(counter: str, raw: str, kill_at: str) -> None:
  def fetch(scratch, sizes):
    with open(counter, "a") as file:
      file.write("fetched\n")
    if kill_at == "fetching":
      (scratch / "train-images-idx3-ubyte").write_bytes(b"half")
      die()
    time.sleep(0.5)  # long enough for the other process to arrive
    return [Path(raw)]

  if kill_at == "building":
    from research.data import idx_builder

    plain = idx_builder.IdxBuilder._generate_examples

    def generate(self, *args):
      for i, example in enumerate(plain(self, *args)):
        if i == 10:
          die()
        yield example

    idx_builder.IdxBuilder._generate_examples = generate
  if kill_at == "before the folder's move":
    cache.publish_folder = die
  if kill_at == "after the folder's move":
    cache.publish_arrays = die
  if kill_at == "writing the arrays":

    def savez(file, **_arrays):
      file.write(b"PK half")
      file.flush()
      die()

    np.savez = savez

  train, test = prepared.load(tiny_set(sources.Source("a counter", fetch)), None)
  print(train["image"].sum() + test["image"].sum())
  if "tensorflow_datasets" in sys.modules:
    print("it prepared", file=sys.stderr)


if __name__ == "__main__":
  main(*sys.argv[1:])
