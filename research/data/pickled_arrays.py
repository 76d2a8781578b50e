"""Reads pickled dictionaries of arrays, lists and texts without running what they hold."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np


class StoredType:
  """An array's type as a pickle states it: its code, such as "f4", and its byte order."""

  def __init__(self, code: Any, *_: Any):
    self.code, self.order = _text(code), "<"
    if self.code not in ("f4", "f8", "u1"):
      raise pickle.UnpicklingError(f"an array of type {self.code!r}; read are f4, f8 and u1")

  def __setstate__(self, state: Any) -> None:
    self.order = {"<": "<", ">": ">", "|": "|"}[_text(state[1])]


class StoredArray:
  """An array as a pickle states it; read as plain numbers, so that NumPy is never given a lie."""

  value: np.ndarray

  def __init__(self, *_: Any):
    pass

  def __setstate__(self, state: Any) -> None:
    _, shape, dtype, is_fortran, data = state
    numbers = np.frombuffer(data, dtype.order + dtype.code)
    self.value = numbers.reshape(shape, order="F" if is_fortran else "C")


def stored_array(data: Any, dtype: StoredType, shape: Any, order: str) -> StoredArray:
  """The same as pickles of protocol 5 put it."""
  array = StoredArray()
  array.__setstate__((1, shape, dtype, order == "F", data))
  return array


def _text(value: Any) -> Any:
  """The text of bytes, which is what Python 2 had for texts."""
  return value.decode("latin1") if isinstance(value, bytes) else value


# A pickle is a program that calls what it names. These are all the names that a pickle of arrays
# needs (NumPy 2 renamed `core`), and what they may call here.
ALLOWED: dict[tuple[str, str], Any] = {
  ("numpy", "ndarray"): None,
  ("numpy", "dtype"): StoredType,
  ("numpy.core.multiarray", "_reconstruct"): StoredArray,
  ("numpy._core.multiarray", "_reconstruct"): StoredArray,
  ("numpy.core.numeric", "_frombuffer"): stored_array,
  ("numpy._core.numeric", "_frombuffer"): stored_array,
  ("_codecs", "encode"): lambda text, _: text.encode("latin1"),
}


class ArrayUnpickler(pickle.Unpickler):
  """Reads dictionaries of arrays, and calls nothing that a file names but what is allowed."""

  def find_class(self, module: str, name: str) -> Any:
    """Returns the stand-in for a name in the file."""
    if (module, name) not in ALLOWED:
      raise pickle.UnpicklingError(f"it asks for {module}.{name}")
    return ALLOWED[module, name]


def read_pickled_arrays(path: Path) -> dict[str, np.ndarray]:
  """The arrays in a file, such as {"W1": [784, 50], "b1": [50], ...}.

  Raises:
    OSError: the file cannot be read.
    pickle.UnpicklingError: it is damaged, or holds anything but a dictionary of arrays.
  """
  found = unpickled(path.read_bytes())
  if not all(isinstance(value, np.ndarray) for value in found.values()):
    raise pickle.UnpicklingError("it holds more than arrays")
  return found


def unpickled(content: bytes, encoding: str = "ASCII") -> dict[str, Any]:
  """The dictionary in a pickle: arrays, and plain values as they are, by the texts of their keys.

  Args:
    content: of the file.
    encoding: of texts that Python 2 wrote; "bytes" leaves them bytes, as its arrays need.

  Raises:
    pickle.UnpicklingError: it is damaged, or asks for anything but arrays.
  """
  try:
    stored = ArrayUnpickler(io.BytesIO(content), encoding=encoding).load()
    plain = lambda value: value.value if isinstance(value, StoredArray) else value
    return {_text(name): plain(value) for name, value in stored.items()}
  except Exception as error:  # a damaged pickle may raise anything
    raise pickle.UnpicklingError(str(error)) from error
