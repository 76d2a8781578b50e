"""Reads files of PyTorch's weights without PyTorch, and without running what they hold.

A safetensors file is a JSON header before raw numbers. A file that `torch.save` wrote is a pickle
beside raw storages: in a zip archive since PyTorch 1.6, one after the other in a single stream
before (as many published weights still are). A pickle is a program; this reader calls the few names
that tensors need and refuses all others.
"""

import collections
import functools
import io
import json
import math
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
# Of the safetensors format, which is little-endian throughout.
SAFE_DTYPES: Mapping[str, Any] = {
  "F64": np.float64,
  "F32": np.float32,
  "F16": np.float16,
  "BF16": jnp.bfloat16,
  "I64": np.int64,
  "I32": np.int32,
  "I16": np.int16,
  "I8": np.int8,
  "U8": np.uint8,
  "BOOL": np.bool_,
}
# Under what names training checkpoints hold the weights; the first that is there counts.
WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "net", "network", "weights")
# What wrappers of a network put before the names of all its weights.
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.")


class Weights(NamedTuple):
  """The contents of a weights file.

  Attributes:
    tensors: by name, in the file's order; the prefixes that wrappers put before all names are gone.
    left_out: the file's other entries, such as an optimizer's state.
  """

  tensors: dict[str, np.ndarray]
  left_out: list[str]


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
  """Stands in for PyTorch's functions of like names."""
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

  @functools.cached_property
  def storages(self) -> dict[str, Storage]:
    """Those that were named so far, by key."""
    return {}

  def find_class(self, module: str, name: str) -> Any:
    """Returns the stand-in for a name in the file."""
    if (module, name) not in ALLOWED:
      raise pickle.UnpicklingError(f"it asks for {module}.{name}")
    return ALLOWED[module, name]

  def persistent_load(self, pid: Any) -> Storage:
    """A storage, whose numbers stand elsewhere in the file."""
    _, dtype, key, *_ = pid
    return self.storages.setdefault(key, Storage(dtype, key))


def read_weights(path: Path) -> Weights:
  """The weights in a file: a `state_dict`, a training checkpoint around one, or safetensors.

  Raises:
    UserError: the file cannot be read, is damaged, or holds no named tensors under `WRAPPERS`.
  """
  try:
    with open(path, "rb") as file:
      head = file.read(9)
      is_zip = zipfile.is_zipfile(file)
      file.seek(0)
      if is_zip:
        tensors, left_out = _read_zip(file)
      elif head[8:] == b"{" or path.suffix == ".safetensors":
        tensors, left_out = _read_safetensors(file.read()), []
      else:
        tensors, left_out = _read_legacy(file)
    return Weights(_without_prefixes(tensors), left_out)
  except OSError as error:
    raise UserError(
      f"{path}: {error.strerror}; give the path of a .pt, .pth or .safetensors file"
    ) from error
  except Exception as error:  # a damaged file may raise anything
    raise UserError(
      f"{path} is not a PyTorch state_dict: {error or type(error).__name__}; write one with "
      "torch.save(model.state_dict(), file)"
    ) from error


def _named_tensors(value: Any) -> tuple[dict[str, StoredTensor], list[str]]:
  """The state_dict in what was unpickled, and the names of what stands beside it."""
  if not isinstance(value, dict):
    raise ValueError(f"it holds a {type(value).__name__}")
  wrapper = next((name for name in WRAPPERS if isinstance(value.get(name), dict)), None)
  if wrapper:
    tensors, left_out = _named_tensors(value[wrapper])
    return tensors, [*(str(name) for name in value if name != wrapper), *left_out]
  others = [name for name, held in value.items() if not isinstance(held, StoredTensor)]
  if others:
    raise ValueError(
      f"its entry {others[0]!r} is no tensor, and it holds no weights as {', '.join(WRAPPERS)}"
    )
  return {str(name): tensor for name, tensor in value.items()}, []


def _without_prefixes(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  for prefix in PREFIXES:
    if tensors and all(name.startswith(prefix) for name in tensors):
      return _without_prefixes({name.removeprefix(prefix): t for name, t in tensors.items()})
  return tensors


def _read_zip(file: BinaryIO) -> tuple[dict[str, np.ndarray], list[str]]:
  with zipfile.ZipFile(file) as archive:
    names = archive.namelist()
    folder = next(name for name in names if name.endswith("/data.pkl")).removesuffix("data.pkl")
    if folder + "byteorder" in names and archive.read(folder + "byteorder") != b"little":
      raise ValueError("its numbers are big-endian")
    value = TensorUnpickler(io.BytesIO(archive.read(folder + "data.pkl"))).load()
    tensors, left_out = _named_tensors(value)
    keys = {tensor.storage.key for tensor in tensors.values()}
    storages = {key: archive.read(f"{folder}data/{key}") for key in keys}
    return {name: t.read(storages[t.storage.key]) for name, t in tensors.items()}, left_out


def _read_legacy(file: BinaryIO) -> tuple[dict[str, np.ndarray], list[str]]:
  if TensorUnpickler(file).load() != LEGACY_MAGIC:
    raise ValueError("it does not begin as one")
  _version, _system = TensorUnpickler(file).load(), TensorUnpickler(file).load()
  unpickler = TensorUnpickler(file)
  tensors, left_out = _named_tensors(unpickler.load())
  storages = {}
  for key in TensorUnpickler(file).load():
    count = int.from_bytes(file.read(8), "little")
    storages[key] = file.read(count * unpickler.storages[key].dtype.itemsize)
  return {name: t.read(storages[t.storage.key]) for name, t in tensors.items()}, left_out


def _read_safetensors(data: bytes) -> dict[str, np.ndarray]:
  """Eight bytes of length, the JSON header, the numbers."""
  start = 8 + int.from_bytes(data[:8], "little")
  if not 8 < start <= len(data):
    raise ValueError("its header is cut short")
  header = json.loads(data[8:start])
  header.pop("__metadata__", None)
  tensors = {}
  for name, about in header.items():
    if about["dtype"] not in SAFE_DTYPES:
      raise ValueError(f"its tensor {name!r} is of numbers that are not read, {about['dtype']}")
    dtype, shape = np.dtype(SAFE_DTYPES[about["dtype"]]), tuple(about["shape"])
    first, last = (start + offset for offset in about["data_offsets"])
    if not start <= first <= last <= len(data) or last - first != math.prod(shape) * dtype.itemsize:
      raise ValueError(f"its tensor {name!r} reaches out of the file")
    tensors[name] = np.frombuffer(data[first:last], dtype).reshape(shape)
  return tensors
