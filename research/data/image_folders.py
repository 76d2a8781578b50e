"""Images in folders: one sub-folder for each class, or train/ and test/ with them.

A class is called as its folder, and classes are numbered in the order of their names. Beside
train/ there may be test/ and validation/ or val/; without test/, the validation images are the test
set. Below a class, images may lie in further folders.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from research.data import image_files
from research.data.own_parts import Part, Read, which_parts
from research.errors import UserError


def files(path: Path) -> list[Path]:
  """All images of the folder, in a fixed order.

  Raises:
    UserError: for a folder that is not there or holds no classes, an empty class, a loop of links.
  """
  return [file for part in _parts(path).values() for images in part.values() for file in images]


def images_below(folder: Path) -> list[Path]:
  """All images in a folder and in those below it, in the order of names; hidden files left out.

  Raises:
    UserError: for a folder that cannot be read, and for a loop of links.
  """
  return _below(folder, ())[0]


def read(path: Path, option: str) -> Read:
  """Reads all images at one shape.

  The option is the size, as `image_files.common_shape` takes it.

  Raises:
    UserError: as `files`, and for an image that cannot be read.
  """
  found, shape = listed(path, option)
  decoded = lambda part: part._replace(inputs=image_files.read_images(list(part.inputs), shape))
  validation, test = (part and decoded(part) for part in (found.validation, found.test))
  return found._replace(train=decoded(found.train), validation=validation, test=test)


def listed(path: Path, option: str) -> tuple[Read, tuple[int, int, int]]:
  """The images' files in place of the images, and the shape at which `read` reads them.

  Raises:
    UserError: as `read`, but for pixels that cannot be decoded.
  """
  parts = _parts(path)
  classes = list(parts["train"])
  if len(classes) < 2:
    raise UserError(f"{path} holds one class only, {classes[0]!r}; two are needed to tell apart")
  for name, part in parts.items():
    unknown = [each for each in part if each not in classes]
    if unknown:
      raise UserError(
        f"{part[unknown[0]][0].parent}: class {unknown[0]!r} of the {name} images has no training "
        "image"
      )
  training = [file for images in parts["train"].values() for file in images]
  shape = image_files.common_shape(training, option)
  made = {name: _part(part, classes) for name, part in parts.items()}
  return Read(made["train"], made.get("validation"), made.get("test"), tuple(classes)), shape


def _part(part: dict[str, list[Path]], classes: Sequence[str]) -> Part:
  paths = [file for images in part.values() for file in images]
  labels = [classes.index(name) for name, images in part.items() for _ in images]
  return Part(np.array(paths, object), np.array(labels, np.int32), [str(file) for file in paths])


def _parts(path: Path) -> dict[str, dict[str, list[Path]]]:
  """The images by class, for "train" and for "validation" and "test" where there are any."""
  if not path.is_dir():
    raise UserError(f"{path} is not a folder; give one with a sub-folder of images for each class")
  folders = which_parts({each.name for each in _subfolders(path)})
  if not folders:
    return {"train": _classes(path)}
  return {part: _classes(path / name) for part, name in folders.items()}


def _classes(path: Path) -> dict[str, list[Path]]:
  classes, others = {}, []
  for folder in _subfolders(path):
    images, passed_over = _below(folder, (path.resolve(),))
    if not images:
      raise UserError(
        f"{folder}: class {folder.name!r} has no image ({', '.join(image_files.SUFFIXES)}); put "
        "some there or remove the folder"
      )
    classes[folder.name] = images
    others += passed_over
  if not classes:
    raise UserError(f"{path} holds no sub-folders; each class's images lie in one of its name")
  if others:
    print(f"{path}: passed over {len(others)} files, first {others[0]}", file=sys.stderr)
  return classes


def _below(folder: Path, above: tuple[Path, ...]) -> tuple[list[Path], list[Path]]:
  """(the images in a folder and the folders below, what else lies there but for hidden files)."""
  real = folder.resolve()
  if real in above:
    raise UserError(f"{folder} is a link to a folder that it lies in ({real}); take it out")
  images, others = [], []
  for file in _entries(folder):
    if file.is_dir():
      found, passed_over = _below(file, (*above, real))
      images += found
      others += passed_over
    else:
      (images if file.suffix.lower() in image_files.SUFFIXES else others).append(file)
  return images, others


def _subfolders(path: Path) -> list[Path]:
  return [each for each in _entries(path) if each.is_dir()]


def _entries(folder: Path) -> list[Path]:
  """The entries of a folder by name, hidden files left out."""
  try:
    return [folder / name for name in sorted(os.listdir(folder)) if not name.startswith(".")]
  except OSError as error:
    raise UserError(f"{folder} cannot be read: {error.strerror}") from error
