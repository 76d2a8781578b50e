"""Reads PyTorch's `state_dict` files without PyTorch, and without running what they hold.

A file that `torch.save` wrote is a pickle beside raw storages: in a zip archive since PyTorch 1.6,
one after the other in a single stream before (as many published weights still are). A pickle is a
program; this reader calls the few names that tensors need and refuses all others.
"""

import collections
import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import jax.numpy as jnp
import numpy as np

from research.errors import UserError

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
DTYPES: Mapping[str, Any] = {
  "FloatStorage": np.float32,
  "DoubleStorage": np.float64,
  "HalfStorage": np.float16,
  "BFloat16Storage": jnp.bfloat16,
  "LongStorage": np.int64,
  "IntStorage": np.int32,
  "ShortStorage": np.int16,
  "CharStorage": np.int8,
  "ByteStorage": np.uint8,
  "BoolStorage": np.bool_,
}


class Storage(NamedTuple):
  """A run of numbers under a key of the file."""

  dtype: np.dtype
  key: str


class StoredTensor(NamedTuple):
  """A view of a storage; offset and strides count numbers, not bytes."""

  storage: Storage
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]

  def read(self, data: bytes) -> np.ndarray:
    """The tensor as an array of its own.

    Raises:
      ValueError: the view reaches out of its storage.
    """
    numbers = np.frombuffer(data, self.storage.dtype)
    last = self.offset + sum(
      (n - 1) * step for n, step in zip(self.shape, self.strides, strict=True)
    )
    if 0 in self.shape:
      return np.zeros(self.shape, numbers.dtype)
    if min((self.offset, *self.shape, *self.strides)) < 0 or last >= len(numbers):
      raise ValueError("a tensor reaches out of its storage")
    strides = tuple(step * numbers.itemsize for step in self.strides)
    return np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, strides).copy()


def rebuilt_tensor(
  storage: Storage, offset: int, shape: Any, strides: Any, *_: Any
) -> StoredTensor:
  """What stands for PyTorch's functions of like names."""
  return StoredTensor(storage, offset, tuple(shape), tuple(strides))


ALLOWED: Mapping[tuple[str, str], Any] = {
  ("collections", "OrderedDict"): collections.OrderedDict,
  ("torch._utils", "_rebuild_tensor"): rebuilt_tensor,  # before PyTorch 0.4
  ("torch._utils", "_rebuild_tensor_v2"): rebuilt_tensor,
  ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
  **{("torch", name): np.dtype(dtype) for name, dtype in DTYPES.items()},
}


class TensorUnpickler(pickle.Unpickler):
  """Calls nothing that a file names but what is allowed."""

  def find_class(self, module: str, name: str) -> Any:
    """What stands for a name in the file."""
    if (module, name) not in ALLOWED:
      raise pickle.UnpicklingError(f"it asks for {module}.{name}")
    return ALLOWED[module, name]

  def persistent_load(self, pid: Any) -> Storage:
    """A storage, whose numbers stand elsewhere in the file."""
    _, dtype, key, *_ = pid
    return Storage(dtype, key)


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
  """All tensors of a `state_dict` by name.

  Raises:
    UserError: the file cannot be read, is damaged, or holds anything but named tensors.
  """
  try:
    with open(path, "rb") as file:
      is_zip = zipfile.is_zipfile(file)
      file.seek(0)
      tensors, storages = _read_zip(file) if is_zip else _read_legacy(file)
    return {name: tensor.read(storages[tensor.storage.key]) for name, tensor in tensors.items()}
  except OSError as error:
    raise UserError(f"{path}: {error.strerror}; give the path of a .pt or .pth file") from error
  except Exception as error:  # a damaged file may raise anything
    raise UserError(
      f"{path} is not a PyTorch state_dict: {error or type(error).__name__}; write one with "
      "torch.save(model.state_dict(), file)"
    ) from error


def _named_tensors(value: Any) -> dict[str, StoredTensor]:
  if not isinstance(value, dict):
    raise ValueError(f"it holds a {type(value).__name__}")
  others = [name for name, held in value.items() if not isinstance(held, StoredTensor)]
  if others:
    raise ValueError(f"its entry {others[0]!r} is no tensor")
  return value


def _read_zip(file: BinaryIO) -> tuple[dict[str, StoredTensor], dict[str, bytes]]:
  with zipfile.ZipFile(file) as archive:
    names = archive.namelist()
    folder = next(name for name in names if name.endswith("/data.pkl")).removesuffix("data.pkl")
    if folder + "byteorder" in names and archive.read(folder + "byteorder") != b"little":
      raise ValueError("its numbers are big-endian")
    value = TensorUnpickler(io.BytesIO(archive.read(folder + "data.pkl"))).load()
    tensors = _named_tensors(value)
    keys = {tensor.storage.key for tensor in tensors.values()}
    return tensors, {key: archive.read(f"{folder}data/{key}") for key in keys}


def _read_legacy(file: BinaryIO) -> tuple[dict[str, StoredTensor], dict[str, bytes]]:
  if TensorUnpickler(file).load() != LEGACY_MAGIC:
    raise ValueError("it does not begin as one")
  _version, _system = TensorUnpickler(file).load(), TensorUnpickler(file).load()
  tensors = _named_tensors(TensorUnpickler(file).load())
  dtypes = {tensor.storage.key: tensor.storage.dtype for tensor in tensors.values()}
  storages = {}
  for key in TensorUnpickler(file).load():
    count = int.from_bytes(file.read(8), "little")
    storages[key] = file.read(count * dtypes[key].itemsize)
  return tensors, storages
