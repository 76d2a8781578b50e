"""Images in data sets that Hugging Face's `datasets` has saved by `save_to_disk`, without it.

A set is a folder with `state.json`, which names files of Arrow streams, and `dataset_info.json`,
which tells the features; or a folder with `dataset_dict.json` and such a folder for each part. The
images are those of the first feature of type Image, whose files stand within the Arrow files. The
label is the feature of type ClassLabel, or the one called "label", or the one that is asked for.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from research.data import image_files
from research.data.own_parts import Part, Read, which_parts
from research.errors import UserError

STATE, INFO, PARTED = "state.json", "dataset_info.json", "dataset_dict.json"


def files(path: Path) -> list[Path]:
  """All files of a set, in a fixed order.

  Raises:
    UserError: for a folder that holds no such set.
  """
  return [
    file
    for folder in _parts(path).values()
    for file in (folder / INFO, folder / STATE, *_streams(folder))
  ]


def read(path: Path, option: str) -> Read:
  """Reads all images at one shape.

  The option is a size as `image_files.common_shape` takes it, or the label's feature, or both as
  in "label,32x32".

  Raises:
    UserError: naming the file, and the row.
  """
  words = [word.strip() for word in option.split(",")] if option else []
  sizes = [word for word in words if image_files.SIZE.fullmatch(word)]
  names = [word for word in words if word not in sizes]
  if len(sizes) > 1 or len(names) > 1:
    raise UserError(f"hf:...@{option} cannot be read; give a size, the label's feature, or both")
  parts = _parts(path)
  features = _features(parts["train"])
  image, label = _image_feature(path, features), _label_feature(path, features, *names)
  rows = {part: list(_rows(folder, image, label)) for part, folder in parts.items()}
  empty = next((part for part, found in rows.items() if not found), None)
  if empty:
    raise UserError(f"{parts[empty]} holds no rows")
  shape = image_files.common_shape([file for file, _ in rows["train"]], "".join(sizes))
  read = {part: _part(found, shape) for part, found in rows.items()}
  return Read(
    read["train"], read.get("validation"), read.get("test"), _class_names(features[label], read)
  )


def _part(rows: list[tuple[image_files.Held, Any]], shape: tuple[int, int, int]) -> Part:
  pixels = image_files.read_images([file for file, _ in rows], shape)
  labels = [label for _, label in rows]
  missing = "" if any(isinstance(label, str) for label in labels) else -1
  known = np.array([missing if label is None else label for label in labels])
  return Part(pixels, known, [str(file) for file, _ in rows])


def _class_names(feature: Mapping[str, Any], parts: Mapping[str, Part]) -> tuple[str, ...]:
  """The names of the classes that have training examples; () where the feature has no names."""
  names = feature.get("names")
  if not isinstance(names, list):
    return ()
  there = [int(label) for label in np.unique(parts["train"].labels) if label != -1]
  return tuple(str(names[label]) for label in there) if max(there) < len(names) else ()


def _rows(folder: Path, image: str, label: str) -> Iterator[tuple[image_files.Held, Any]]:
  import pyarrow  # takes a while to import
  from pyarrow import ipc

  for file in _streams(folder):
    try:
      with pyarrow.memory_map(str(file)) as source, ipc.open_stream(source) as stream:
        table = stream.read_all().select([image, label]).to_pydict()
    except (pyarrow.ArrowException, OSError, KeyError) as error:
      reason = str(error).split("\n", maxsplit=1)[0]
      raise UserError(
        f"{file} cannot be read as an Arrow stream ({reason}); save it anew"
      ) from error
    for row, (held, value) in enumerate(zip(table[image], table[label], strict=True)):
      place = f"{file}: row {row} of {image}"
      content = held.get("bytes") if isinstance(held, dict) else None
      if content is None:
        raise UserError(
          f"{place} holds no image, or only the path of one; save the set with its images in it"
        )
      yield image_files.Held(place, content), value


def _parts(path: Path) -> dict[str, Path]:
  """The folder of each part; a set without parts is for training."""
  if (path / STATE).is_file():
    return {"train": path}
  if not (path / PARTED).is_file():
    raise UserError(
      f"{path} holds neither {STATE} nor {PARTED}; give a folder that save_to_disk wrote"
    )
  splits = _json(path / PARTED).get("splits")
  known = [name for name in splits if isinstance(name, str)] if isinstance(splits, list) else []
  found = which_parts(known)
  if not found:
    raise UserError(f"{path / PARTED} names no part called train; it has {', '.join(known) or '-'}")
  return {part: _below(path, name) for part, name in found.items()}


def _streams(folder: Path) -> list[Path]:
  listed = _json(folder / STATE).get("_data_files")
  names = [each.get("filename") for each in listed] if isinstance(listed, list) else []
  if not names:
    raise UserError(f"{folder / STATE} names no files of data; save the set anew")
  return [_below(folder, str(name)) for name in names]


def _below(folder: Path, name: str) -> Path:
  """A file or folder that lies in the folder itself."""
  if Path(name).name != name:
    raise UserError(f"{folder} names {name!r}, which lies outside of it; save the set anew")
  return folder / name


def _features(folder: Path) -> dict[str, Any]:
  found = _json(folder / INFO).get("features")
  if not isinstance(found, dict) or not all(isinstance(each, dict) for each in found.values()):
    raise UserError(f"{folder / INFO} tells no features; save the set anew")
  return found


def _image_feature(path: Path, features: Mapping[str, Any]) -> str:
  found = next((name for name, each in features.items() if each.get("_type") == "Image"), None)
  if found is None:
    raise UserError(
      f"{path} has no feature of type Image, only {', '.join(features)}; write a table by "
      "to_parquet and give parquet:PATH"
    )
  return found


def _label_feature(path: Path, features: Mapping[str, Any], asked: str = "") -> str:
  classes = [name for name, each in features.items() if each.get("_type") == "ClassLabel"]
  found = asked or ("label" if "label" in features else classes[0] if len(classes) == 1 else "")
  if found not in features:
    raise UserError(
      f"{path} has no feature {found!r}; there are {', '.join(features)}"
      if found
      else f"{path} has several labels or none; give hf:...@FEATURE, one of {', '.join(features)}"
    )
  return found


def _json(file: Path) -> dict[str, Any]:
  try:
    content = json.loads(file.read_text(encoding="utf-8"))
  except (OSError, ValueError) as error:
    raise UserError(f"{file} cannot be read ({error}); save the set anew") from error
  if not isinstance(content, dict):
    raise UserError(f"{file} holds no JSON object; save the set anew")
  return content
