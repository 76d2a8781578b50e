"""The page of a made-up diagnosis."""

import csv

import numpy as np

from research.analysis.diagnosis import Answers, diagnose
from research.analysis.error_gaps import DEV, TEST, TRAIN
from research.analysis.shares import Count
from research.lab.learning_curve import Point
from research.lab.prediction import Prediction
from research.lab.run_diagnosis import RunDiagnosis
from research.reporting import diagnosis_page
from tests.research.reporting.test_html_report import EVIL, Page


def answers(wrong, seed):
  rng = np.random.default_rng(seed)
  label = rng.integers(0, 3, 120)
  answer = (label + (rng.random(120) < wrong)) % 3
  return label, 0.8 * np.eye(3)[answer] + 0.2 / 3


def made(data, columns, wrong=0.3, tags=(), curve=()):
  names, (label, shares) = (EVIL, "b", "c"), answers(wrong, 1)
  found = diagnose(
    {TRAIN: Answers(*answers(0.02, 0)), DEV: Answers(label, shares), TEST: Answers(label, shares)},
    tags={tag: np.arange(10) < 4 for tag in tags},
    columns=columns,
    class_names=names,
  )
  prediction = Prediction(shares.argmax(axis=1), shares, names)
  errors = np.flatnonzero(prediction.labels != label)
  places = [f"some/where/far/{n}.png" for n in range(120)]
  data = {"image": data, "label": label}
  return RunDiagnosis(
    "net", found, "validation", data, prediction, places, columns, errors, curve, ["So."]
  )


def written(tmp_path, found):
  path = diagnosis_page.write(tmp_path, found)
  text = path.read_text("utf-8")
  assert "<script" not in text
  return " ".join(" ".join(Page(text).words).split()), text


def test_pictures_are_tiles_and_what_is_given_is_said(tmp_path):
  images = np.random.default_rng(0).random((120, 4, 4, 1))
  curve = [Point(50, Count(0, 50), Count(60, 120)), Point(100, Count(1, 100), Count(30, 120))]
  found = made(images, {}, tags=("blur",), curve=curve)
  words, text = written(tmp_path, found)
  assert "Work first on: variance or data mismatch." in words and "more training data" in words
  assert text.count('src="data:image/png') == len(found.errors) + min(
    len(found.diagnosis.labels.suspects), diagnosis_page.MOST_SUSPECTS
  )
  assert "From 50 to 100 training examples the validation error falls by 25.00 points" in words
  assert "more data are likely to help" in words
  assert "far/3.png" in words or "far/1.png" in words
  assert "blur" in words and "So." in words and "dev (validation)" in words
  with open(tmp_path / "diagnosis" / "suspected_labels.csv", newline="") as file:
    assert len(list(csv.DictReader(file))) == len(found.diagnosis.labels.suspects)
  names = {path.name for path in (tmp_path / "diagnosis").iterdir()}
  assert {"errors.png", "errors.svg", "tags.svg", "slices.png", "errors.csv"} < names


def test_rows_of_a_table_have_their_columns(tmp_path):
  width = np.linspace(0, 5, 120)
  found = made(np.zeros((120, 1)), {"width": width})
  words, text = written(tmp_path, found)
  assert (
    f"{width[found.errors[0]]:.6g}" in words and 'class="tiles"' not in text.split("</style>")[1]
  )
  assert "--tags=" in words and "width from 0 to 1.25" in words


def test_without_any_error_the_page_says_so(tmp_path):
  words, _ = written(tmp_path, made(np.zeros((120, 2)), {}, wrong=0.0))
  assert "There is no error on the validation set." in words
  assert "suspects none of the validation set's labels" in words
  assert "No gap is larger than chance may make it" in words or "Work first on" in words
