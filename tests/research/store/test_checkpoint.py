"""Checkpoints come back to the bit, and damaged ones are never used."""

import itertools
import logging
import random
import shutil
import sys
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research.store import checkpoint
from research.store.checkpoint import Checkpoints, Snapshot
from research.store.host_state import from_host, to_host

# Orbax's threads may outlive the event loop of a restore that failed.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

ABOUT = {"finished": False, "offset": 1234, "pending": {"loss": [0.1, 1 / 3]}, "best_score": None}


class State(NamedTuple):
  step: jax.Array
  key: jax.Array
  other_key: jax.Array
  params: dict
  opt_state: tuple


def state(number=0):
  params = {
    "float32": jnp.linspace(0.1, 1.0, 7) + number,
    "bfloat16": jnp.linspace(0.1, 1.0, 6).astype(jnp.bfloat16).reshape(2, 3),
    "float16": jnp.ones((1, 1), jnp.float16),
    "special": jnp.array([jnp.nan, jnp.inf, -0.0, 1e-45]),
    "int8": jnp.int8(-3),
    "uint32": jnp.array([2**32 - 1], jnp.uint32),
    "bool": jnp.array([[True], [False]]),
    "empty": jnp.zeros((0, 3), jnp.bfloat16),
    "a/b c": {"ü": jnp.float32(number)},
  }
  optimizer = optax.chain(optax.clip(1.0), optax.adam(0.1), optax.trace(0.9))
  moved = {"W": jnp.ones(3), "empty": jnp.zeros((2, 0))}
  keys = jax.random.key(number), jax.random.split(jax.random.key(1, impl="rbg"), (2, 2))
  return State(jnp.int32(number), *keys, params, optimizer.init(moved))


def template():
  return jax.eval_shape(state)


def bits(tree):
  data = lambda leaf: (
    jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
  )
  leaves, structure = jax.tree.flatten(tree)
  arrays = [(np.asarray(data(leaf)), str(leaf.dtype)) for leaf in leaves]
  return str(structure), [(kind, a.dtype, a.shape, a.tobytes()) for a, kind in arrays]


def opened(folder, warnings=None, **options):
  return Checkpoints(folder, warn=(warnings if warnings is not None else []).append, **options)


def saved(folder, steps, scores=None):
  """A folder with checkpoints of `state(step)` that were waited for."""
  checkpoints = opened(folder)
  for index, step in enumerate(steps):
    score = scores[index] if scores else None
    checkpoints.save(Snapshot(step, to_host(state(step)), {**ABOUT, "step": step}), score=score)
    checkpoints.wait()
  checkpoints.close()
  return folder


@pytest.fixture(scope="module")
def two(tmp_path_factory):
  return saved(tmp_path_factory.mktemp("two") / "ck", (5, 10))


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
  return saved(tmp_path_factory.mktemp("scored") / "ck", (5, 10), (0.1, 0.2))


@pytest.fixture
def folder(two, tmp_path):
  shutil.copytree(two, tmp_path / "ck")
  return tmp_path / "ck"


def test_every_kind_of_leaf_comes_back_to_the_bit(folder):
  checkpoints = opened(folder)
  snapshot = checkpoints.latest()
  checkpoints.close()
  assert (snapshot.step, snapshot.about) == (10, {**ABOUT, "step": 10})
  assert bits(from_host(snapshot.arrays, template())) == bits(state(10))


def test_host_arrays_do_not_share_the_devices_buffers():
  x = jnp.zeros(1000)
  assert np.shares_memory(jax.device_get(x), np.asarray(x))  # as it would without a copy
  assert not np.shares_memory(to_host({"x": x})["x"], np.asarray(x))


def test_a_state_of_another_form_is_refused_by_name():
  arrays = to_host(state())
  change = lambda **changes: {**arrays, **changes}
  name = "params/float32"
  for bad, words in (
    ({k: v for k, v in arrays.items() if k != name}, f"has no '{name}'"),
    (change(**{name: np.zeros(8, np.float32)}), r"has shape \(8,\), and \(7,\) is needed"),
    (change(**{name: np.zeros(7, np.int32)}), "of type int32, and float32 is needed"),
    (change(key=np.zeros(4, np.uint32)), r"'key' has shape \(4,\), and \(2,\)"),
  ):
    with pytest.raises(ValueError, match=words):
      from_host(bad, template())


def process_wide():
  return sys.unraisablehook, *(logging.getLogger(name).level for name in checkpoint.CHATTY)


