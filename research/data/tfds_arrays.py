"""Reading any prepared TFDS data set into arrays, without TensorFlow. Import it late, as TFDS."""

from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from research.data.spec import Arrays, Spec
from research.errors import DataUnavailableError, UserError

CHUNK = 1000  # examples a read; one by one is far slower


def open_builder(name: str, data_dir: str | None) -> Any:
  """The builder of a set that lies prepared in `data_dir` (TFDS's own folder when None).

  Raises UserError for a name TFDS does not know, DataUnavailableError for a set that is not
  prepared. Asking first matters: TFDS's own answer comes after minutes of retries on the network.
  """
  where = f"in {data_dir}" if data_dir else "in TFDS's default folder"
  try:
    builder = tfds.builder(name, data_dir=data_dir)
  except (tfds.core.registered.DatasetNotFoundError, ValueError) as error:
    raise UserError(
      f"data set tfds:{name} is unknown to TFDS and not prepared {where}; check the name, "
      "or name the TFDS folder that holds it with --data_dir"
    ) from error
  if not builder.is_prepared():
    raise DataUnavailableError(
      f"data set tfds:{name} is not prepared {where}; name another TFDS folder with --data_dir, "
      f"or prepare it there with tfds.builder({name!r}, data_dir=..., "
      "file_format='array_record').download_and_prepare()"
    )
  return builder


def spec(name: str, data_dir: str | None) -> Spec:
  """The facts of a prepared set, read from its metadata alone."""
  builder = open_builder(name, data_dir)
  features = builder.info.features
  shape = tuple(features["image"].shape) if "image" in features else ()
  return Spec(
    name=f"tfds:{name}",
    image_shape=(*shape, 1) if len(shape) == 2 else shape,
    classes=getattr(features["label"], "num_classes", None) or 0 if "label" in features else 0,
    train_size=_size(builder, "train"),
    test_size=_size(builder, "test"),
  )


def load(name: str, data_dir: str | None) -> tuple[Arrays, Arrays]:
  """The (train, test) arrays of a prepared set; a split that it lacks is an empty dict."""
  builder = open_builder(name, data_dir)
  train, test = (
    read(builder, split) if _size(builder, split) else {} for split in ("train", "test")
  )
  if not train and not test:
    found = ", ".join(builder.info.splits) or "none"
    raise UserError(f"data set tfds:{name} has no train or test examples; its splits are: {found}")
  return train, test


def read(builder: Any, split: str) -> Arrays:
  """One split as arrays, examples first; features of varying shape are left out.

  "image" gets a channel axis where it has none, and an integer "label" becomes int32. Raises
  UserError when the files allow no random access, or when it is the images that vary in shape.
  """
  try:
    source = builder.as_data_source(split)
  except NotImplementedError as error:
    raise UserError(
      f"data set tfds:{builder.name} lies in {builder.data_dir} in a format that only TensorFlow "
      "reads; prepare it once more, elsewhere, with file_format='array_record'"
    ) from error

  chunks: dict[str, list[np.ndarray]] = {}
  varying: set[str] = set()
  for start in range(0, len(source), CHUNK):
    examples = source.__getitems__(range(start, min(start + CHUNK, len(source))))
    for feature in examples[0]:
      stacked = _stack(builder.info.features[feature], [example[feature] for example in examples])
      known = chunks.setdefault(feature, [])
      if stacked is None or (known and known[0].shape[1:] != stacked.shape[1:]):
        varying.add(feature)
      elif feature not in varying:
        known.append(stacked)
  if "image" in varying:
    raise UserError(f"the images of tfds:{builder.name} differ in shape and make no one array")

  arrays = {name: np.concatenate(parts) for name, parts in chunks.items() if name not in varying}
  if "image" in arrays and arrays["image"].ndim == 3:
    arrays["image"] = arrays["image"][..., None]
  if "label" in arrays and arrays["label"].dtype.kind in "iu":
    arrays["label"] = arrays["label"].astype(np.int32)
  return arrays


def _stack(feature: Any, values: list[Any]) -> np.ndarray | None:
  """The values of one feature as one array, or None when their shapes differ."""
  if isinstance(values[0], bytes):
    return np.array(values, dtype=object)  # a bytes dtype would cut trailing zero bytes
  # TFDS gives scalars as Python numbers, which do not tell their width.
  dtype = feature.np_dtype if np.isscalar(values[0]) else None
  try:
    stacked = np.stack([np.asarray(value, dtype) for value in values])
  except ValueError:
    return None
  return None if stacked.dtype == object else stacked


def _size(builder: Any, split: str) -> int:
  splits = builder.info.splits
  return splits[split].num_examples if split in splits else 0
