"""The cache: prepared once, by one process, and nothing damaged or half-made is believed."""

import functools
import gzip
import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from hypothesis import example, given
from hypothesis import strategies as st

from research.data import cache, idx, idx_sets, prepared, sources
from research.errors import DiskFullError, UserError
from research.store.files import cache_folder
from tests.fixtures import tiny_idx


def start_process(tmp_path, raw_folder, kill_at="never"):
  return subprocess.Popen(
    [sys.executable, tiny_idx.__file__, str(tmp_path / "counter"), str(raw_folder), kill_at],
    env={**os.environ, "PYTHONPATH": os.getcwd()},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def assert_sound(train, test):
  expected = tiny_idx.arrays()
  for split, found in (("train", train), ("test", test)):
    files = idx_sets.FILES[split]
    np.testing.assert_array_equal(found["image"][..., 0], expected[files.images])
    np.testing.assert_array_equal(found["label"], expected[files.labels])
    assert found["image"].dtype == np.uint8 and found["label"].dtype == np.int32


def test_two_processes_at_once_do_the_work_once(tmp_path, raw_folder):
  both = [start_process(tmp_path, raw_folder) for _ in range(2)]
  results = [process.communicate(timeout=120) for process in both]
  assert [process.returncode for process in both] == [0, 0], results
  assert results[0][0] == results[1][0] != ""
  assert (tmp_path / "counter").read_text() == "fetched\n"
  assert sum("it prepared" in err for _, err in results) == 1


KILLS = {
  "fetching": 1,
  "building": 1,
  "before the folder's move": 1,
  "after the folder's move": 0,
  "writing the arrays": 0,
}


@pytest.mark.parametrize(("kill_at", "fetches_after"), KILLS.items())
def test_a_kill_midway_leaves_nothing_that_is_believed(
  kill_at, fetches_after, tmp_path, raw_folder, cache_dir
):
  process = start_process(tmp_path, raw_folder, kill_at)
  process.communicate(timeout=120)
  assert process.returncode == -9
  assert list((cache_dir / "scratch").iterdir()), "it was to die in the middle of its work"
  assert not (cache_dir / "arrays" / "mnist.npz").exists()

  fetches = []

  def fetch(scratch, sizes):
    fetches.append(1)
    return [raw_folder]

  assert_sound(*prepared.load(tiny_idx.tiny_set(sources.Source("again", fetch)), None))
  assert len(fetches) == fetches_after
  assert not list((cache_dir / "scratch").iterdir())


def test_the_tfds_set_read_back_plainly_equals_the_raw_files(raw_folder, cache_dir):
  prepared.load(tiny_idx.tiny_set(), str(raw_folder))
  builder = tfds.builder("lineage_mnist", data_dir=cache_dir / "tfds")
  assert builder.is_prepared()
  assert builder.info.features["image"].np_dtype == np.uint8
  source = builder.as_data_source()
  expected = tiny_idx.arrays()
  for split, files in idx_sets.FILES.items():
    images = np.stack([example["image"] for example in source[split]])
    labels = [example["label"] for example in source[split]]
    np.testing.assert_array_equal(images[..., 0], expected[files.images])
    assert labels == expected[files.labels].tolist()


def test_a_second_start_asks_nobody_and_says_nothing(raw_folder, capfd):
  prepared.load(tiny_idx.tiny_set(), str(raw_folder))
  capfd.readouterr()
  assert_sound(*prepared.load(tiny_idx.tiny_set(), None))  # no source is left
  assert capfd.readouterr() == ("", "")


def test_damaged_arrays_are_never_believed_and_made_again(raw_folder, cache_dir):
  idx_set = tiny_idx.tiny_set()
  prepared.load(idx_set, str(raw_folder))
  place = cache_dir / "arrays" / "mnist.npz"
  whole = place.read_bytes()
  sound = cache.read_arrays(place)
  random = np.random.RandomState(0)
  noticed = 0
  is_right = functools.partial(prepared.has_the_right_shape, idx_set.spec)
  for position in random.choice(len(whole), 300, replace=False):
    damaged = bytearray(whole)
    damaged[position] ^= 1 << random.randint(8)
    place.write_bytes(damaged)
    found = cache.right_arrays(place, is_right)
    noticed += found is None
    # A flip in a date or a flag of the zip harms nothing; the arrays must be right, or refused.
    assert found is None or all(np.array_equal(found[name], sound[name]) for name in sound)
  assert noticed > 200

  place.write_bytes(whole[: len(whole) // 2])
  assert_sound(*prepared.load(idx_set, None))  # from the TFDS set beside it
  assert place.read_bytes()[:2] == b"PK" and cache.read_arrays(place) is not None


def test_a_damaged_tfds_set_is_built_again(raw_folder, cache_dir):
  prepared.load(tiny_idx.tiny_set(), str(raw_folder))
  (cache_dir / "arrays" / "mnist.npz").unlink()
  record = next((cache_dir / "tfds" / "lineage_mnist" / "1.0.0").glob("*train*"))
  record.write_bytes(record.read_bytes()[:1000])
  assert_sound(*prepared.load(tiny_idx.tiny_set(), str(raw_folder)))
  (cache_dir / "arrays" / "mnist.npz").unlink()
  assert_sound(*prepared.load(tiny_idx.tiny_set(), None))


def test_a_sound_tfds_set_of_other_content_is_not_taken(raw_folder, cache_dir, tmp_path):
  prepared.load(tiny_idx.tiny_set(), str(raw_folder))
  (cache_dir / "arrays" / "mnist.npz").unlink()
  other = tiny_idx.tiny_set()
  other.sha256["train-labels-idx1-ubyte"] = "0" * 64
  with pytest.raises(UserError, match="is not the known file"):
    prepared.load(other, str(raw_folder))


def test_a_cache_that_cannot_be_written_says_so(tmp_path, monkeypatch, raw_folder):
  (tmp_path / "file").write_text("")
  monkeypatch.setenv("LINEAGE_CACHE", str(tmp_path / "file" / "cache"))
  with pytest.raises(UserError, match=r"the cache .* cannot be used .*LINEAGE_CACHE"):
    prepared.load(tiny_idx.tiny_set(), str(raw_folder))


def test_a_full_disk_says_so(monkeypatch, raw_folder, cache_dir):
  def savez(file, **arrays):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(np, "savez", savez)
  with pytest.raises(DiskFullError, match="LINEAGE_CACHE"):
    prepared.load(tiny_idx.tiny_set(), str(raw_folder))
  monkeypatch.undo()
  assert not list((cache_dir / "scratch").iterdir())


def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
  monkeypatch.setenv("LINEAGE_CACHE", str(tmp_path / "a"))
  assert cache_folder() == tmp_path / "a"
  monkeypatch.delenv("LINEAGE_CACHE")
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
  assert cache_folder() == tmp_path / "b" / "lineage"
  monkeypatch.delenv("XDG_CACHE_HOME")
  monkeypatch.setenv("HOME", str(tmp_path / "c"))
  assert cache_folder() == tmp_path / "c" / ".cache" / "lineage"


@pytest.mark.parametrize("is_cached", [False, True])
@pytest.mark.parametrize("where", [".", "mnist"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_files_of_ones_own_under_the_published_names_are_never_passed_over(
  is_cached, where, suffix, raw_folder, tmp_path, monkeypatch
):
  idx_set = tiny_idx.tiny_set(sources.folder(raw_folder, "mnist"))
  if is_cached:
    prepared.load(idx_set, None)
  own = tmp_path / "own" / where
  own.mkdir(parents=True)
  data = idx.encode(np.zeros((60, 5, 4), np.uint8))
  (own / f"train-images-idx3-ubyte{suffix}").write_bytes(gzip.compress(data) if suffix else data)
  refused = pytest.raises(UserError, match=r"own/.*-ubyte.* is not the known file .*tfds:NAME")
  with refused:
    prepared.load(idx_set, str(tmp_path / "own"))
  monkeypatch.setenv("LINEAGE_DATA_DIR", str(tmp_path / "own"))
  with refused:
    prepared.load(idx_set, None)
  tiny_idx.write_raw_files(tmp_path / "own" / "mnist")  # the known files are there too
  (own / "train-images-idx3-ubyte.gz").unlink(missing_ok=True)
  assert_sound(*prepared.load(idx_set, None))


def test_another_published_set_in_the_folder_is_no_file_of_ones_own(
  raw_folder, tmp_path, tiny_mnist
):
  tiny_mnist()
  other = tiny_idx.tiny_set(sources.folder(raw_folder, "mnist"))
  name, known = "train-images-idx3-ubyte", b"of another set"
  (tmp_path / "own").mkdir()
  (tmp_path / "own" / name).write_bytes(known)
  tiny = idx_sets.IDX_SETS["mnist"]
  tiny.sha256[name] = hashlib.sha256(known).hexdigest()
  assert_sound(*prepared.load(other, str(tmp_path / "own")))


SMALL = idx.encode(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))


@example(b"\xff" + b"\xff\xff\xff\xff" * 255, 0, 0)  # sizes whose product no integer holds
@given(st.binary(max_size=60), st.integers(0, len(SMALL)), st.integers(0, 255))
def test_damaged_idx_files_are_refused_or_say_what_their_bytes_say(data, place, byte):
  changed = SMALL[:place] + bytes([byte]) + SMALL[place + 1 :]
  for damaged in (data, changed, SMALL[:place], SMALL[:place] + data, b"\0\0\x08" + data):
    try:
      array = idx.decode(damaged)
    except ValueError as error:
      assert "IDX" in str(error)
    else:
      assert idx.encode(array) == damaged


def test_idx_decodes_what_it_encodes_and_refuses_the_rest():
  array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
  data = idx.encode(array)
  np.testing.assert_array_equal(idx.decode(data), array)
  for wrong in (b"", data[:3], data[:10], data[:-1], data + b"x", b"\1" + data[1:]):
    with pytest.raises(ValueError, match="IDX"):
      idx.decode(wrong)
