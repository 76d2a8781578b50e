"""Text for language models: a file of one's own, and batches from one long array of tokens."""

import unicodedata
from pathlib import Path

import numpy as np

from research.data.spec import Arrays
from research.errors import UserError


def text_of_file(path: str, flag: str = "--text") -> str:
  """Reads a UTF-8 text file: without a byte-order mark, lines ended by "\\n" alone, in NFC.

  NFC writes a letter with its accent as one character wherever Unicode has it, so that two ways to
  write the same text are the same text. Raises UserError, naming the flag that the path was given
  by, where the file cannot be read or is empty.
  """
  try:
    text = Path(path).expanduser().read_bytes().decode("utf-8-sig")
  except (OSError, UnicodeDecodeError) as error:
    raise UserError(f"{flag}={path} cannot be read as UTF-8 text ({error})") from error
  if not text.strip():
    raise UserError(f"{flag}={path} is empty; give a text to learn")
  return unicodedata.normalize("NFC", text.replace("\r\n", "\n"))


def windows(tokens: np.ndarray, length: int, stride: int) -> Arrays:
  """Segments of `length` + 1 tokens, one every `stride`: {"target": [n, length + 1]}.

  The model reads all but the last and predicts all but the first. Drawn at random, a stride of 1 is
  d2l's section 9.3 in English, a stride of `length` without an offset its Chinese one. Raises
  UserError where the text is shorter than one segment.
  """
  if len(tokens) < length + 1:
    raise UserError(f"the text is too short: {len(tokens)} tokens hold no segment of {length} + 1")
  segments = np.lib.stride_tricks.sliding_window_view(tokens, length + 1)[::stride]
  return {"target": np.ascontiguousarray(segments)}


def partition(tokens: np.ndarray, batch_size: int, length: int) -> Arrays:
  """The text in `batch_size` parallel strands, cut so that batches in order continue each other.

  For `sampling.in_order(batch_size)`: row b of each batch goes on where row b of the batch before
  stopped. "is_first" tells of the batch at the strands' beginning, where no carry is handed on.

  Returns {"target": [n, length + 1], "is_first": bool [n]}, n a multiple of the batch size. Raises
  UserError where the text is too short for one batch.
  """
  steps = (len(tokens) - 1) // batch_size // length
  if steps < 1:
    raise UserError(
      f"the text is too short: {len(tokens)} tokens hold no batch of {batch_size} times {length} + "
      "1; take a smaller --batch_size"
    )
  strand = steps * length
  starts = np.arange(steps)[:, None] * length + np.arange(batch_size)[None] * strand
  places = starts.reshape(-1, 1) + np.arange(length + 1)[None]
  is_first = np.repeat(np.arange(steps) == 0, batch_size)
  return {"target": tokens[places], "is_first": is_first}
