"""Strings of digits that were read, and how many of them may be believed."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from research.batch import by_parts
from research.data.strip_pieces import Pieces
from research.figures.functions import Panel, function_curves
from research.figures.image_grids import image_grid
from research.learner import predict
from research.models.digit_reader import PieceReader, StringReader, transcribe
from research.report import Picture
from research.training import Fit, HostData

BATCH = 500
SHOWN = 12  # strips of a kind in the figure


class Transcripts(NamedTuple):
  """Strings that were read.

  Attributes:
    digits: by place; -1 behind the last.
    log_probability: of each string, in nats, as the reader has it.
  """

  digits: Int[np.ndarray, "strip place"]
  log_probability: Float[np.ndarray, " strip"]

  def right(self, strips: HostData) -> Bool[np.ndarray, " strip"]:
    """Tells which of the strips were read without a mistake."""
    return (self.digits == strips["digits"]).all(axis=1)

  def texts(self) -> list[str]:
    """The strings as they are written; "-" for one that was not read."""
    return ["".join(str(digit) for digit in row if digit >= 0) or "-" for row in self.digits]


class Coverage(NamedTuple):
  """Shares of strips that are believed, from the surest on, and the accuracy of each share."""

  covered: Float[np.ndarray, " cut"]
  accuracy: Float[np.ndarray, " cut"]

  def at(self, accuracy: float) -> float:
    """The largest share of strips that are read so accurately; 0 where there is none."""
    return float(self.covered[self.accuracy >= accuracy].max(initial=0))


def coverage(
  confidence: Float[np.ndarray, " strip"], right: Bool[np.ndarray, " strip"]
) -> Coverage:
  """The accuracy of the surest readings by their share (Goodfellow et al. 2013, section 5).

  Readings of equal confidence are believed together.
  """
  order = np.argsort(-confidence, kind="stable")
  read = np.arange(1, len(order) + 1)
  is_cut = np.append(np.diff(confidence[order]) != 0, True)
  return Coverage((read / len(read))[is_cut], (np.cumsum(right[order]) / read)[is_cut])


def read_whole(model: StringReader, fit: Fit, strips: HostData) -> Transcripts:
  """Reads every strip at once."""
  read = jax.jit(lambda images: transcribe(predict(model, fit.state, {"image": images})))
  return Transcripts(*by_parts(read, strips["image"], BATCH))


def read_pieces(model: PieceReader, fit: Fit, pieces: Pieces, longest: int) -> Transcripts:
  """Reads every piece by itself, as probable as it is; a strip of too many pieces as nothing."""

  def surest(images: Array) -> tuple[Array, Array]:
    shares = jax.nn.log_softmax(predict(model, fit.state, {"image": images}))
    return shares.argmax(axis=1), shares.max(axis=1)

  labels, log_shares = by_parts(jax.jit(surest), pieces.images, BATCH)
  counts = pieces.counts
  strip = np.repeat(np.arange(len(counts)), counts)
  place = np.arange(len(strip)) - np.repeat(np.cumsum(counts) - counts, counts)
  digits = np.full((len(counts), longest), -1)
  is_read = counts[strip] <= longest
  digits[strip[is_read], place[is_read]] = labels[is_read]
  return Transcripts(digits, np.bincount(strip, log_shares, len(counts)))


def coverage_curves(curves: Mapping[str, Coverage], level: float) -> Picture:
  """The accuracy by the share that is believed, for several readers, and a level of accuracy."""
  drawn = {name: (100 * found.covered, 100 * found.accuracy) for name, found in curves.items()}
  return function_curves(
    [Panel("accuracy (%)", drawn, levels={f"{100 * level:g} %": 100 * level})],
    title="Strings of digits, the surest first",
    x="strips covered (%)",
    caption="Of the strings that a reader is surest of, so many are right. People read 98 % of "
    "house numbers.",
    file="coverage",
  )


def sample(read: Mapping[str, Transcripts], strips: HostData, judged: str) -> Picture:
  """The first strips, and the first that one of the readers misreads, with what all read."""
  misread = np.flatnonzero(~read[judged].right(strips))[:SHOWN]
  chosen = [*range(min(SHOWN, len(strips["image"]))), *misread]
  texts = list(zip(*(found.texts() for found in read.values()), strict=True))
  return image_grid(
    strips["image"][chosen],
    title="Strips, and what was read",
    captions=[" / ".join(texts[strip]) for strip in chosen],
    note=" / ".join(read),
    columns=4,
    caption=f"Below each strip what was read of it: the first {SHOWN} strips, then the first that "
    f"were misread ({judged}).",
    file="strips",
  )
