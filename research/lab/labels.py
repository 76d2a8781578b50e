"""Labels against the outputs of the network that is to learn them."""

from typing import Any

import numpy as np

from research.errors import UserError
from research.training import Training


def check_labels(training: Training, config: Any) -> None:
  """Raises UserError where a label is none of the network's outputs; uses no device."""
  classes = training.learner.classes(config) if training.learner.classes else {}
  for field, count in classes.items():
    for name, data in {"train": training.data, **training.evaluate}.items():
      labels = np.asarray(data.get(field, ()))
      if labels.dtype.kind in "iu" and ((labels < 0) | (labels >= count)).any():
        place = np.argwhere((labels < 0) | (labels >= count))[0]
        raise UserError(
          f"{field} {labels[tuple(place)]} of example {place[0]} of the {name} set is none of the "
          f"network's {count} outputs, which stand for 0 to {count - 1}; number from 0, or give "
          "the network more outputs"
        )
