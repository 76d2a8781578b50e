"""The verbs predict, diagnose and export on one small run of the quick start."""

import csv
import importlib.util
import io
import json
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import launch
from research.data import sets
from research.errors import UserError
from research.lab import model_export
from research.lab.open_run import open_run
from research.reporting import diagnosis_page
from tests.fixtures import tiny_experiment

TEST = sets.load("digits").test


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp("after") / "run"
  words = ["--filters=2", "--hidden=16", "--epochs=3", "--optimizer.learning_rate=0.01"]
  assert launch.main(["launch.py", "run", *words, f"--workdir={folder}"]) == 0
  return folder


@pytest.fixture
def ask(folder, tmp_path, monkeypatch, capfd):
  monkeypatch.chdir(tmp_path)
  return lambda *words, verb="predict", workdir=folder, **options: tiny_experiment.launched(
    capfd, f"--workdir={workdir}", *words, experiment=None, verb=verb, **options
  )


def test_predictions_are_those_that_the_evaluation_counted(folder):
  run = open_run(folder)
  found = run.predict(TEST["image"])
  accuracy = np.mean(found.labels == TEST["label"])
  assert accuracy == pytest.approx(run.evaluate()["test"]["accuracy"]) and accuracy > 0.5
  np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)
  logits = run.model({"image": TEST["image"][:3]})
  np.testing.assert_array_equal(np.argmax(logits, axis=1), found.labels[:3])


def test_an_image_a_folder_rows_and_stdin_give_one_answer(ask, folder, monkeypatch):
  image = TEST["image"][0]
  Path("pictures/inside").mkdir(parents=True)
  PIL.Image.fromarray(image[..., 0]).save("pictures/inside/a.png")
  Path("rows.csv").write_text(
    "\ufeff" + ",".join(f"p{n}" for n in range(64)) + "\r\n" + ",".join(map(str, image.ravel()))
  )
  monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path("rows.csv").read_bytes())))
  code, out, err = ask("--json", "pictures", "pictures/inside/a.png", "rows.csv", "-")
  assert code == 0, err
  answers = [json.loads(line) for line in out.splitlines()]
  names = ["pictures/inside/a.png", "pictures/inside/a.png", "rows.csv:2", "stdin:2"]
  assert [answer.pop("file") for answer in answers] == names
  assert all(answer == answers[0] for answer in answers)
  (label,) = open_run(folder).predict(image[None]).labels
  assert answers[0]["class"] == str(label) and len(answers[0]["probabilities"]) == 10
  code, out, _ = ask("pictures/inside/a.png")
  assert out == f"pictures/inside/a.png\t{label}\t{answers[0]['probability']:.4f}\n"


@pytest.mark.parametrize(
  ("name", "content", "words"),
  [
    ("gone.png", None, "there is no such file"),
    ("empty.png", b"", r"empty.png is no image that can be read (the file is empty)"),
    ("empty.csv", b"", "empty.csv is empty"),
    ("short.csv", b"1,2\n", "short.csv, row 1: 2 values; this network takes 64 numbers a row"),
    ("nan.csv", b"0," * 63 + b"1\n" + b"nan," * 63 + b"1\n", "nan.csv, row 2: what is no number"),
    ("dark.csv", b"0," * 63 + b"300\n", "inputs from 0 to 300; give 0 to 255"),
    ("half.csv", b"0," * 63 + b"0.5\n", "half.csv, row 1: this network takes whole numbers"),
    ("only_names.csv", b"a,b\n", "only_names.csv holds no rows of numbers"),
    ("net.onnx", b"x", "net.onnx: give images"),
  ],
)
def test_what_cannot_be_classified_is_one_line(ask, name, content, words):
  if content is not None:
    Path(name).write_bytes(content)
  code, out, err = ask(name)
  assert (code, out) == (2, "") and words in err and err.count("\n") == 1, err


def test_runs_that_classify_nothing_say_so(ask, cli, folder):
  assert "needs something to classify" in ask()[2]
  assert cli("--workdir=tiny", "--steps=10")[0] == 0
  Path("a.csv").write_text("1,2,3,4\n")
  assert "holds no run" in ask("a.csv", workdir="nowhere")[2]
  assert "tiny_net is no classifier of images" in ask("a.csv", workdir="tiny")[2]
  with pytest.raises(UserError, match=r"takes \(8, 8, 1\) of type uint8"):
    open_run(folder).predict(np.zeros((1, 9, 9, 1), np.uint8))


def test_a_diagnosis_has_the_errors_of_the_evaluation_and_takes_tags(ask, folder):
  code, out, err = ask(verb="diagnose")
  assert code == 0, err
  page, beside = folder / "diagnosis.html", folder / "diagnosis"
  assert out.splitlines()[-1] == str(page) and "<- largest" in out and "\nfirst: " in out
  with open(beside / "errors.csv", newline="") as file:
    rows = list(csv.DictReader(file))
  assert len(rows) > 3 and page.read_text().count('<img alt="') >= len(rows)
  for row in rows[:4]:
    row["tags"] = "thin; none" if row is rows[0] else "slanted"
  with open(beside / "errors.csv", "w", newline="") as file:
    writer = csv.DictWriter(file, rows[0])
    writer.writeheader()
    writer.writerows(rows)
  filled = (beside / "errors.csv").read_bytes()
  run = open_run(folder)
  found, metrics = run.diagnose(human_error=0.01, tags=beside / "errors.csv"), run.evaluate()
  shares = {name: 1 - each.share for name, each in found.diagnosis.counts.items()}
  assert shares["dev"] == pytest.approx(metrics["validation"]["accuracy"])
  assert shares["test"] == pytest.approx(metrics["test"]["accuracy"])
  assert found.diagnosis.gaps[0].rise == pytest.approx(1 - shares["training"] - 0.01)
  assert len(rows) == min(found.diagnosis.counts["dev"].wrong, 100)
  first, second = found.diagnosis.tags
  assert (first.tag, first.errors, first.share) == ("slanted", 3, 0.75)
  assert (second.tag, second.gain) == ("thin", pytest.approx((1 - shares["dev"]) / 4))
  diagnosis_page.write(folder, found)
  assert (beside / "errors.csv").read_bytes() == filled and "slanted" in page.read_text()


