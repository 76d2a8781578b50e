import numpy as np

from research.analysis.shares import Count
from research.lab import learning_curve as module
from research.lab.learning_curve import learning_curve, parts
from tests.fixtures import tiny_experiment

CONFIG = tiny_experiment.Config(steps=10)


def training(label):
  rows = np.arange(len(label))[:, None] * np.ones(tiny_experiment.FEATURES)
  data = {"image": rows.astype(np.float32) / len(label), "label": label.astype(np.int32)}
  return tiny_experiment.training(CONFIG, data=data, patience=2)


def test_parts_lie_within_each_other_and_have_all_classes():
  whole = training(np.arange(160) % 3)
  made = parts(whole, seed=4)
  assert [len(each.data["label"]) for each in made] == [20, 40, 80]
  rows = [{*each.data["image"][:, 0]} for each in made]
  assert rows[0] < rows[1] < rows[2]
  for each in made:
    assert len(np.unique(each.data["label"])) == 3
    assert each.steps == whole.steps and not each.evaluate
    assert each.best is None and not each.patience
  assert {*parts(whole, seed=5)[0].data["image"][:, 0]} != rows[0]


def test_a_part_that_lacks_a_class_is_left_out():
  rare = np.where(np.arange(160) < 3, 2, np.arange(160) % 2)
  assert [len(each.data["label"]) for each in parts(training(rare), seed=0)] == [40, 80]


def test_what_was_trained_is_remembered(tmp_path, monkeypatch):
  monkeypatch.setattr(module, "PARTS", (2,))
  whole, states = training(np.arange(160) % 3), []

  def count(part, state):
    states.append(np.asarray(state.params["W"]))
    return Count(len(part.data["label"]), 200), Count(int(state.step), 50)

  ask = lambda: learning_curve(tmp_path, CONFIG, whole, 0, count)
  points = ask()
  assert [point.examples for point in points] == [80]
  assert [point.train.wrong for point in points] == [80]
  assert [point.dev.wrong for point in points] == [10]
  rows = (tmp_path / "metrics.jsonl").read_bytes()
  assert ask() == points and (tmp_path / "metrics.jsonl").read_bytes() == rows
  np.testing.assert_array_equal(*states)
