"""No example that an experiment is judged by is among those that it learns from, for any seed."""

import datetime

import numpy as np
import pytest

from experiments.convolution import digits_convnet
from experiments.sequences import (
  dates,
  deep_and_both_ways,
  long_lag,
  reversal,
  translation,
)
from research.data.text import corpora, tasks
from research.errors import UserError


def rows(data, name):
  return {row.tobytes() for row in data[name]}


OF_ARRAYS = {
  "reversal": (reversal, reversal.Config(longest=3, examples=4000), "source"),
  "copy": (reversal, reversal.Config(task="copy", longest=3, examples=4000), "source"),
  "addition": (reversal, reversal.Config(task="addition", digits=2, examples=4000), "source"),
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


@pytest.mark.parametrize("seed", [0, 5])
def test_no_day_is_learnt_and_judged_by(seed):
  config = dates.Config(examples=3000)
  _, pairs = tasks.dates(config.examples, seed)
  test, held_out = dates.held_out(pairs, seed)
  assert len(held_out) == 2000
  assert not {day for _, day in pairs} & {day for _, day in held_out}
  np.testing.assert_array_equal(
    dates.training(config, seed).evaluate["test"]["source"], test["source"]
  )
  days = [datetime.date.fromisoformat(day) for _, day in held_out]
  assert {day.year // 100 for day in days} == {19, 20} and {day.month for day in days} == set(
    range(1, 13)
  )


def test_the_text_to_be_judged_by_has_days_of_its_own():
  train, test = deep_and_both_ways.texts(deep_and_both_ways.Config(characters=4000), 5)
  written = lambda text: set(text.split(" "))
  numeric = lambda text: {word for word in written(text) if word.count("/") + word.count(".") == 2}
  assert len(train) == 4000 and len(numeric(test)) > 100
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
    reversal.training(reversal.Config(task="addition", digits=1, examples=5000), 0)
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
