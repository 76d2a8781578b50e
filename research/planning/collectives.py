"""Sums and exchanges between devices, read from the text of a compiled program."""

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "collective-permute", "all-to-all")
BITS = {"pred": 8, "token": 0}
_INSTRUCTION = re.compile(
  r"^\s*(?:ROOT )?%?[\w.-]+ = (?P<shape>\(.*?\)|\S+) "
  rf"(?P<kind>{'|'.join(KINDS)})(?P<start>-start)?\(",
  re.MULTILINE,
)
_ARRAY = re.compile(r"([a-z]+[a-z0-9]*)\[([0-9,]*)\]")


class Collective(NamedTuple):
  """All collectives of one kind in a program.

  Attributes:
    number: instructions; one within a loop counts once.
    bytes: of their results on one device.
  """

  number: int
  bytes: int


def collectives(text: str) -> Mapping[str, Collective]:
  """The collectives of a compiled program by kind, from its optimised HLO text.

  An asynchronous one counts by the instruction that starts it, whose result may hold its operands
  first, as those of all-gather and collective-permute do.
  """
  found: dict[str, Collective] = {}
  for instruction in _INSTRUCTION.finditer(text):
    kind, shape = instruction["kind"], instruction["shape"]
    arrays = [_bytes(*array) for array in _ARRAY.findall(shape)]
    if instruction["start"] and kind in ("all-gather", "collective-permute"):
      arrays = arrays[len(arrays) // 2 :] if kind == "all-gather" else arrays[1:2]
    before = found.get(kind, Collective(0, 0))
    found[kind] = Collective(before.number + 1, before.bytes + sum(arrays))
  return found


def _bytes(kind: str, shape: str) -> int:
  digits = re.search(r"\d+", kind)
  bits = BITS.get(kind, int(digits.group()) if digits else 0)
  return math.ceil(bits * math.prod(map(int, filter(None, shape.split(",")))) / 8)
