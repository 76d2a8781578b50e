"""Road scenes with the class of every pixel: sky, road, lane markings, cars, trees and grass.

A scene is a pure function of (seed, split, index), as in `research.data.scenes`, and in whole
numbers, so that scenes are equal to the byte on every machine. Near things are large and low, and
hide what is behind them. Lengths across the road are counted in 64ths of a pixel, depths in 64ths
of the way from the horizon to the lower edge.

    found, drawn = roads.make(seed=0, count=1000, split="test")
"""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key, UInt8

from research.data import textures
from research.data.seeded_numbers import Range, in_blocks, integers

CLASSES = ("sky", "road", "marking", "car", "tree", "grass")
SKY, ROAD, MARKING, CAR, TREE, GRASS = range(len(CLASSES))
SIZE = 64  # pixels along a side
UNIT = 64  # of a pixel, and of the depth
CARS, TREES = 3, 4  # at most
STREAMS = {"train": 2, "test": 3}  # so that no scene is made with another's numbers


class Thing(NamedTuple):
  """Cars and trees, the far ones first.

  Attributes:
    label: `CAR` or `TREE`; 0 where there is none.
    base: the row that it stands on.
    across: where, in 64ths of the road's half width to the right of its middle.
    scale: of its size, in 64ths.
    colour: of a car's body or a tree's crown.
  """

  label: Int[Array, " things"]
  base: Int[Array, " things"]
  across: Int[Array, " things"]
  scale: Int[Array, " things"]
  colour: Int[Array, "things 3"]


class Road(NamedTuple):
  """The contents of a scene.

  Attributes:
    horizon: the last row of the sky.
    vanish: the column where the road ends there.
    middle: the column of its middle on the lowest row.
    bend: most pixels by which it leaves the straight line between them.
    half: its half width on the lowest row, in pixels.
    lanes: 2 or 3.
    phase: of the dashes between them.
    sky: colours at the top and at the horizon.
    asphalt: its grey level.
    grass: the verge's colour.
    light: of the whole picture, in 64ths.
    shade: levels of a smooth texture, of clouds and of shadows on the ground.
    salt: another one is another grain.
    things: cars and trees.
  """

  horizon: Int[Array, ""]
  vanish: Int[Array, ""]
  middle: Int[Array, ""]
  bend: Int[Array, ""]
  half: Int[Array, ""]
  lanes: Int[Array, ""]
  phase: Int[Array, ""]
  sky: Int[Array, "2 3"]
  asphalt: Int[Array, ""]
  grass: Int[Array, "3"]
  light: Int[Array, ""]
  shade: Int[Array, "grid grid"]
  salt: Int[Array, ""]
  things: Thing


class Drawn(NamedTuple):
  """A painted scene and the class of each pixel, a place in `CLASSES`."""

  image: UInt8[Array, "64 64 3"]
  mask: UInt8[Array, "64 64"]


def describe(key: Key[Array, ""]) -> Road:
  """Draws a scene."""
  between = lambda low, end: Range((len(low),), jnp.array(low), jnp.array(end))
  ranges = {
    "horizon": Range((), 16, 29),
    "vanish": Range((), 14, 50),
    "middle": Range((), 22, 42),
    "bend": Range((), -8, 9),
    "half": Range((), 20, 37),
    "lanes": Range((), 2, 4),
    "phase": Range((), 0, 64),
    "sky": Range((2, 3), jnp.array([[60, 110, 180]]), jnp.array([[180, 210, 256]])),
    "asphalt": Range((), 60, 130),
    "grass": between([30, 90, 20], [120, 170, 70]),
    "light": Range((), 36, 65),
    "shade": Range((textures.GRID, textures.GRID), 0, 256),
    "salt": Range((), 0, 2**31 - 1),
    "things": _thing_ranges(),
  }
  drawn = integers(key, ranges)
  return Road(things=_things(drawn.pop("things")), **drawn)


