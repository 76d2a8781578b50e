"""English beside French: the translation catalogues that large open-source packages ship.

What programs say to their users, sentence by sentence, by people who translate them for a living or
for love. It is software's language: good for comparing models with each other, not with published
scores. The packages and their licences are those of `WHEELS`, all of them permissive. The wheels
are fetched by pip, proved by their SHA-256 and thrown away again; the pairs stay in the cache:

  cache/arrays/catalogues.npz       messages: the UTF-8 bytes of a JSON list of pairs
"""

import ast
import json
import re
import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from research.data import cache, prepared, sources
from research.data.spec import Arrays
from research.data.text.language import text_of_file
from research.errors import UserError
from research.store.files import cache_folder

Message = tuple[str, str]  # English, French


class Wheel(NamedTuple):
  """A package that ships catalogues."""

  requirement: str
  file: str
  size: int
  sha256: str
  licence: str


WHEELS = (
  Wheel(
    "django==5.2.19",
    "django-5.2.19-py3-none-any.whl",
    8_319_631,
    "5965d974a5218a2b68a11dd1276434707f23886525c23f0598eccedaf4f4ca00",
    "BSD-3-Clause",
  ),
  Wheel(
    "django-oscar==4.2.1",
    "django_oscar-4.2.1-py3-none-any.whl",
    8_984_805,
    "adbb95ea0130859c204cc6fb221052d6d437ecbaa90800e8418a809f72645e9c",
    "BSD-3-Clause",
  ),
  Wheel(
    "horizon==27.0.0",
    "horizon-27.0.0-py3-none-any.whl",
    5_297_721,
    "8a981dae4fb6626e71553aa185f6e429b0b1efb86b04b0a72c3b18ee04f1f990",
    "Apache-2.0",
  ),
  Wheel(
    "jupyterlab-language-pack-fr-FR==4.5.post3",
    "jupyterlab_language_pack_fr_fr-4.5.post3-py2.py3-none-any.whl",
    222_292,
    "9f6ce9d4e64b367ff084a2313af29d6ad8a02d1d08000f3e6c53e2856fa9a11f",
    "BSD-3-Clause",
  ),
  Wheel(
    "sphinx==9.0.4",
    "sphinx-9.0.4-py3-none-any.whl",
    3_917_713,
    "5bebc595a5e943ea248b99c13814c1c5e10b3ece718976824ffa7959ff95fffb",
    "BSD-2-Clause",
  ),
  Wheel(
    "spyder==6.1.8",
    "spyder-6.1.8-py3-none-any.whl",
    14_481_595,
    "4da836742a7138c93392a8a0bd1a5ff40002cf92d217ef0e7bed11b522322f90",
    "MIT",
  ),
  Wheel(
    "wagtail==8.0.1",
    "wagtail-8.0.1-py3-none-any.whl",
    9_841_588,
    "1e6ad5c7891a54efce1400e168298b5a2cc343b642cee89c31bf5ec30c98b26c",
    "BSD-3-Clause",
  ),
)


class Catalogues(NamedTuple):
  """The wheels as `prepared.fetch` wants them."""

  wheels: tuple[Wheel, ...]
  downloads: tuple[sources.Source, ...]

  @property
  def name(self) -> str:
    """The name of the data set."""
    return "catalogues"

  @property
  def sha256(self) -> dict[str, str]:
    """The SHA-256 of every wheel."""
    return {wheel.file: wheel.sha256 for wheel in self.wheels}

  def file_sizes(self) -> dict[str, int]:
    """The size of every wheel, in bytes."""
    return {wheel.file: wheel.size for wheel in self.wheels}


CATALOGUES = Catalogues(WHEELS, (sources.wheels(tuple(wheel.requirement for wheel in WHEELS)),))
PLACE = re.compile(r"/fr(_FR)?/LC_MESSAGES/.*\.[mp]o$")


