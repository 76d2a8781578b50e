"""Errors by the number of training examples: a run's training again on parts of its data.

Ng, "Machine Learning Yearning", chapters 28 to 32: where the dev error still falls with more
examples, more of them help; where it meets the training error above the human level, they do not.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from research.analysis.shares import Count
from research.data import stratify
from research.lab.lab import Lab
from research.lab.run_folder import Lock
from research.learner import State
from research.training import Options, Training

PARTS = (8, 4, 2)  # an eighth, a quarter and a half of the examples


class Point(NamedTuple):
  """The errors of one network.

  Attributes:
    examples: that it learned from.
    train: errors on them, or on some of them.
    dev: errors on the examined set.
  """

  examples: int
  train: Count
  dev: Count


def parts(training: Training, seed: int) -> list[Training]:
  """The training on ever more of its examples, each part within the next; steps stay as many.

  They are drawn class by class. Parts that lack a class are left out.
  """
  label = np.asarray(training.data["label"])
  made = []
  for divisor in PARTS:
    drawn = stratify.draw(label, len(label) // divisor, seed)
    if len(np.unique(label[drawn])) == len(np.unique(label)):
      data = {name: np.asarray(array)[drawn] for name, array in training.data.items()}
      made.append(
        training._replace(
          data=data,
          evaluate={},
          evaluate_every=training.steps,
          log_every=training.steps,
          best=None,
          patience=0,
        )
      )
  return made


def learning_curve(
  folder: Path,
  config: Any,
  training: Training,
  seed: int,
  count: Callable[[Training, State], tuple[Count, Count]],
) -> list[Point]:
  """Trains on parts of the data; what was trained before is found in the folder, or goes on.

  Args:
    folder: that remembers the fits.
    config: the settings.
    training: the whole one.
    seed: of the run.
    count: of a part and the state after it, the errors on the part and on the examined set.

  Raises:
    What `Lab.fit` raises.
  """
  lock = Lock(folder)
  try:
    lab = Lab(folder, seed=seed, options=Options())
    points = []
    for each in parts(training, seed):
      examples = len(each.data["label"])
      fit = lab.fit(f"{examples}-examples", config, each)
      points.append(Point(examples, *count(each, fit.state)))
    return points
  finally:
    lock.release()
