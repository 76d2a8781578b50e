"""The diagnosis of a classifier: what to work on next, from its answers on several sets.

It brings together the gaps between the errors (`error_gaps`), what the wrong answers have in common
(`error_tags`), labels that are probably wrong (`label_errors`) and slices that are worse than the
rest (`slices`).
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from research.analysis.error_gaps import (
  DEV,
  SETS,
  TEST,
  TRAIN,
  TRAIN_DEV,
  Gap,
  gap_table,
  largest_of,
)
from research.analysis.error_tags import TagRow, tag_table
from research.analysis.label_errors import LabelErrors, share_at_random, suspected_labels
from research.analysis.shares import Count
from research.analysis.slices import Slice, by_value, slice_table


class Answers(NamedTuple):
  """Answers of a classifier on one set.

  Attributes:
    label: the right ones, or what is taken for them.
    probabilities: of all classes, for each example.
  """

  label: Int[np.ndarray, " examples"]
  probabilities: Float[np.ndarray, "examples classes"]

  @property
  def is_wrong(self) -> Bool[np.ndarray, " examples"]:
    """Tells where the most probable class is another one than the label."""
    return self.probabilities.argmax(axis=1) != self.label

  @property
  def counted(self) -> Count:
    """The errors and all examples."""
    return Count(int(self.is_wrong.sum()), len(self.label))


WRONG_LABELS = "wrong labels"
CORRECTION = "a look at the suspected labels, and a correction of all sets alike"
Tags = Mapping[str, Bool[np.ndarray, " errors"]]  # of wrong answers that were looked at
NONE: Mapping[str, np.ndarray] = MappingProxyType({})


class Diagnosis(NamedTuple):
  """All that the answers tell.

  Attributes:
    human: error of people, or the least that is possible.
    counts: errors by set, those of `error_gaps.SETS` that there are.
    gaps: between them.
    examined: the set whose errors all below is about: the dev set, or the test set without one.
    tags: of its wrong answers, the most frequent one first; [] where none were given.
    labels: those of the examined set that are probably wrong.
    slices: of the examined set, the worst one first.
    at_random: share of the errors that may come of labels wrong at random, on more examples like
      the training set's where there are any, else on itself; None where it cannot be told.
    cause: the name of the gap to work on first; or "wrong labels" where these make half of the
      errors up to it. Wrong labels in all sets look like avoidable bias, or like variance where
      they were learned by heart.
  """

  human: float
  counts: Mapping[str, Count]
  gaps: Sequence[Gap]
  examined: str
  tags: Sequence[TagRow]
  labels: LabelErrors
  slices: Sequence[Slice]
  at_random: float | None
  cause: str

  @property
  def first(self) -> Gap:
    """The gap to work on first."""
    return largest_of(self.gaps)

  @property
  def to_try(self) -> list[str]:
    """Suggestions for that cause."""
    return [CORRECTION] if self.cause == WRONG_LABELS else self.first.to_try


def diagnose(
  answers: Mapping[str, Answers],
  *,
  human: float = 0.0,
  tags: Tags = NONE,
  columns: Mapping[str, np.ndarray] = NONE,
  class_names: Sequence[str] = (),
  dev_is_like_train: bool = False,
) -> Diagnosis:
  """Diagnoses a classifier.

  Args:
    answers: by set, some of `error_gaps.SETS`: the training set, and the dev set, the test set or
      both.
    human: error of people, or the least that is possible.
    tags: by name, which of the wrong answers that were looked at have it.
    columns: facts about the examined examples by name, [examples] of texts or numbers each.
    class_names: by label; () numbers them.
    dev_is_like_train: whether the dev set was held out of the training set.
  """
  like_train = TRAIN_DEV if TRAIN_DEV in answers else DEV if dev_is_like_train else TRAIN
  counts = {name: answers[name].counted for name in SETS if name in answers}
  examined = DEV if DEV in answers else TEST
  own, gaps = answers[examined], gap_table(human, counts, dev_is_like_train=dev_is_like_train)
  first, at_random = largest_of(gaps), share_at_random(*answers[like_train])
  is_of_labels = SETS.index(first.after) <= SETS.index(like_train) and (at_random or 0) >= 0.5
  classes = own.probabilities.shape[1]
  names = class_names or [str(number) for number in range(classes)]
  members = {f"class {names[each]}": own.label == each for each in range(classes)}
  for name, column in columns.items():
    members |= by_value(name, column)
  return Diagnosis(
    human,
    counts,
    gaps,
    examined,
    tag_table(tags, own.counted.share) if tags and own.counted.wrong else [],
    suspected_labels(own.label, own.probabilities),
    slice_table(members, own.is_wrong),
    at_random,
    WRONG_LABELS if is_of_labels else first.name,
  )