def load(data_dir: str | None = None, catalogues: Catalogues = CATALOGUES) -> list[Message]:
  """Every English message once, with its French, in the order of the wheels.

  Raises DataUnavailableError when the wheels cannot be had; `data_dir` is a folder that may hold
  them, by default that of `sources.own_folder`.
  """

  def make(scratch: Path) -> Arrays:
    raw = prepared.fetch(catalogues, data_dir, scratch, "a file of your own (--text, --pairs)")
    messages = messages_of_wheels([raw / wheel.file for wheel in catalogues.wheels])
    written = json.dumps(messages, ensure_ascii=False).encode()
    return {"messages": np.frombuffer(written, np.uint8)}

  arrays = cache.made_once(cache_folder(), catalogues.name, make)
  return [(english, french) for english, french in json.loads(arrays["messages"].tobytes())]


def messages_of_wheels(paths: Iterable[Path]) -> list[Message]:
  """Returns the messages of the wheels' French catalogues; a message's first translation counts."""
  found: dict[str, str] = {}
  for path in paths:
    with zipfile.ZipFile(path) as wheel:
      names = sorted(name for name in wheel.namelist() if PLACE.search(name))
      compiled = {name.removesuffix(".mo") for name in names if name.endswith(".mo")}
      for name in names:
        if name.endswith(".po") and name.removesuffix(".po") in compiled:
          continue  # the same again
        read = messages_of_mo if name.endswith(".mo") else messages_of_po
        for english, french in read(wheel.read(name)):
          if english != french:
            found.setdefault(english, french)
  return list(found.items())


def messages_of_mo(data: bytes) -> list[Message]:
  """The singular messages of a compiled catalogue (GNU gettext manual, section 10.3)."""
  order = "<" if data[:4] == b"\xde\x12\x04\x95" else ">"
  count, originals, translations = struct.unpack_from(f"{order}3I", data, 8)

  def text(table: int, number: int) -> str:
    length, offset = struct.unpack_from(f"{order}2I", data, table + 8 * number)
    singular, _, _ = data[offset : offset + length].partition(b"\0")
    return singular.decode()

  pairs = [(text(originals, number), text(translations, number)) for number in range(count)]
  return [_without_context(*pair) for pair in pairs if all(pair)]


def messages_of_po(data: bytes) -> list[Message]:
  """The singular messages of a catalogue's source, fuzzy ones left out."""
  pairs = []
  for entry in re.split(r"\n\s*\n", data.decode()):
    fields: dict[str, str] = {}
    name = ""
    for line in entry.splitlines():
      keyword, _, value = line.partition(" ")
      if line.startswith('"'):
        value = line
      elif keyword.startswith("msg"):
        name = keyword
      else:
        continue
      fields[name] = fields.get(name, "") + ast.literal_eval(value.strip())
    french = fields.get("msgstr") or fields.get("msgstr[0]", "")
    if fields.get("msgid") and french and not re.search(r"^#,.*\bfuzzy\b", entry, re.MULTILINE):
      pairs.append((fields["msgid"], french))
  return pairs


def _without_context(english: str, french: str) -> Message:
  return english.rpartition("\x04")[2], french


def messages_of_file(path: str) -> list[Message]:
  """Pairs of one's own: a pair a line, its sides parted by a tab; further columns are ignored.

  The file is read as `language.text_of_file` says. Lines end with LF or CRLF and nowhere else, and
  blank ones at the end are passed over. Raises UserError where the file cannot be read, or has a
  line without a tab.
  """
  lines = text_of_file(path, "--pairs").split("\n")
  while lines and not lines[-1].strip():
    lines.pop()
  messages = []
  for number, line in enumerate(lines, 1):
    sides = line.split("\t")
    if len(sides) < 2:
      raise UserError(
        f"--pairs={path}: line {number} has no tab; a line is a text, a tab and its translation"
      )
    messages.append((sides[0], sides[1]))
  return messages
