"""Scenes with captions: what lies where in which colour, said in five ways, and read back.

Two or three digits or pieces of clothing, each in a quarter of the canvas of its own. A sentence is
a frame around the objects in reading order, each with its place and its colour, with synonyms for
all of them; `parse` finds objects, colours and places in it again, so that a sentence can be
compared with the scene instead of with other sentences.

    made = captions.make(captions.load_pool("test"), seed=0, count=1000)
    made.references[0][0]  # ["in", "the", "upper", "left", "a", "red", "three", ...]

Scene and captions are pure functions of (pool, seed, number). Of every kind of object one colour is
held out: no scene has it, but those of `make(..., is_unseen=True)`, whose first object has.
"""

import functools
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt8

from research.data import scenes
from research.data.scenes import COLOURS, Pool, Scene, World
from research.data.seeded_numbers import Range, in_blocks, integers
from research.data.text.vocabulary import Vocabulary, padded, vocabulary

WORLD = World(size=48, fewest=2, most=3, smallest=18, largest=22, clutter=4, is_colour=True)
REFERENCES = 5  # sentences of a scene
LONGEST = 29  # tokens of a sentence, its marks included
MARGIN = 5  # pixels from an object's middle to the lines between the quarters, at least
Words = list[str]
Choice = tuple[tuple[str, int], ...]  # texts, each with how often it is taken

# The text that is taken most stands first.
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CLOTHES = {
  1: ("trousers", "pants"),
  3: ("dress", "gown"),
  8: ("bag", "handbag"),
  9: ("boot", "shoe"),
}
NOUNS = (*((word, str(digit)) for digit, word in enumerate(DIGITS)), *CLOTHES.values())
PLURALS = ("trousers", "pants")
SYNONYMS = {"purple": "violet", "cyan": "turquoise"}
HUES = tuple((hue, SYNONYMS[hue]) if hue in SYNONYMS else (hue,) for hue in COLOURS)
ROWS, COLUMNS = (("upper", "top"), ("lower", "bottom")), (("left",), ("right",))
FRAMES: Choice = (
  ("{}", 4),
  ("we see {}", 1),
  ("you can see {}", 1),
  ("there is {}", 1),
  ("this image shows {}", 1),
  ("the picture has {}", 1),
  ("{} on a textured ground", 1),
  ("{} and nothing else", 1),
)
# The place comes first: what lies at a place that was just named is learnt many times as fast as
# what lies at the next place in the order.
PHRASES: Choice = (("in the {place} {thing}", 5), ("at the {place} {thing}", 1))
JOINS: Choice = ((" and ", 5), (" with ", 1))
SYNONYM: Choice = (("", 5), ("synonym", 1))
QUARTERS = np.array(list(itertools.permutations(range(4))))


class Thing(NamedTuple):
  """An object as it is spoken of: its number in `NOUNS`, in `HUES`, and its quarter, by rows.

  A part that a sentence leaves out is -1.
  """

  noun: int = -1
  hue: int = -1
  quarter: int = -1


class Captioned(NamedTuple):
  """Scenes with what there is to say.

  Attributes:
    images: of the scenes.
    things: the objects of each, in reading order.
    references: the sentences of each.
  """

  images: UInt8[np.ndarray, "scene size size 3"]
  things: list[list[Thing]]
  references: list[list[Words]]


def load_pool(split: str) -> Pool:
  """The images that captioned scenes are made of: digits, and clothes that are told apart well.

  Args:
    split: "train" or "test".
  """
  whole = scenes.load_pool(("mnist", "fashion_mnist"), split)
  kinds = [*range(1, 11), *(11 + label for label in CLOTHES)]
  number = np.zeros(len(whole.names), int)
  number[kinds] = np.arange(1, len(kinds) + 1)
  label = number[whole.label]
  names = ("background", *(nouns[0] for nouns in NOUNS))
  return Pool(whole.images[label > 0], label[label > 0], whole.stream, names)


def held_out(noun: int | Int[Array, "..."]) -> int | Int[Array, "..."]:
  """The colour that scenes do not show an object in."""
  return 3 * noun % len(HUES)


def make(pool: Pool, seed: int, count: int, *, is_unseen: bool = False) -> Captioned:
  """The first scenes of a seed, with five sentences each."""
  block = functools.partial(_make_block, WORLD, scenes.placed(pool), jnp.array(is_unseen), seed)
  images, label, hue, quarter = in_blocks(block, count)
  things = []
  for row in zip(label - 1, hue, quarter, strict=True):
    there = [Thing(*map(int, one)) for one in zip(*row, strict=True) if one[0] >= 0]
    things.append(sorted(there, key=lambda thing: thing.quarter))
  seeds = ([seed, pool.stream, int(is_unseen), number] for number in range(count))
  return Captioned(images, things, [references(*one) for one in zip(things, seeds, strict=True)])


def quarters(made: Captioned) -> dict[str, Int[np.ndarray, "scene quarter"]]:
  """The objects by quarter: "noun" from 1 on, 0 being nothing, and "hue"."""
  noun, hue = np.zeros((2, len(made.things), 4), np.int32)
  for scene, there in enumerate(made.things):
    for thing in there:
      noun[scene, thing.quarter], hue[scene, thing.quarter] = thing.noun + 1, thing.hue
  return {"noun": noun, "hue": hue}