def draw(road: Road) -> Drawn:
  """Paints a scene: sky, grass and road, then one thing over the other."""
  rows, columns = jnp.meshgrid(jnp.arange(SIZE), jnp.arange(SIZE), indexing="ij")
  depth = _depth(road, rows)
  apart = jnp.abs(UNIT * columns - _middle(road, depth))
  half = road.half * depth
  is_ground, is_road = rows > road.horizon, (rows > road.horizon) & (apart <= half)
  marked = is_road & _is_marked(road, rows, columns)
  mask = jnp.where(is_ground, jnp.where(marked, MARKING, jnp.where(is_road, ROAD, GRASS)), SKY)

  smooth = textures.smooth(road.shade, SIZE)[..., None]
  share = jnp.minimum(UNIT, UNIT * rows // jnp.maximum(road.horizon, 1))[..., None]
  top, low = road.sky[:, None, None]
  sky = (top * (UNIT - share) + low * share) // UNIT + jnp.maximum(0, smooth - 150) // 2
  grey = lambda level: jnp.broadcast_to(level, (3,))
  ground = _where(mask == GRASS, road.grass, grey(road.asphalt)[None, None])
  ground = _where(marked, grey(jnp.int32(230)), ground)
  ground = ground * (160 + jnp.minimum(95, smooth)) // 255
  canvas = jnp.where(is_ground[..., None], ground, sky)

  def over(painted: tuple[Array, Array], thing: Thing) -> tuple[tuple[Array, Array], None]:
    canvas, mask = painted
    is_there, colours = _thing(road, thing, rows, columns)
    canvas = jnp.where(is_there[..., None], colours, canvas)
    return (canvas, jnp.where(is_there, thing.label, mask)), None

  (canvas, mask), _ = jax.lax.scan(over, (canvas, mask), road.things)
  most = jnp.array([4, 10, 10, 8, 26, 18])[mask]
  noise = textures.grain(road.salt, SIZE, 64) * most // 64
  lit = (canvas + noise[..., None]) * road.light // UNIT
  return Drawn(jnp.clip(lit, 0, 255).astype(jnp.uint8), mask.astype(jnp.uint8))


def make(seed: int, count: int, split: str = "train", first: int = 0) -> tuple[Road, Drawn]:
  """Scenes `first` to `first + count - 1`, on the host, stacked along a first axis.

  Args:
    seed: another one gives other scenes.
    count: how many, at least 1.
    split: "train" or "test"; the two have no scene in common.
    first: the first one's index.

  Raises:
    UserError: where none is asked for.
  """
  base = jax.random.fold_in(jax.random.key(seed), STREAMS[split])
  return in_blocks(functools.partial(_make_block, base), count, first)


@jax.jit
def _make_block(base: Key[Array, ""], numbers: Int[Array, " block"]) -> tuple[Road, Drawn]:
  def one(number: Int[Array, ""]) -> tuple[Road, Drawn]:
    road = describe(jax.random.fold_in(base, number))
    return road, draw(road)

  return jax.vmap(one)(numbers)


def _thing_ranges() -> dict[str, Range]:
  """Cars within the road and trees beside it."""
  count, is_car = CARS + TREES, jnp.arange(CARS + TREES) < CARS
  by_kind = lambda car, tree: jnp.where(is_car, car, tree)
  return {
    "is_there": Range((count,), 0, 4),  # three of four are
    "base": Range((count,), by_kind(34, 26), by_kind(SIZE - 1, SIZE + 6)),
    "across": Range((count,), by_kind(-44, 84), by_kind(45, 160)),
    "side": Range((count,), 0, 2),
    "scale": Range((count,), 48, 81),
    "body": Range((count, 3), 20, 256),
    "leaf": Range((count, 3), jnp.array([[10, 50, 5]]), jnp.array([[90, 120, 50]])),
  }


def _things(drawn: Mapping[str, Int[Array, "..."]]) -> Thing:
  """In the order of their rows."""
  is_car = jnp.arange(CARS + TREES) < CARS
  things = Thing(
    label=jnp.where(drawn["is_there"] > 0, jnp.where(is_car, CAR, TREE), 0),
    base=drawn["base"],
    across=drawn["across"] * jnp.where(is_car, 1, 2 * drawn["side"] - 1),
    scale=drawn["scale"],
    colour=jnp.where(is_car[:, None], drawn["body"], drawn["leaf"]),
  )
  order = jnp.argsort(things.base, stable=True)
  sorted_things: Thing = jax.tree.map(lambda leaf: leaf[order], things)
  return sorted_things


def _depth(road: Road, row: Int[Array, "..."]) -> Int[Array, "..."]:
  """0 at the horizon, 64 on the lowest row."""
  return jnp.maximum(0, row - road.horizon) * UNIT // (SIZE - 1 - road.horizon)


def _middle(road: Road, depth: Int[Array, "..."]) -> Int[Array, "..."]:
  """The column of the road's middle, in 64ths of a pixel."""
  straight = road.vanish * (UNIT - depth) + road.middle * depth
  return straight + 4 * road.bend * depth * (UNIT - depth) // UNIT


def _is_marked(road: Road, row: Int[Array, "..."], column: Int[Array, "..."]) -> Bool[Array, "..."]:
  """Lines along both edges, and dashes between the lanes."""
  depth = _depth(road, row)
  half, off = road.half * depth, UNIT * column - _middle(road, depth)
  thick = jnp.maximum(24, half // 20)
  near = lambda place: jnp.abs(off - place) <= thick
  edges = near(half * 7 // 8) | near(-half * 7 // 8)
  is_dash = (900 // jnp.maximum(row - road.horizon, 1) + road.phase) // 8 % 2 == 0
  two, three = near(jnp.zeros_like(half)), near(half * 7 // 24) | near(-half * 7 // 24)
  return edges | (is_dash & jnp.where(road.lanes == 2, two, three))


def _thing(
  road: Road, thing: Thing, row: Int[Array, "64 64"], column: Int[Array, "64 64"]
) -> tuple[Bool[Array, "64 64"], Int[Array, "64 64 3"]]:
  """The pixels of a car or a tree, and its colours there."""
  depth = _depth(road, thing.base)
  foot = (_middle(road, depth) + road.half * depth * thing.across // UNIT) // UNIT
  up, aside = thing.base - row, jnp.abs(column - foot)
  size = jnp.maximum(2, road.half * depth * thing.scale // (UNIT * UNIT))  # of the half width

  wide = jnp.maximum(2, size * 9 // 32)
  high = jnp.maximum(2, wide * 7 // 8)
  body = (up >= 0) & (up < high) & (aside <= wide)
  cabin = (up >= high) & (up < 2 * high - 1) & (aside * 4 + (up - high) * 2 <= wide * 4)
  wheel = (up < jnp.maximum(1, high // 4)) & (aside * 3 > wide)
  window = cabin & (up < 2 * high - 2) & (aside * 4 + (up - high) * 2 < wide * 4 - 4)
  lamp = body & (up == high - 1) & (aside >= wide - wide // 4 - 1)
  car = _where(wheel, jnp.array([15, 15, 15]), thing.colour[None, None])
  car = _where(window, jnp.array([50, 60, 70]), car)
  car = _where(lamp, jnp.array([250, 40, 30]), car)

  trunk_wide, trunk_high = size // 10, size * 3 // 4 + 2
  across, along = size * 7 // 16 + 2, size * 5 // 8 + 3
  trunk = (up >= 0) & (up < trunk_high) & (aside <= trunk_wide)
  crown_up = up - trunk_high - along * 3 // 4
  crown = (aside * along) ** 2 + (crown_up * across) ** 2 <= (across * along) ** 2
  tree = _where(crown, thing.colour, jnp.array([[[80, 55, 30]]]))

  is_car = thing.label == CAR
  is_there = (thing.label > 0) & jnp.where(is_car, body | cabin, trunk | crown)
  return is_there, jnp.where(is_car, car, tree)


def _where(
  mask: Bool[Array, "64 64"], colour: Int[Array, "3"], other: Int[Array, "rows columns 3"]
) -> Int[Array, "64 64 3"]:
  """One colour in the mask, others elsewhere."""
  return jnp.where(mask[..., None], colour[None, None], other)
