"""Every form of data of the user's own: learned from, stopped, killed, gone on with, searched."""

import numpy as np
import pyarrow
import pytest
import tensorflow_datasets as tfds
from pyarrow import parquet

import launch
from research.data import conversion, idx
from tests.fixtures.own_files import image_folder, saved_set
from tests.fixtures.processes import killed_and_whole, outcome
from tests.fixtures.stop_after import stop_after

pytestmark = pytest.mark.slow

SIZE = (20, 24)  # height and width of the images
LABELS = np.arange(60) % 3

# A form of data, and the value of the flag by which the files of `data` are named.
IMAGES = {
  "npz": "npz:images.npz",
  "folder": "folder:birds",
  "idx": "idx:raw",
  "hf": "hf:saved",
  "tfds": "tfds:lineage_grid",
  "npy": "npy:mapped --data_on=host",
}
TABLES = {"csv": "csv:flowers.csv", "parquet": "parquet:flowers.parquet"}
# Flags of a small training of each kind of network, which has at least five rows in its log.
OF_IMAGES = {
  "mlp": ("--experiment=dense_classifier", "--layers=1", "--hidden=8", "--epochs=5"),
  "convnet": ("--experiment=simple_convnet", "--filters=4", "--hidden=8", "--epochs=5"),
  "resnet": ("--experiment=architecture", "--architecture=resnet", "--epochs=5"),
}
OF_TABLES = {
  "linear": ("--experiment=dense_classifier", "--epochs=5"),
  "mlp": OF_IMAGES["mlp"],
  "race": ("--experiment=init_race", "--hidden=8,8", "--steps=50", "--log_every=10"),
}
OF_TEXTS = {
  "rnn": ("--experiment=memorisation", "--text=dates.txt", "--characters=4000", "--hidden=8"),
  "lstm": ("--experiment=character_model", "--text=dates.txt", "--hidden=8", "--embedding=4"),
  "transformer": (
    *("--experiment=translation", "--net=Transformer", "--pairs=pairs.tsv", "--features=8"),
    *("--vocabulary=64", "--single_fit"),
  ),
}
STEPS = {"rnn": 70, "lstm": 170, "transformer": 40}
CELLS = [
  *(
    pytest.param((*flags, *f"--dataset={dataset} --batch_size=8".split()), id=f"{form}-{net}")
    for forms, nets in ((IMAGES, OF_IMAGES), (TABLES, OF_TABLES))
    for form, dataset in forms.items()
    for net, flags in nets.items()
  ),
  *(
    pytest.param((*flags, f"--steps={STEPS[net]}", "--batch_size=8"), id=f"text-{net}")
    for net, flags in OF_TEXTS.items()
  ),
]
KILLED = ("folder-convnet", "folder-resnet", "csv-linear", "text-rnn")  # beside all perceptrons


class Grid(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """Images whose brightness tells their class."""

  name = "lineage_grid"
  VERSION = tfds.core.Version("1.0.0")

  def _info(self):
    features = {
      "image": tfds.features.Tensor(shape=(*SIZE, 1), dtype=np.uint8),
      "label": tfds.features.ClassLabel(num_classes=3),
    }
    return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

  def _split_generators(self, dl_manager):
    return {"train": self._generate_examples(0), "test": self._generate_examples(1)}

  def _generate_examples(self, first):
    for number, image in enumerate(grey_images(LABELS + first)):
      yield number, {"image": image[..., None], "label": int((number + first) % 3)}


def grey_images(labels):
  """Noisy images as bright as their label, uint8 [n, height, width]."""
  bright = 40 + 60 * (labels % 3)
  noise = np.random.default_rng(0).integers(0, 30, (len(labels), *SIZE))
  return (bright[:, None, None] + noise).astype(np.uint8)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
  """A folder with a small set in every form."""
  folder = tmp_path_factory.mktemp("forms")
  images = grey_images(LABELS)
  np.savez(folder / "images.npz", x_train=images, y_train=LABELS, x_test=images, y_test=LABELS)
  conversion.convert(f"npz:{folder}/images.npz", folder / "mapped")
  image_folder(folder / "birds", size=SIZE, examples=20)
  (folder / "raw").mkdir()
  for part in ("train", "t10k"):
    (folder / "raw" / f"{part}-images-idx3-ubyte").write_bytes(idx.encode(images))
    (folder / "raw" / f"{part}-labels-idx1-ubyte").write_bytes(idx.encode(LABELS))
  saved_set(folder / "saved", LABELS.tolist(), size=SIZE)
  Grid(data_dir=folder / "tfds", file_format="array_record").download_and_prepare()
  rows = [(i % 3 + 0.1 * (i % 7), ("red", "blue")[i % 2], "abc"[i % 3]) for i in range(60)]
  lines = [",".join(map(str, row)) for row in rows]
  (folder / "flowers.csv").write_text("\n".join(["width,colour,kind", *lines]))
  columns = dict(zip(("width", "colour", "kind"), zip(*rows, strict=True), strict=True))
  parquet.write_table(pyarrow.table(columns), folder / "flowers.parquet")
  dates = [f"{1900 + i % 90}-{i % 12 + 1:02}-{i % 28 + 1:02}" for i in range(2000)]
  (folder / "dates.txt").write_text("; ".join(dates))
  words = ("one", "two", "three", "four", "five")
  pairs = [f"{words[i % 5]} {words[i // 5 % 5]} {words[i // 25]}" for i in range(125)]
  (folder / "pairs.tsv").write_text("\n".join(f"{pair}\t{pair[::-1]}" for pair in pairs))
  return folder


@pytest.fixture
def data(files, tmp_path, monkeypatch):
  """Works in the folder of the files, and gives another for the runs."""
  monkeypatch.chdir(files)
  monkeypatch.setenv("LINEAGE_DATA_DIR", str(files / "tfds"))
  return tmp_path


def run(*arguments):
  return launch.main(["launch.py", *arguments])


@pytest.mark.parametrize("flags", CELLS)
def test_a_stopped_run_goes_on_and_a_sweep_ends(data, flags, monkeypatch, capsys):
  assert run(*flags, f"--workdir={data / 'whole'}") == 0, capsys.readouterr().err
  stopped = (*flags, f"--workdir={data / 'stopped'}")
  with monkeypatch.context() as patch:
    stop_after(patch, 3)
    assert run(*stopped) == 143, capsys.readouterr().err
  assert not (data / "stopped" / "claims.json").exists()
  assert run(*stopped) == 0
  assert "resuming at step" in capsys.readouterr().err
  assert outcome(data / "stopped") == outcome(data / "whole")
  sweep = [flag for flag in flags if flag != "--single_fit"]
  sweep += ["--sweep=optimizer.learning_rate=log(1e-3,1e-2)", "--trials=2"]
  has_own = "--single_fit" in flags  # translation's validation set, which ranks nothing by itself
  sweep += ["--objective=validation/accuracy"] if has_own else ["--validation=0.2"]
  assert run(*sweep, f"--workdir={data / 'sweep'}") == 0, capsys.readouterr().err
  assert "2 trials: 2 finished" in capsys.readouterr().out


@pytest.mark.parametrize(
  "flags", [cell for cell in CELLS if cell.id in KILLED or cell.id.endswith("-mlp")]
)
def test_a_killed_run_ends_up_equal(data, files, flags):
  longer = {"--epochs=5": "--epochs=30", "--steps=70": "--steps=700"}
  killed, whole = killed_and_whole(data, *(longer.get(flag, flag) for flag in flags), cwd=files)
  assert killed == whole
