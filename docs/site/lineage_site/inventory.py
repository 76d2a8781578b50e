"""The books that the inventory cites: which system belongs to which chapter."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from research.reporting.origins import System


class Book(NamedTuple):
  """A book or a course.

  Attributes:
    key: of its page.
    title: in full.
    short: as one speaks of it.
    cited: finds its chapters in a source; the groups are the chapter's numbers.
    unit: what a chapter is called, with a place for each number.
    chapters: titles by number.
  """

  key: str
  title: str
  short: str
  cited: str
  unit: str
  chapters: dict[tuple[str, ...], str]

  def unit_of(self, numbers: tuple[str, ...]) -> str:
    """A chapter's name, such as "Chapter 6" or "Course 2, week 1"."""
    return self.unit.format(*numbers)

  def anchor(self, numbers: tuple[str, ...]) -> str:
    """The place of a chapter on the book's page."""
    return "-".join((self.key, *numbers))


BOOKS = (
  Book(
    "saito",
    "Saito, *Deep Learning from Scratch*",
    "Saito",
    r"Saito ch\. (\d+)",
    "Chapter {}",
    {
      ("2",): "Perceptrons",
      ("3",): "Neural networks",
      ("4",): "Learning",
      ("5",): "Back-propagation",
      ("6",): "Techniques of learning",
      ("7",): "Convolutional networks",
      ("8",): "Deep learning",
    },
  ),
  Book(
    "ng",
    "Ng, *Deep Learning Specialization*",
    "Ng",
    r"Ng\b.*?course (\d), week (\d)",
    "Course {}, week {}",
    {
      ("1", "4"): "Deep networks",
      ("2", "1"): "Practical aspects",
      ("2", "2"): "Optimization",
      ("2", "3"): "Tuning and batch normalisation",
      ("3", "1"): "Strategy, first part",
      ("3", "2"): "Strategy, second part",
    },
  ),
  Book(
    "d2l",
    "Zhang, Lipton, Li and Smola, *Dive into Deep Learning*",
    "Dive into Deep Learning",
    r"d2l\)? ch\. (\d+)",
    "Chapter {}",
    {
      ("3",): "Linear regression",
      ("4",): "Linear classification",
      ("5",): "Multilayer perceptrons",
      ("7",): "Convolutional networks",
      ("8",): "Modern convolutional networks",
      ("9",): "Recurrent networks",
      ("10",): "Modern recurrent networks",
      ("11",): "Attention and Transformers",
      ("13",): "Computational performance",
      ("14",): "Computer vision",
      ("17",): "Reinforcement learning",
      ("20",): "Generative adversarial networks",
    },
  ),
  Book(
    "nielsen",
    "Nielsen, *Neural Networks and Deep Learning*",
    "Nielsen",
    r"Nielsen\b.*?ch\. (\d+)",
    "Chapter {}",
    {("6",): "Deep learning"},
  ),
)


class Chapter(NamedTuple):
  """A chapter of a book, by its numbers."""

  book: Book
  numbers: tuple[str, ...]


def chapters_of(source: str) -> list[Chapter]:
  """The chapters that a source cites, each once."""
  found = [
    Chapter(book, match.groups())
    for part in source.split(";")
    for book in BOOKS
    for match in re.finditer(book.cited, part)
  ]
  return [chapter for place, chapter in enumerate(found) if chapter not in found[:place]]


def by_chapter(rows: Iterable[System], book: Book) -> dict[tuple[str, ...], list[System]]:
  """The systems of each chapter of a book, chapters in order."""
  chapters: dict[tuple[str, ...], list[System]] = {}
  for row in rows:
    for chapter in chapters_of(row.source):
      if chapter.book is book:
        chapters.setdefault(chapter.numbers, []).append(row)
  return dict(sorted(chapters.items(), key=lambda item: [int(number) for number in item[0]]))
