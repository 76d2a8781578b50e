"""Photographs out of the folders of Tux Paint's stamps."""

import numpy as np
import PIL.Image
import pytest

from research.data import stamps
from research.errors import UserError

pytestmark = pytest.mark.fast

RNG = np.random.default_rng(0)


def save(file, pixels):
  file.parent.mkdir(parents=True, exist_ok=True)
  PIL.Image.fromarray(pixels.astype(np.uint8), "RGBA").save(file)


def photograph(size=20, alpha=255):
  return np.concatenate([RNG.integers(0, 256, (size, size, 3)), np.full((size, size, 1), alpha)], 2)


def drawing(size=20):
  return np.full((size, size, 4), (200, 30, 30, 255))


def fill(folder, families=stamps.FAMILIES):
  for parts in families.values():
    save(folder / parts[0] / "sub" / "one.png", photograph())


def test_photographs_are_told_from_drawings(tmp_path):
  save(tmp_path / "photograph.png", photograph())
  save(tmp_path / "drawing.png", drawing())
  save(tmp_path / "nothing.png", photograph(alpha=0))
  is_one = lambda name: stamps.is_photograph(tmp_path / f"{name}.png")
  assert is_one("photograph") and not is_one("drawing") and not is_one("nothing")


def test_families_are_their_folders_without_drawings_and_cartoons(tmp_path):
  fill(tmp_path)
  save(tmp_path / "food/fruit/apple.png", photograph(30))
  save(tmp_path / "food/fruit/drawn.png", drawing())
  save(tmp_path / "food/fruit/cartoon/apple.png", photograph())
  save(tmp_path / "people/one.png", photograph())
  found = stamps.photographs(tmp_path)
  assert found["image"].shape == (8, 64, 64, 3) and found["image"].dtype == np.uint8
  assert found["label"].tolist() == [0, 1, 2, 3, 3, 4, 5, 6]


def test_a_family_without_a_photograph_is_named(tmp_path):
  fill(tmp_path, dict(list(stamps.FAMILIES.items())[:4]))
  with pytest.raises(UserError, match="holds no photograph of plants"):
    stamps.photographs(tmp_path)


def test_they_are_fetched_once_and_proved_by_their_digest(tmp_path, monkeypatch):
  monkeypatch.setenv("LINEAGE_CACHE", str(tmp_path / "cache"))
  calls = []

  def fetch(published, data_dir, scratch, instead):
    calls.append(published.sha256)
    return scratch

  monkeypatch.setattr(stamps.prepared, "fetch", fetch)
  unpack = lambda archive, into: fill(into / stamps.FOLDER)
  monkeypatch.setattr(stamps.sources, "unpack_debian", unpack)
  first, second = stamps.load(), stamps.load()
  assert calls == [{stamps.ARCHIVE: stamps.SHA256}]
  np.testing.assert_array_equal(first["image"], second["image"])
