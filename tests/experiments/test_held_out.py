"""No example that an experiment is judged by is among those that it learns from, for any seed."""

import datetime

import numpy as np
import pytest

from experiments.convolution import digits_convnet
from experiments.sequences import (
  addition,
  dates,
  deep_and_both_ways,
  long_lag,
  reversal,
  translation,
)
from research.data import sets
from research.data.text import corpora, tasks
from research.errors import UserError
from research.lab import registry


def rows(data, name):
  return {row.tobytes() for row in data[name]}


OF_ARRAYS = {
  "reversal": (reversal, reversal.Config(longest=3, examples=4000), "source"),
  "addition": (addition, addition.Config(digits=2, examples=4000), "source"),
  "long_lag": (long_lag, long_lag.Config(lag=3, examples=4000), "tokens"),
  "digits": (digits_convnet, digits_convnet.Config(), "image"),
}


@pytest.mark.parametrize("seed", [0, 5])
@pytest.mark.parametrize("name", OF_ARRAYS)
def test_no_input_is_learnt_and_judged_by(name, seed):
  module, config, key = OF_ARRAYS[name]
  training = module.training(config, seed)
  learnt = rows(training.data, key)
  assert training.evaluate
  for data in training.evaluate.values():
    assert not learnt & rows(data, key)
    assert len(data[key]) >= 180


# Test images of Fashion-MNIST, and the training images that they nearly are: as published.
NEARLY = {4998: 13360, 9867: 58762, 2605: 11932, 6210: 19456, 2115: 18494, 4926: 18494}


@pytest.mark.parametrize("name", sets.names())
def test_no_published_image_is_in_both_parts_or_twice_in_one(name):
  train, _, test = sets.load(name)
  learnt, judged = rows(train, "image"), rows(test, "image")
  assert (len(learnt), len(judged)) == (len(train["label"]), len(test["label"]))
  assert not learnt & judged


def test_a_few_of_fashion_mnist_are_nearly_in_both_parts():
  train, _, test = sets.load("fashion_mnist")
  for judged, learnt in NEARLY.items():
    difference = test["image"][judged].astype(float) - train["image"][learnt]
    assert 0 < np.sqrt(np.mean(difference**2)) < 0.02 * 255
    assert test["label"][judged] == train["label"][learnt]


@pytest.mark.slow
@pytest.mark.parametrize("name", sets.names())
def test_no_other_published_image_is_nearly_in_both_parts(name):
  train, _, test = sets.load(name)
  learnt, judged = (
    part["image"].reshape(len(part["image"]), -1).astype(np.float32) for part in (train, test)
  )
  squares, near = (learnt**2).sum(axis=1), set()
  for start in range(0, len(judged), 500):
    some = judged[start : start + 500]
    distance = squares - 2 * some @ learnt.T + (some**2).sum(axis=1)[:, None]
    is_near = distance.min(axis=1) < learnt.shape[1] * (0.02 * 255) ** 2
    near |= set((start + np.flatnonzero(is_near)).tolist())
  assert near == (set(NEARLY) if name == "fashion_mnist" else set())


AS_BITS = {"rbm_exact": 1}  # of 360 digits: drawn as bits, at seed 0, it equals a training image
OF_IMAGES = [
  name
  for name, entry in registry.catalogue().items()
  if "sets" in (registry.ROOT / entry.family / f"{name}.py").read_text("utf-8")
  or "supervised_training" in (registry.ROOT / entry.family / f"{name}.py").read_text("utf-8")
]


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_IMAGES)
def test_no_experiment_learns_from_an_image_that_it_is_judged_by(name):
  experiment = registry.load(registry.catalogue()[name])
  if experiment.training is None:
    return
  training = experiment.training(experiment.Config(), 0)
  if "image" not in training.data:
    return
  learnt = rows(training.data, "image")
  for held_out in {"test", "validation"} & training.evaluate.keys():
    found = [image for image in training.evaluate[held_out]["image"] if image.tobytes() in learnt]
    assert len(found) == AS_BITS.get(name, 0)


@pytest.mark.parametrize("seed", [0, 5])
def test_no_day_is_learnt_and_judged_by(seed):
  training = dates.training(dates.Config(examples=3000), seed)
  learnt, judged = (
    dates.texts(data["target"]) for data in (training.data, training.evaluate["test"])
  )
  assert (len(learnt), len(judged)) == (3000, 2000) and not set(learnt) & set(judged)
  days = [datetime.date.fromisoformat(day) for day in judged]
  assert {day.year // 100 for day in days} == {19, 20} and {day.month for day in days} == set(
    range(1, 13)
  )


def test_the_text_to_be_judged_by_has_days_of_its_own():
  config = deep_and_both_ways.Config(characters=4000)
  training, characters = deep_and_both_ways.training(config, 5), tasks.DATE_CHARACTERS
  text = lambda data, stride: "".join(
    "".join(characters.decode(segment[:stride])) for segment in data["target"]
  )
  train, test = text(training.data, 5), text(training.evaluate["test"], config.times)
  written = lambda text: set(text.split(" "))
  numeric = lambda text: {word for word in written(text) if word.count("/") + word.count(".") == 2}
  assert 3900 < len(train) <= 4000 and len(numeric(test)) > 100
  assert not numeric(train) & numeric(test)


@pytest.mark.parametrize("seed", [0, 5])
def test_no_sentence_is_learnt_and_judged_by(seed, monkeypatch):
  corpus = [(f"Open the file {n} now", f"Ouvrir le fichier {n}") for n in range(300)]
  monkeypatch.setattr("research.data.text.catalogs.load", lambda: [*corpus, *corpus[:9]])
  train, test = corpora.text("", seed)
  assert not set(train.split("\n")) & set(test.split("\n")[1:])
  parts = translation.corpus_of(translation.Config(vocabulary=60), seed).parts
  sources = [{tuple(pair[0]) for pair in part} for part in parts]
  assert all(sources) and not sources[0] & (sources[1] | sources[2]) and not sources[1] & sources[2]


def test_a_task_with_too_few_inputs_is_refused_in_one_line():
  with pytest.raises(UserError, match="nearly all inputs of this task"):
    addition.training(addition.Config(digits=1, examples=5000), 0)
  every = [
    f"{year}-{month:02d}-{day:02d}"
    for year in range(1900, 2100)
    for month in range(1, 13)
    for day in range(1, 29)
  ]
  assert tasks.dates(5, 0, without=every)[1]


def test_days_that_are_left_out_change_nothing_else():
  before = np.random.default_rng(3)
  first = datetime.date(1900, 1, 1).toordinal()
  numbers = before.integers(first, datetime.date(2099, 12, 31).toordinal() + 1, 50)
  _, pairs = tasks.dates(50, 3)
  assert [day for _, day in pairs] == [datetime.date.fromordinal(n).isoformat() for n in numbers]
