"""Reading any prepared TFDS data set into arrays, without TensorFlow. Import it late, as TFDS."""

import io
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import tensorflow_datasets as tfds

from research.data import stratify
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


class Parts(NamedTuple):
  """The splits of a set by their use; None where there is none.

  Without a split "test" the set's own "validation" is the test set; without either it is a
  `TEST_SHARE` of the training split, drawn class by class with seed 0, and `is_test_drawn`.
  """

  train: str | None
  validation: str | None
  test: str | None
  is_test_drawn: bool


TEST_SHARE = 0.1


def parts_of(builder: Any) -> Parts:
  """Finds the splits that there are, by the rule of `Parts`."""
  train, validation, test = (
    split if _size(builder, split) else None for split in ("train", "validation", "test")
  )
  if not train and not test:
    found = ", ".join(builder.info.splits) or "none"
    raise UserError(
      f"data set tfds:{builder.name} has no train or test examples; its splits are: {found}"
    )
  if not test:
    validation, test = None, validation
  return Parts(train, validation, test, is_test_drawn=not test)


def spec(name: str, data_dir: str | None) -> Spec:
  """The facts of a prepared set, read from its metadata where they are there.

  Of images without a fixed shape the first one is read, of plain integer labels all are.
  """
  builder = open_builder(name, data_dir)
  parts, features = parts_of(builder), builder.info.features
  shape = tuple(features["image"].shape) if "image" in features else ()
  if None in shape:
    (image,) = _examples(builder, parts.train or str(parts.test), range(1))
    shape = np.shape(image["image"])
  train_size, test_size = _size(builder, parts.train), _size(builder, parts.test)
  drawn = round(TEST_SHARE * train_size) if parts.is_test_drawn else 0
  return Spec(
    name=f"tfds:{name}",
    image_shape=(*shape, 1) if len(shape) == 2 else shape,
    classes=_classes(builder, parts),
    train_size=train_size - drawn,
    test_size=test_size + drawn,
    class_names=_class_names(features),
  )


def _class_names(features: Any) -> tuple[str, ...]:
  """The names of a ClassLabel's classes; () where they are their numbers, or there are none."""
  names = tuple(getattr(features["label"], "names", ())) if "label" in features else ()
  return () if names == tuple(map(str, range(len(names)))) else names


def _classes(builder: Any, parts: Parts) -> int:
  """Counts classes: those of a ClassLabel, of plain integers one more than the largest."""
  if "label" not in builder.info.features:
    return 0
  label = builder.info.features["label"]
  if getattr(label, "num_classes", None):
    return int(label.num_classes)
  if label.shape != () or np.dtype(label.np_dtype).kind not in "iu":
    return 0
  largest = -1
  for split in filter(None, parts[:3]):
    for chosen in _chunks(_size(builder, split)):
      found = _examples(builder, split, chosen, as_stored=True)
      largest = max(largest, *(int(example["label"]) for example in found))
  return largest + 1


def load(name: str, data_dir: str | None) -> tuple[Arrays, Arrays, Arrays]:
  """The (train, validation, test) arrays of a prepared set, by the rule of `Parts`.

  One that it lacks is an empty dict; "validation" is the set's own where there is a test set too.
  """
  builder = open_builder(name, data_dir)
  parts = parts_of(builder)
  train, validation, test = (read(builder, split) if split else {} for split in parts[:3])
  if parts.is_test_drawn:
    n = _size(builder, parts.train)
    labels = train.get("label", np.zeros(0))
    labels = labels if labels.ndim == 1 and len(labels) == n else np.zeros(n, np.int32)
    drawn = stratify.draw(labels, round(TEST_SHARE * n), seed=0)
    test = {key: array[drawn] for key, array in train.items()}
    train = {key: array[~drawn] for key, array in train.items()}
  return train, validation, test


def read(builder: Any, split: str) -> Arrays:
  """One split as arrays, examples first; features of varying shape are left out.

  "image" gets a channel axis where it has none, and an integer "label" becomes int32. Raises
  UserError when the files allow no random access, or when it is the images that vary in shape.
  """
  chunks: dict[str, list[np.ndarray]] = {}
  varying: set[str] = set()
  for chosen in _chunks(_size(builder, split)):
    examples = _examples(builder, split, chosen)
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


def _chunks(examples: int) -> list[range]:
  return [range(start, min(start + CHUNK, examples)) for start in range(0, examples, CHUNK)]


def _examples(
  builder: Any, split: str, chosen: range, *, as_stored: bool = False
) -> list[dict[str, Any]]:
  """Those examples of a split, with images as arrays, or as the files that are stored."""
  features = builder.info.features
  # TFDS reads grey PNG files of 16 bits through OpenCV alone.
  images = [name for name in features if isinstance(features[name], tfds.features.Image)]
  deep = [name for name in images if _is_deep_grey(features[name]) and not as_stored]
  decoders = {name: tfds.decode.SkipDecoding() for name in (images if as_stored else deep)}
  try:
    source = builder.as_data_source(split, decoders=decoders)
  except NotImplementedError as error:
    raise UserError(
      f"data set tfds:{builder.name} lies in {builder.data_dir} in a format that only TensorFlow "
      "reads; prepare it once more, elsewhere, with file_format='array_record'"
    ) from error
  try:
    examples = source.__getitems__(chosen)
  except ValueError as error:
    if "OpenCV" not in str(error):
      raise
    raise UserError(
      f"data set tfds:{builder.name} has images that only OpenCV reads ({error}): pip install "
      "opencv-python-headless, or prepare it with 8 bits a colour"
    ) from error
  return [example | {name: _deep_grey(example[name]) for name in deep} for example in examples]


def _is_deep_grey(image: Any) -> bool:
  return image.np_dtype == np.uint16 and image.shape[-1] == 1


def _deep_grey(png: bytes) -> np.ndarray:
  """A grey PNG as uint16 [height, width, 1]."""
  with PIL.Image.open(io.BytesIO(png)) as image:
    return np.asarray(image).astype(np.uint16)[..., None]


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


def _size(builder: Any, split: str | None) -> int:
  splits = builder.info.splits
  return splits[split].num_examples if split in splits else 0