def test_what_cannot_be_diagnosed_is_one_line(ask, cli, folder):
  assert cli("--workdir=tiny", "--steps=10")[0] == 0
  for words, said, options in (
    ((), "tiny_net is no classifier of images", {"workdir": "tiny"}),
    ((), "folder=nowhere holds no run", {"workdir": "nowhere"}),
    (("other",), "needs the folder of one run", {}),
    (("--human_error=2",), "human_error=2.0 is no share", {}),
    (("--human_error=few",), "--human_error=few is no number", {}),
    (("--tags=colour",), "--tags=colour is neither a file", {}),
    (("--at_step=7",), "has no checkpoint of that step", {}),
  ):
    code, out, err = ask(*words, verb="diagnose", **options)
    assert (code, out) == (2, "") and said in err and err.count("\n") == 1, err
  assert not (Path("tiny") / "diagnosis").exists()


def test_the_exported_network_answers_alike_for_every_batch_and_platform(ask, folder):
  import jax.export

  pytest.importorskip("flatbuffers")
  code, out, err = ask("--to=net", verb="export")
  assert (code, out) == (0, "net: README.md, check.py, example.npz, model.stablehlo\n"), err
  model = jax.export.deserialize(bytearray(Path("net/model.stablehlo").read_bytes()))
  assert model.platforms == ("cpu", "cuda", "tpu")
  run = open_run(folder)
  for size in (1, 7):
    images = TEST["image"][:size]
    np.testing.assert_allclose(model.call(images), run.model({"image": images}), atol=1e-5)
  card = Path("net/README.md").read_text()
  for words in ("- seed: 0", "- commit: ", "- data: ", "test: accuracy", "uint8 [batch, 8, 8, 1]"):
    assert words in card
  assert "largest difference" in card
  assert "is there already" in ask("--to=net", verb="export")[2]
  assert not list(Path().glob(".*"))


def test_a_check_that_fails_leaves_nothing(ask, monkeypatch):
  pytest.importorskip("flatbuffers")
  check = model_export.CHECKS["stablehlo"].replace("outputs = ", "outputs = 1e-3 + ", 1)
  monkeypatch.setitem(model_export.CHECKS, "stablehlo", check)
  code, _, err = ask("--to=net", verb="export")
  assert code == 2 and "fails its check: largest difference" in err
  assert not list(Path().iterdir())


def test_the_weights_go_to_safetensors_by_name(ask, folder):
  load_file = pytest.importorskip("safetensors.numpy").load_file
  assert ask("--to=net", "--format=safetensors", verb="export")[0] == 0
  arrays = load_file("net/model.safetensors")
  held = open_run(folder).snapshot().arrays
  assert set(arrays) == {name for name in held if name.startswith("params/")}
  assert all(np.array_equal(array, held[name]) for name, array in arrays.items())
  assert "arrays, 0 differ" in Path("net/README.md").read_text()


def test_a_missing_package_is_one_line_that_names_the_extra(ask, monkeypatch):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  err = ask("--to=net", "--format=safetensors", verb="export")[2]
  assert "needs the package safetensors; install it by pip install -e '.[export]'" in err


def test_rows_of_a_table_are_encoded_and_scaled_as_its_own(ask, monkeypatch, capfd):
  """The network of a table, with columns in another order, and with data that changed since."""
  rows = [f"{size / 10},{'red' if size < 20 else 'blue'},{'ab'[size >= 20]}" for size in range(40)]
  Path("t.csv").write_text("size,colour,kind\n" + "\n".join(rows) + "\n")
  assert tiny_experiment.launched(capfd, "idea", experiment=None, verb="new")[0] == 0
  run = ("--dataset=csv:t.csv", "--epochs=20", "--batch_size=4", "--workdir=table")
  assert tiny_experiment.launched(capfd, *run, experiment="idea.py")[0] == 0
  asked = b"colour,size\nred,1\nblue,3.9\n"
  Path("asked.csv").write_bytes(asked)
  monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(asked)))
  code, out, err = ask("asked.csv", "-", workdir="table")
  assert code == 0, err
  lines = [line.split("\t") for line in out.splitlines()]
  assert [line[1] for line in lines] == ["a", "b", "a", "b"]
  assert [line[0] for line in lines[2:]] == ["stdin: line 2", "stdin: line 3"]
  monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"colour,size\ngreen,1\n")))
  assert "stdin: line 2: colour is 'green'" in ask("-", workdir="table")[2]
  found = open_run("table").diagnose(tags="colour")
  assert set(found.columns) == {"size", "colour"} and found.places[0].startswith("t.csv: line ")
  (size,) = [found.columns["size"][0]]
  line = int(found.places[0].rsplit(" ", 1)[1])
  assert rows[line - 2].startswith(f"{size:g},{found.columns['colour'][0]}")
  open_run("table").export("net")
  assert "1. size, less " in Path("net/README.md").read_text()
  Path("t.csv").write_text(Path("t.csv").read_text() + "9,red,a\n")
  for verb in ("predict", "export"):
    words = ["asked.csv"] if verb == "predict" else ["--to=other"]
    assert "t.csv is other than it was" in ask(*words, verb=verb, workdir="table")[2]
