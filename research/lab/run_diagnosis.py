"""The diagnosis of a run: the sets it learned from and is judged by, and its network's answers."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from research.analysis.diagnosis import NONE, Answers, Diagnosis, Tags, diagnose
from research.analysis.error_gaps import DEV, TEST, TRAIN, TRAIN_DEV
from research.analysis.shares import Count
from research.data import own, own_origins
from research.errors import UserError
from research.lab import prediction, tag_file
from research.lab.learning_curve import Point, learning_curve
from research.lab.prediction import INPUT, Prediction
from research.learner import State
from research.training import HostData, Training

ROLES = {TRAIN_DEV: ("train-dev",), DEV: ("dev", "validation"), TEST: ("test",)}  # by set's name
MOST_TRAINING = 10_000  # training examples that are asked, drawn at random: the interval is narrow
SAMPLE = 100  # errors to look at, as the course recommends


class RunDiagnosis(NamedTuple):
  """The diagnosis of a run, with all that its page shows.

  Attributes:
    run: its experiment's name.
    diagnosis: what the answers tell.
    split: the run's name of the set that is examined, such as "validation".
    data: of that set.
    answers: to it.
    places: the file or the row of each of its examples; "" where it is not known.
    columns: of each of its examples, where it is a table; else {}.
    errors: examples whose answers are wrong, in the order in which they should be looked at.
    curve: errors by the number of training examples; [] where nothing was trained for it.
    notes: sentences on what is left out, and why.
  """

  run: str
  diagnosis: Diagnosis
  split: str
  data: HostData
  answers: Prediction
  places: Sequence[str]
  columns: Mapping[str, np.ndarray]
  errors: Int[np.ndarray, " errors"]
  curve: Sequence[Point]
  notes: Sequence[str]


class Asked(NamedTuple):
  """A run as its diagnosis needs it.

  Attributes:
    run: its experiment's name.
    folder: of the run.
    seed: of the run.
    config: its settings.
    training: the fit, with its data.
    state: the checkpoint's.
    class_names: by label; () numbers them.
    is_held_out: whether its validation set was held out of the training set by `--validation`.
    is_finished: whether the run is.
  """

  run: str
  folder: Path
  seed: int
  config: Any
  training: Training
  state: State
  class_names: tuple[str, ...]
  is_held_out: bool
  is_finished: bool

  @property
  def dataset(self) -> str:
    """The name of its data set; "" where the experiment has its own."""
    return str(getattr(self.config, "dataset", ""))

  def answers_of(self, state: State) -> Callable[[HostData], Prediction]:
    """The answers of the network with a state, as a function of data."""
    model = prediction.network(self.training, self.config, state)
    wanted = prediction.inputs_of(self.training, self.run)
    return lambda data: prediction.predict(model, np.asarray(data[INPUT]), wanted, self.class_names)


def diagnosed(
  asked: Asked, human_error: float | None, tags: str | None, with_curve: bool
) -> RunDiagnosis:
  """Asks a run's network, and diagnoses it.

  Args:
    asked: the run.
    human_error: of people, or the least that is possible; None where nobody knows.
    tags: a CSV file of tags, or the name of a column of the run's table.
    with_curve: whether to train on parts of the data too.

  Raises:
    UserError: where examples have no label each, the run has no set to find errors on, or the tags
      are of other errors; for a learning curve of a run that is not finished.
  """
  check_labels(asked)
  if with_curve and not asked.is_finished:
    raise UserError(f"{asked.folder} is not finished; its learning curve would end too high")
  found = roles(asked)
  examined = DEV if DEV in found else TEST
  data = asked.training.evaluate[found[examined]]
  label = np.asarray(data["label"])
  is_table, is_own = own.is_table(asked.dataset), own.is_own(asked.dataset)
  columns = own_origins.columns_of(asked.dataset, data[INPUT]) if is_table else {}
  tags_of = _tags_of(tags, columns)
  sets = {TRAIN: _some(asked.training.data)}
  sets |= {role: asked.training.evaluate[name] for role, name in found.items()}
  ask = asked.answers_of(asked.state)
  answers = {role: ask(each) for role, each in sets.items()}
  own_answers = answers[examined]
  diagnosis = diagnose(
    {
      role: Answers(np.asarray(sets[role]["label"]), each.probabilities)
      for role, each in answers.items()
    },
    human=human_error or 0.0,
    tags=tags_of(label, own_answers),
    columns=columns,
    class_names=own_answers.class_names,
    dev_is_like_train=asked.is_held_out,
  )
  places = own_origins.places_of(asked.dataset, dict(data)) if is_own else [""] * len(label)
  errors = np.flatnonzero(own_answers.labels != label)
  counts = diagnosis.counts
  whole = Point(len(asked.training.data["label"]), counts[TRAIN], counts[examined])
  return RunDiagnosis(
    asked.run,
    diagnosis,
    found[examined],
    data,
    own_answers,
    places,
    columns,
    np.random.default_rng(0).permutation(errors)[:SAMPLE],
    [*_curve(asked, data), whole] if with_curve else [],
    _notes(asked, found, human_error),
  )


def _tags_of(
  tags: str | None, columns: Mapping[str, np.ndarray]
) -> Callable[[Int[np.ndarray, " examples"], Prediction], Tags]:
  """The tags of the errors among labels and answers, by a file or a column that was looked at.

  Raises:
    UserError: where there is neither.
  """
  if not tags:
    return lambda label, answers: NONE
  path = Path(tags)
  if path.is_file():
    rows = tag_file.read(path)
    return lambda label, answers: tag_file.of_rows(path, rows, label, answers)
  tag_file.of_column(tags, columns, np.zeros(0, int))  # refuses another name
  return lambda label, answers: tag_file.of_column(
    tags, columns, np.flatnonzero(answers.labels != label)
  )


def _curve(asked: Asked, examined: HostData) -> list[Point]:
  """The errors after trainings on parts of the data."""

  def count(part: Training, state: State) -> tuple[Count, Count]:
    ask = asked.answers_of(state)
    train, dev = (
      Count(int(np.sum(ask(data).labels != data["label"])), len(data["label"]))
      for data in (_some(part.data), examined)
    )
    return train, dev

  folder = asked.folder / "diagnosis" / "learning_curve"
  return learning_curve(folder, asked.config, asked.training, asked.seed, count)


def roles(asked: Asked) -> dict[str, str]:
  """The names of the run's evaluation sets, by the sets of the course that they are.

  Raises:
    UserError: where there is neither a dev set nor a test set.
  """
  there = asked.training.evaluate
  found = {
    role: next(each for each in names if each in there)
    for role, names in ROLES.items()
    if any(each in there for each in names)
  }
  if DEV not in found and TEST not in found:
    raise UserError(
      f"{asked.run} evaluates neither a dev set nor a test set to find errors on (but "
      f"{', '.join(there) or 'none'}); call one 'dev', 'validation' or 'test', or train it with "
      "--validation=0.1"
    )
  return found


def check_labels(asked: Asked) -> None:
  """Raises UserError where examples have no label each."""
  label = asked.training.data.get("label")
  if label is None or label.ndim != 1 or label.dtype.kind not in "iu":
    raise UserError(f"{asked.run} has no class for each example, and nothing to diagnose by them")


def _some(data: HostData) -> HostData:
  """The training examples that are asked."""
  total = len(data["label"])
  chosen = np.sort(np.random.default_rng(0).permutation(total)[:MOST_TRAINING])
  return {name: np.asarray(data[name])[chosen] for name in (INPUT, "label")}


def _notes(asked: Asked, found: Mapping[str, str], human_error: float | None) -> list[str]:
  """Sentences on what is left out, and why."""
  notes = []
  if not asked.is_finished:
    notes.append("The run is not finished: this is its best checkpoint so far.")
  if human_error is None:
    notes.append(
      "No human level is known (--human_error=0.02): it is taken as 0, and the avoidable bias is "
      "the most that it can be."
    )
  if DEV not in found:
    notes.append(
      "There is no dev set: the errors of the test set are looked at, which is then no longer one "
      "by which nothing is chosen. A run with --validation=0.1 has a dev set."
    )
  if TRAIN_DEV not in found and not asked.is_held_out:
    notes.append(
      "There is no train-dev set, more examples drawn as the training set was: variance and data "
      "mismatch are one gap."
    )
  if asked.is_held_out:
    notes.append(
      "The dev set was held out of the training set: a mismatch between the training set and the "
      "data to come shows between dev and test set."
    )
  if TEST not in found:
    notes.append("There is no test set: whether the dev set is over-used is not known.")
  total = len(asked.training.data["label"])
  if total > MOST_TRAINING:
    notes.append(f"The training error is that of {MOST_TRAINING:,} of {total:,} examples.")
  return notes
