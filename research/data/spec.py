"""The description of a data set (`Spec`) and its loaded arrays (`Splits`)."""

from typing import NamedTuple

import numpy as np

Arrays = dict[str, np.ndarray]


class Spec(NamedTuple):
  """The facts of a data set that a network's shape depends on; known without loading it."""

  name: str
  image_shape: tuple[int, ...]  # (height, width, channels) in pixels, or (features,); () for none
  classes: int  # labels are 0 .. classes - 1; 0 when there are no labels
  train_size: int  # examples, before a validation set is taken from them
  test_size: int
  class_names: tuple[str, ...] = ()  # by label; () where they have none but their numbers


class Splits(NamedTuple):
  """Three dicts of arrays: {"image": uint8 [n, h, w, c], "label": int32 [n]}."""

  train: Arrays
  validation: Arrays  # n = 0 unless asked for
  test: Arrays