def test_orbax_is_opened_at_first_use_and_changes_no_hook_or_logger(folder, tmp_path, monkeypatch):
  for name in checkpoint.CHATTY:
    monkeypatch.setattr(logging.getLogger(name), "level", logging.ERROR)
  before = process_wide()
  with monkeypatch.context() as patch:
    patch.setitem(sys.modules, "orbax.checkpoint", None)
    empty = opened(tmp_path / "none")
    assert empty.latest() is None and empty.best() is None
    empty.wait()
    empty.close()
  assert not (tmp_path / "none").exists()
  checkpoints = opened(folder)
  assert checkpoints.latest().step == 10 and process_wide() == before
  checkpoints.save(Snapshot(15, to_host(state(15)), ABOUT))
  checkpoints.close()
  assert process_wide() == before


def corrupted_files(folder):
  """Every file of the last checkpoint."""
  return sorted(path for path in (folder / "10").rglob("*") if path.is_file())


def latest_and_warnings(folder):
  warnings = []
  checkpoints = opened(folder, warnings)
  snapshot = checkpoints.latest()
  checkpoints.close()
  return snapshot, warnings


def test_a_flipped_bit_in_any_file_is_found(two, tmp_path):
  rng, detected = random.Random(0), 0
  for path in corrupted_files(two):
    data = bytearray(path.read_bytes())
    for position in rng.sample(range(len(data)), 10 if "state/d" in str(path) else 2):
      folder = tmp_path / "ck"
      shutil.copytree(two, folder)
      flipped = bytearray(data)
      flipped[position] ^= 1 << rng.randrange(8)
      (folder / path.relative_to(two)).write_bytes(flipped)
      snapshot, warnings = latest_and_warnings(folder)
      # Some bytes mean nothing; but whatever is given out must be what was saved.
      assert snapshot.about == {**ABOUT, "step": snapshot.step}, (path, position)
      assert bits(from_host(snapshot.arrays, template())) == bits(state(snapshot.step))
      assert bool(warnings) == (snapshot.step == 5)
      detected += snapshot.step == 5
      shutil.rmtree(folder)
  assert detected >= 10


def test_the_checksum_depends_on_type_and_shape():
  """The same bytes as other numbers, or in other rows, are another array."""
  ones = np.ones((2, 3), np.float32)
  others = (ones.view(np.int32), ones.reshape(3, 2), ones.reshape(6), ones.view(np.uint8))
  assert len({checkpoint._checksum(array) for array in (ones, *others)}) == 5
  assert checkpoint._checksum(ones[:, ::1].copy("F")) == checkpoint._checksum(ones)


def test_a_flipped_bit_in_any_array_is_found_by_its_checksum(folder, monkeypatch):
  # Orbax's own codecs may notice some; here it hands out each array changed, one after the other.
  names = [name for name, array in to_host(state()).items() if array.size]
  for name in names:
    checkpoints = opened(folder, read_only=True)
    restore = checkpoints._manager.restore

    def changed(step, args, restore=restore, name=name):
      restored = restore(step, args=args)
      array = restored["state"][name] = np.array(restored["state"][name])
      array.reshape(-1).view(np.uint8)[-1] ^= 1
      return restored

    monkeypatch.setattr(checkpoints._manager, "restore", changed)
    assert checkpoints.latest() is None, name
    checkpoints.close()


@pytest.mark.parametrize("damage", ["truncated", "emptied", "missing", "folder missing"])
def test_a_damaged_checkpoint_is_named_and_set_aside_and_the_one_before_used(folder, damage):
  victims = {
    "truncated": max(corrupted_files(folder), key=lambda path: path.stat().st_size),
    "emptied": folder / "10/about/metadata",
    "missing": folder / "10/state/manifest.ocdbt",
    "folder missing": folder / "10/state",
  }
  victim = victims[damage]
  if damage == "truncated":
    for path in (folder / "10/state").rglob("*"):
      if path.is_file() and path.parent.name == "d":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
  elif damage == "emptied":
    victim.write_bytes(b"")
  elif damage == "missing":
    victim.unlink()
  else:
    shutil.rmtree(victim)
  snapshot, warnings = latest_and_warnings(folder)
  assert snapshot.step == 5
  (warning,) = warnings
  assert f"step 10 in {folder} is damaged (" in warning and "damaged-10.1" in warning
  assert "\n" not in warning and len(warning) < 500
  assert sorted(path.name for path in folder.iterdir()) == ["5", "damaged-10.1"]
  assert latest_and_warnings(folder)[1] == []  # said once
  again = opened(folder)
  again.save(Snapshot(10, to_host(state(10)), ABOUT))  # the way forward is free
  again.wait()
  assert again.latest().step == 10
  again.close()


