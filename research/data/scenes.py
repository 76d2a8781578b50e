"""Scenes of several objects with exact truth: boxes, and masks of instances and classes.

A scene is a pure function of (pool, seed, index): any number of them needs no disk, and scene i is
the same however many are made. `describe` draws what there is to see, in words that captions can be
made from; `draw` paints it. Both are compiled and vmapped. All arithmetic is in whole numbers, so
that scenes are equal to the byte on every machine.

    pool = scenes.load_pool(("mnist",), "test")
    found, drawn = scenes.make(scenes.World(), pool, seed=0, count=1000)

Objects are images of MNIST, Fashion-MNIST and their like, scaled and moved over a textured ground
with clutter (pieces of other images, as in Mnih et al. 2014, "Recurrent models of visual
attention"), the later ones over the earlier. Scenes to learn from and held-out ones are made of
different images.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, UInt8

from research.data import painting, sets, textures
from research.data.seeded_numbers import Range, in_blocks, integers
from research.data.textures import Texture
from research.errors import UserError

SIDE = 28  # pixels of the sets' images
PIECE = 8  # pixels along a side of what clutter shows of an image
COVERS = 32  # an object covers the pixels where its image has at least this level
PLACES = 24  # tries to find an object a place where it covers little of the others
DARKEST_OBJECT, BRIGHTEST_GROUND = 140, 110
COLOURS = {
  "white": (255, 255, 255),
  "red": (255, 48, 48),
  "green": (40, 220, 60),
  "blue": (70, 110, 255),
  "yellow": (255, 230, 40),
  "purple": (200, 70, 255),
  "orange": (255, 150, 30),
  "cyan": (40, 225, 235),
}


class World(NamedTuple):
  """The limits of scenes; a static argument of compiled functions.

  Attributes:
    size: pixels along a side of the canvas.
    fewest: objects.
    most: objects.
    smallest: pixels along a side of an object's image.
    largest: likewise, at most the canvas.
    overlap: percent of the smaller one of two objects' frames that may lie in the other; more where
      there is no room.
    clutter: pieces of other images.
    is_colour: whether canvases have three channels and objects one of `COLOURS`.
  """

  size: int = 64
  fewest: int = 1
  most: int = 5
  smallest: int = 20
  largest: int = 36
  overlap: int = 25
  clutter: int = 6
  is_colour: bool = False


class Pool(NamedTuple):
  """Images that objects are taken from.

  Attributes:
    images: of one object each.
    label: the class of each, from 1; class 0 is the background.
    stream: scenes of pools with other streams have nothing in common.
    names: of classes, the background's first.
  """

  images: UInt8[Array | np.ndarray, "images 28 28"]
  label: Int[Array | np.ndarray, " images"]
  stream: int
  names: tuple[str, ...]


class Scene(NamedTuple):
  """A scene's contents; objects and pieces of clutter stand in the order they are painted in.

  Attributes:
    label: the class of each object, 0 where there is none (the last ones).
    source: its image in the pool.
    size: pixels along a side of its frame.
    place: row and column of its frame's upper left corner.
    colour: its number in `COLOURS`; 0, white, in worlds without colour.
    brightness: of it, from 140 to 255.
    ground: the background.
    pieces: the clutter.
  """

  label: Int[Array, " objects"]
  source: Int[Array, " objects"]
  size: Int[Array, " objects"]
  place: Int[Array, "objects 2"]
  colour: Int[Array, " objects"]
  brightness: Int[Array, " objects"]
  ground: Texture
  pieces: "Pieces"


class Pieces(NamedTuple):
  """The clutter of a scene.

  Attributes:
    source: the image in the pool that a piece is cut out of.
    cut: row and column of its first pixel there.
    size: pixels along a side on the canvas.
    place: row and column of its upper left corner there.
    tint: its colour, 0 to 255.
  """

  source: Int[Array, " pieces"]
  cut: Int[Array, "pieces 2"]
  size: Int[Array, " pieces"]
  place: Int[Array, "pieces 2"]
  tint: Int[Array, "pieces channel"]


class Drawn(NamedTuple):
  """A painted scene and its truth. Boxes are (top, left, bottom, right), ends excluded.

  Attributes:
    image: the canvas.
    mask: the class of each pixel, 0 for the background.
    instance: the number of the object at each pixel, from 1; 0 for none.
    label: the class of each object, 0 where there is none.
    box: tight around the pixels where an object is visible; zeros where there are none.
    whole_box: tight around all of its pixels, also those under later objects.
    visible: the share of its pixels that is visible.
  """

  image: UInt8[Array, "size size channel"]
  mask: UInt8[Array, "size size"]
  instance: UInt8[Array, "size size"]
  label: Int[Array, " objects"]
  box: Int[Array, "objects 4"]
  whole_box: Int[Array, "objects 4"]
  visible: Float[Array, " objects"]


def load_pool(names: Sequence[str] = ("mnist",), split: str = "train") -> Pool:
  """The images of grey sets of 28x28 pixels, one set's classes behind the other's.

  Args:
    names: of the sets, such as "mnist" and "fashion_mnist".
    split: "train" or "test". The two share no image, and no scene of the same seed.

  Raises:
    UserError: for a set of other images.
  """
  images, labels, classes = [], [], ["background"]
  for name in names:
    spec = sets.spec(name)
    if spec.image_shape != (SIDE, SIDE, 1):
      raise UserError(f"scenes are made of 28x28 grey images; {name} has {spec.image_shape}")
    data = getattr(sets.load(name), split)
    images.append(data["image"][..., 0])
    labels.append(data["label"] + len(classes))
    classes += spec.class_names or [str(digit) for digit in range(spec.classes)]
  stream = ("train", "test").index(split)
  return Pool(np.concatenate(images), np.concatenate(labels), stream, tuple(classes))


def scene_key(pool: Pool, seed: int, index: Int[Array, ""] | int) -> Key[Array, ""]:
  """The key of a scene."""
  return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), pool.stream), index)


def describe(key: Key[Array, ""], pool: Pool, world: World) -> Scene:
  """Draws a scene: every image of the pool is as likely as any other, and so is every place."""
  most, images, channels = world.most, len(pool.label), 3 if world.is_colour else 1
  ranges = {
    "count": Range((), world.fewest, most + 1),
    "source": Range((most,), 0, images),
    "size": Range((most,), world.smallest, world.largest + 1),
    "colour": Range((most,), 0, len(COLOURS) if world.is_colour else 1),
    "brightness": Range((most,), DARKEST_OBJECT, 256),
    "tries": Range((most, PLACES, 2), 0, 2**31 - 1),
    "ground": textures.ranges(channels, BRIGHTEST_GROUND),
    "pieces": _piece_ranges(images, world, channels),
  }
  drawn = integers(key, ranges)
  is_there = jnp.arange(most) < drawn.pop("count")
  label = jnp.where(is_there, jnp.asarray(pool.label)[drawn["source"]], 0)
  return Scene(
    label=label,
    place=_places(drawn.pop("tries"), drawn["size"], world),
    ground=Texture(**drawn.pop("ground")),
    pieces=Pieces(**drawn.pop("pieces")),
    **drawn,
  )


def draw(scene: Scene, images: UInt8[Array | np.ndarray, "images 28 28"], world: World) -> Drawn:
  """Paints a scene, one object over the other."""
  cut = jax.vmap(lambda image, first: jax.lax.dynamic_slice(image, first, (PIECE, PIECE)))
  paste, images = (
    jax.vmap(functools.partial(painting.paste, canvas=world.size)),
    jnp.asarray(images),
  )
  pieces = scene.pieces
  clutter = paste(cut(images[pieces.source], pieces.cut), pieces.size, pieces.place)
  layers = paste(images[scene.source], scene.size, scene.place)
  layers *= (scene.label > 0)[:, None, None]

  canvas = textures.draw(scene.ground, world.size)
  canvas = painting.painted(painting.painted(canvas, clutter, pieces.tint), layers, tints(scene))
  whole, numbers = layers >= COVERS, jnp.arange(1, world.most + 1)[:, None, None]
  instance = jnp.where(whole, numbers, 0).max(axis=0)  # the last one that is there
  seen = instance[None] == numbers
  area = lambda masks: masks.sum(axis=(1, 2))
  return Drawn(
    image=canvas.astype(jnp.uint8),
    mask=jnp.pad(scene.label, (1, 0))[instance].astype(jnp.uint8),
    instance=instance.astype(jnp.uint8),
    label=scene.label,
    box=jax.vmap(painting.tight_box)(seen),
    whole_box=jax.vmap(painting.tight_box)(whole),
    visible=area(seen) / jnp.maximum(area(whole), 1),
  )


def make(world: World, pool: Pool, seed: int, count: int, first: int = 0) -> tuple[Scene, Drawn]:
  """Scenes `first` to `first + count - 1`, on the host, stacked along a first axis.

  Raises:
    UserError: for a world that cannot be.
  """
  check(world)
  return in_blocks(functools.partial(_make_block, world, placed(pool), seed), count, first)


def placed(pool: Pool) -> Pool:
  """The pool for compiled programs: its arrays on the device, and no names."""
  return pool._replace(images=jnp.asarray(pool.images), label=jnp.asarray(pool.label), names=())


def check(world: World) -> None:
  """Raises UserError for a world that cannot be."""
  if not 1 <= world.fewest <= world.most:
    raise UserError(f"scenes of {world.fewest} to {world.most} objects: give 1 or more, in order")
  if not PIECE <= world.smallest <= world.largest <= world.size:
    raise UserError(
      f"objects of {world.smallest} to {world.largest} pixels on {world.size}: give sizes of at "
      f"least {PIECE}, in order, up to the canvas"
    )


def tints(scene: Scene) -> Int[Array, "objects channel"]:
  """The colour of each object where its image is brightest, 0 to 255."""
  channels = scene.ground.colours.shape[-1]
  colours = jnp.array(list(COLOURS.values()))[scene.colour, :channels]
  return colours * scene.brightness[:, None] // 255


@functools.partial(jax.jit, static_argnames="world")
def _make_block(
  world: World, pool: Pool, seed: int, numbers: Int[Array, " block"]
) -> tuple[Scene, Drawn]:
  def one(number: Int[Array, ""]) -> tuple[Scene, Drawn]:
    scene = describe(scene_key(pool, seed, number), pool, world)
    return scene, draw(scene, pool.images, world)

  return jax.vmap(one)(numbers)


def _piece_ranges(images: int, world: World, channels: int) -> dict[str, Range]:
  count, margin, largest = world.clutter, 4, 3 * PIECE // 2  # margins of images are mostly empty
  return {
    "source": Range((count,), 0, images),
    "cut": Range((count, 2), margin, SIDE - PIECE - margin + 1),
    "size": Range((count,), PIECE // 2, largest + 1),
    "place": Range((count, 2), 0, world.size - largest + 1),
    "tint": Range((count, channels), DARKEST_OBJECT // 2, 256),
  }


def _places(
  tries: Int[Array, "objects tries 2"], sizes: Int[Array, " objects"], world: World
) -> Int[Array, "objects 2"]:
  """A place for each object: the first of some that covers little, or else the one of the least.

  The tries are any numbers from 0 up.
  """
  tries %= (world.size - sizes + 1)[:, None, None]
  chosen = [tries[0, 0]]
  for number in range(1, world.most):
    shares = [
      _overlap(tries[number], sizes[number], place, sizes[other])
      for other, place in enumerate(chosen)
    ]
    worst = jnp.maximum(functools.reduce(jnp.maximum, shares), world.overlap)
    chosen.append(tries[number, jnp.argmin(worst)])
  return jnp.stack(chosen)


def _overlap(
  places: Int[Array, "tries 2"],
  size: Int[Array, ""],
  other: Int[Array, "2"],
  other_size: Int[Array, ""],
) -> Int[Array, " tries"]:
  """Percent of the smaller of two frames that lies in the other."""
  ends = jnp.minimum(places + size, (other + other_size)[None])
  common = jnp.maximum(0, ends - jnp.maximum(places, other[None])).prod(axis=1)
  return 100 * common // jnp.minimum(size, other_size) ** 2
