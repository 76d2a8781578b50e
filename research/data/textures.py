"""Backgrounds of generated pictures, in whole numbers: the same on every machine."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Int

from research.data.seeded_numbers import Range

Levels = Int[Array, "height width"]

GRID = 9  # numbers along a side that smooth texture is interpolated from
SMOOTH, STRIPES, CHECKS = range(3)
GRAIN = 12  # most that a pixel is lighter or darker than its neighbours


class Texture(NamedTuple):
  """The look of a background.

  Attributes:
    kind: `SMOOTH`, `STRIPES` or `CHECKS`.
    period: pixels from a stripe to the next one but one.
    slope: rows and columns that count towards a stripe, which so has a direction.
    grid: levels of the smooth texture, 0 to 255.
    colours: the two between which the levels lead, 0 to 255.
    salt: another one is another grain.
  """

  kind: Int[Array, ""]
  period: Int[Array, ""]
  slope: Int[Array, "2"]
  grid: Int[Array, "grid grid"]
  colours: Int[Array, "2 channel"]
  salt: Int[Array, ""]


def ranges(channels: int, brightest: int) -> dict[str, Range]:
  """The ranges of a `Texture`'s numbers, its colours being up to `brightest`."""
  return {
    "kind": Range((), 0, 3),
    "period": Range((), 4, 17),
    "slope": Range((2,), -2, 3),
    "grid": Range((GRID, GRID), 0, 256),
    "colours": Range((2, channels), 0, brightest + 1),
    "salt": Range((), 0, 2**31 - 1),
  }


def draw(texture: Texture, size: int) -> Int[Array, "size size channel"]:
  """The background, a square of `size` pixels with levels from 0 to 255."""
  rows, columns = jnp.meshgrid(jnp.arange(size), jnp.arange(size), indexing="ij")
  along = texture.slope[0] * rows + texture.slope[1] * columns
  half = lambda distance: 2 * distance // texture.period % 2
  stripes = 255 * half(along)
  checks = 255 * (half(rows) ^ half(columns))
  level = jnp.stack([smooth(texture.grid, size), stripes, checks])[texture.kind]
  low, high = texture.colours[:, None, None]
  mixed = low * (255 - level[..., None]) + high * level[..., None]
  return jnp.clip(mixed // 255 + grain(texture.salt, size, GRAIN)[..., None], 0, 255)


def grain(salt: Int[Array, ""], size: int, most: int) -> Levels:
  """A number from -most to most for every pixel: a hash of its place (MurmurHash3's last mix)."""
  places = jnp.arange(size * size, dtype=jnp.uint32).reshape(size, size)
  x = places * jnp.uint32(0x9E3779B9) ^ salt.astype(jnp.uint32)
  x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
  x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
  return ((x >> 16) % jnp.uint32(2 * most + 1)).astype(int) - most


def smooth(grid: Int[Array, "grid grid"], size: int) -> Levels:
  """The grid's levels at its corners, which are spread over the whole side, and between them."""
  steps, side = GRID - 1, size - 1
  at = jnp.arange(size)[:, None] * steps
  weights = jnp.maximum(0, side - jnp.abs(at - side * jnp.arange(GRID)[None]))
  return weights @ grid @ weights.T // (side * side)