@pytest.mark.parametrize(
  "content",
  [b"", b'{"score"', b"[]", b"null", b'{"score": "x"}', b'{"score": NaN}', b"\xff", b"[" * 99999],
)
def test_a_torn_score_falls_back_as_a_torn_state_does(scored, tmp_path, content):
  folder = tmp_path / "ck"
  shutil.copytree(scored, folder)
  (folder / "10/metrics/metrics").write_bytes(content)
  warnings = []
  checkpoints = opened(folder, warnings, read_only=True)
  assert checkpoints.latest().step == checkpoints.best().step == 5
  checkpoints.close()
  assert "left out" in warnings[0] and (folder / "10").exists()
  snapshot, warnings = latest_and_warnings(folder)
  assert snapshot.step == 5
  assert "step 10" in warnings[0] and "damaged-10.1" in warnings[0] and "\n" not in warnings[0]
  again = opened(folder)
  again.save(Snapshot(10, to_host(state(10)), ABOUT), score=0.9)
  again.wait()
  assert again.best().step == again.latest().step == 10
  again.close()


def test_no_checkpoint_is_returned_where_all_are_damaged(folder):
  for step in (5, 10):
    (folder / f"{step}/about/metadata").write_bytes(b"{")
  snapshot, warnings = latest_and_warnings(folder)
  assert snapshot is None and len(warnings) == 2
  assert not checkpoint.exists(folder) and not checkpoint.exists(folder / "nowhere")


def test_a_read_only_reader_moves_no_file(folder):
  (folder / "10/about/metadata").write_bytes(b"{")
  warnings = []
  checkpoints = opened(folder, warnings, read_only=True)
  assert checkpoints.latest().step == checkpoints.best().step == 5
  checkpoints.close()
  assert "left out" in warnings[0]
  assert sorted(path.name for path in folder.iterdir()) == ["10", "5"]


def test_the_latest_two_and_the_best_are_kept(tmp_path):
  folder = saved(tmp_path, (1, 2, 3, 4, 5, 6), (0.1, 0.9, 0.3, 0.2, 0.4, 0.5))
  assert sorted(path.name for path in folder.iterdir()) == ["2", "5", "6"]
  checkpoints = opened(folder)
  assert (checkpoints.best().step, checkpoints.latest().step) == (2, 6)
  checkpoints.close()
  checkpoints = opened(folder)  # another process goes on, and still knows the best
  for step in (7, 8, 9):
    checkpoints.save(Snapshot(step, to_host(state(step)), ABOUT), score=None)
    checkpoints.wait()
  assert (checkpoints.best().step, checkpoints.latest().step) == (2, 9)
  checkpoints.close()
  saved(folder, (10,), (0.6,))
  shutil.rmtree(folder / "2/state")  # the next best then
  checkpoints = opened(folder)
  assert checkpoints.best().step == 10
  checkpoints.close()


def test_without_scores_the_best_is_the_latest(folder):
  checkpoints = opened(folder)
  assert checkpoints.best().step == 10
  checkpoints.close()


def test_a_step_that_exists_is_not_saved_again(folder):
  checkpoints = opened(folder)
  checkpoints.save(Snapshot(10, to_host(state(11)), ABOUT))
  checkpoints.wait()
  assert bits(from_host(checkpoints.latest().arrays, template())) == bits(state(10))
  checkpoints.close()


def test_the_remains_of_a_killed_save_are_ignored(folder, tmp_path):
  (name,) = {path.name for path in folder.iterdir()} - {"5"}
  for number in itertools.count():
    if number == 3:
      break
    torn = folder / f"{20 + number}.orbax-checkpoint-tmp-{number}"
    shutil.copytree(folder / name, torn)
  assert latest_and_warnings(folder)[0].step == 10


def test_a_folder_that_was_moved_still_holds_its_checkpoints(folder):
  # Renaming the run's folder, as --fresh does, must not break what is in it.
  moved = folder.rename(folder.with_name("mövéd folder"))
  snapshot, warnings = latest_and_warnings(moved)
  assert snapshot.step == 10 and warnings == []
