"""Every test here has a cache of its own, and none reaches a network by accident."""

import pytest

from research.data import idx_sets
from tests.fixtures import tiny_idx


@pytest.fixture(autouse=True)
def cache_dir(tmp_path, monkeypatch):
  monkeypatch.setenv("LINEAGE_CACHE", str(tmp_path / "cache"))
  monkeypatch.delenv("LINEAGE_DATA_DIR", raising=False)
  return tmp_path / "cache"


@pytest.fixture
def raw_folder(tmp_path):
  return tiny_idx.write_raw_files(tmp_path / "raw")


@pytest.fixture
def tiny_mnist(monkeypatch):
  """Puts the tiny set in MNIST's place, with the sources given; none by default."""

  def install(*downloads):
    idx_set = tiny_idx.tiny_set(*downloads)
    monkeypatch.setitem(idx_sets.IDX_SETS, "mnist", idx_set)
    return idx_set

  return install
