"""The IDX format of MNIST's files: a magic number, big-endian sizes, then raw unsigned bytes."""

import struct

import numpy as np

UNSIGNED_BYTE = 0x08


def decode(data: bytes) -> np.ndarray:
  """The array in an uncompressed IDX file, as uint8 of the shape that its header tells.

  Raises ValueError for anything that is not one whole IDX file of unsigned bytes.
  """
  if len(data) < 4 or data[:2] != b"\0\0" or data[2] != UNSIGNED_BYTE:
    raise ValueError("this is not an IDX file of unsigned bytes")
  header = 4 + 4 * data[3]
  if len(data) < header:
    raise ValueError("the IDX header is cut short")
  shape = struct.unpack(f">{data[3]}I", data[4:header])
  if len(data) != header + int(np.prod(shape, dtype=np.int64)):
    raise ValueError(f"the IDX header tells of shape {shape}, but {len(data)} bytes are there")
  return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def encode(array: np.ndarray) -> bytes:
  """The uncompressed IDX file that holds `array`, whose values must fit unsigned bytes."""
  header = struct.pack(f">HBB{array.ndim}I", 0, UNSIGNED_BYTE, array.ndim, *array.shape)
  return header + array.astype(np.uint8).tobytes()