@functools.partial(jax.jit, static_argnames="world")
def _make_block(
  world: World, pool: Pool, is_unseen: Bool[Array, ""], seed: int, numbers: Int[Array, " block"]
) -> tuple[Array, Array, Array, Array]:
  def one(number: Int[Array, ""]) -> tuple[Array, Array, Array, Array]:
    key = scenes.scene_key(pool, seed, number)
    ranges = {
      "order": Range((), 0, len(QUARTERS)),
      "hue": Range((world.most,), 1, len(HUES)),
      "shift": Range((world.most, 2), 0, 2**31 - 1),
    }
    drawn = integers(jax.random.fold_in(key, is_unseen), ranges)
    quarter = jnp.asarray(QUARTERS)[drawn["order"], : world.most]
    scene = _in_quarters(scenes.describe(key, pool, world), quarter, drawn["shift"], world)
    away = drawn["hue"].at[0].multiply(~is_unseen)
    scene = scene._replace(colour=(held_out(scene.label - 1) + away) % len(HUES))
    image = scenes.draw(scene, pool.images, world).image
    return image, scene.label, scene.colour, quarter

  return jax.vmap(one)(numbers)


def _in_quarters(
  scene: Scene, quarter: Int[Array, " objects"], shift: Int[Array, "objects 2"], world: World
) -> Scene:
  """The scene whose objects lie in these quarters, moved by any numbers from 0 up."""
  size = scene.size[:, None]
  room = world.size // 2 - MARGIN - size // 2 + 1
  from_edge = shift % room
  is_far = jnp.stack([quarter // 2, quarter % 2], axis=1) == 1
  return scene._replace(place=jnp.where(is_far, world.size - size - from_edge, from_edge))


def references(things: Sequence[Thing], seed: Sequence[int]) -> list[Words]:
  """Sentences with different frames, each of words drawn anew.

  Args:
    things: in the order in which they are spoken of.
    seed: equal numbers give equal sentences, on every machine.
  """
  numbers = iter(np.random.SeedSequence(seed).generate_state(256).tolist())
  left, sentences = list(FRAMES), []
  for _ in range(REFERENCES):
    frame = _drawn(tuple(left), numbers)
    left.remove(next(each for each in left if each[0] == frame))
    phrase, last = _drawn(PHRASES, numbers), _drawn(JOINS, numbers)
    spoken = [
      phrase.format(thing=_thing(one, numbers), place=_place(one, numbers)) for one in things
    ]
    sentence = frame.format(
      last.join([" , ".join(spoken[:-1]), spoken[-1]]) if spoken[1:] else spoken[0]
    )
    sentences.append(sentence.split())
  return sentences


def _drawn(choice: Choice, numbers: Iterator[int]) -> str:
  number = next(numbers) % sum(weight for _, weight in choice)
  for text, weight in choice:
    if number < weight:
      return text
    number -= weight
  raise AssertionError("the number is below the sum of the weights")


def _word(words: Sequence[str], numbers: Iterator[int]) -> str:
  return words[-1] if _drawn(SYNONYM, numbers) else words[0]


def _thing(thing: Thing, numbers: Iterator[int]) -> str:
  noun, hue = _word(NOUNS[thing.noun], numbers), _word(HUES[thing.hue], numbers)
  article = "" if noun in PLURALS else "an " if hue[0] in "aeio" else "a "
  return f"{article}{hue} {noun}"


def _place(thing: Thing, numbers: Iterator[int]) -> str:
  return f"{_word(ROWS[thing.quarter // 2], numbers)} {COLUMNS[thing.quarter % 2][0]}"


def targets(made: Captioned) -> Int[np.ndarray, "scene token"]:
  """The first sentence of each scene, in numbers of `words`, between its marks and padded."""
  known = words()
  rows = [known.encode(sentences[0]) for sentences in made.references]
  return padded(rows, LONGEST, begin=True, end=True)


@functools.cache
def words() -> Vocabulary:
  """All words of the sentences, behind the marks."""
  texts = " ".join(text for choice in (FRAMES, PHRASES, JOINS) for text, _ in choice)
  fixed = re.sub(r"{\w*}", " ", texts)
  lists = itertools.chain(*NOUNS, *HUES, *ROWS, *COLUMNS)
  known = itertools.chain((",", "a", "an"), fixed.split(), lists)
  return vocabulary(sorted(set(known)))


def parse(sentence: Sequence[str]) -> list[Thing]:
  """The objects that a sentence of any order speaks of, with what it says of each.

  A word for what the object at hand already has begins the next one.
  """
  found: list[dict[str, int]] = []
  row = None
  for word in sentence:
    if word in _ROW:
      row = _ROW[word]
      continue
    if word in _COLUMN:
      if row is None:
        continue
      part, value, row = "quarter", 2 * row + _COLUMN[word], None
    elif word in _PART:
      part, value = _PART[word]
    else:
      continue
    if not found or part in found[-1]:
      found.append({})
    found[-1][part] = value
  return [Thing(**each) for each in found]


def _numbered(lists: Sequence[Sequence[str]]) -> dict[str, int]:
  return {word: number for number, words in enumerate(lists) for word in words}


_ROW, _COLUMN = _numbered(ROWS), _numbered(COLUMNS)
_PART = {word: ("noun", number) for word, number in _numbered(NOUNS).items()} | {
  word: ("hue", number) for word, number in _numbered(HUES).items()
}
