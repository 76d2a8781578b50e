"""Numbers of the command line: in ASCII digits, and of a size that JAX can hold."""

import re

LARGEST = 2**31 - 1  # JAX counts and indexes with 32 bits
LARGEST_REAL = 3.4028234e38  # of float32; what is larger would become infinite

_WHOLE = re.compile(r"[+-]?[0-9]+")


def whole(text: str) -> int:
  """Reads a whole number.

  Raises:
    ValueError: saying what is wrong with the text; also for `1_000` and digits of other scripts.
  """
  if not _WHOLE.fullmatch(text.strip()):
    raise ValueError("is not a whole number" if _is_real(text) else "is not a number")
  if len(text) > 4000:  # Python reads no more digits
    raise ValueError("is too large")
  return int(text)


def real(text: str) -> float:
  """Reads a number.

  Raises:
    ValueError: saying what is wrong with the text.
  """
  if not _is_real(text):
    raise ValueError("is not a number")
  return float(text)


def _is_real(text: str) -> bool:
  if "_" in text or not text.isascii():
    return False
  try:
    float(text)
  except ValueError:
    return False
  return True
