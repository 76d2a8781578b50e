"""Batches as a function of (key, step): nothing is carried, so to resume is to seek.

A sampler says which examples the batch at a given step holds. It is asked for `positions` in the
batch, so that a device can ask for its own share only, and a position at or beyond the batch size
is padding: it repeats an example with weight 0.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key, UInt32

from research.batch import Batch, count, take


class Sampler(NamedTuple):
  """A rule by which a training run draws its batches.

  `indices(key, facts, numbers)` gives the example for each running number, where the batch at step
  s holds the numbers from s * batch_size on. The facts are what it must know of the data, found
  once for many steps; by default the number of examples. Samplers that are made alike are equal, so
  that trainings which share all but their settings share a program too.
  """

  batch_size: int
  indices: Callable[[Key[Array, ""], Any, Int[Array, " batch"]], Int[Array, " batch"]]
  facts: Callable[[Batch], Any] = count


def by_epoch(batch_size: int) -> Sampler:
  """Every example once per epoch, in a new order each epoch; a batch may span two epochs."""
  return Sampler(batch_size, _by_epoch)


def with_replacement(batch_size: int) -> Sampler:
  """Every batch drawn independently, as the book does (Saito 2016, section 4.5)."""
  return Sampler(batch_size, _with_replacement)


def balanced(batch_size: int) -> Sampler:
  """Draws a class of "label", each as often as the others, then one of its examples.

  All draws are independent, so that an example of a rare class comes often.
  """
  return Sampler(batch_size, _balanced, _by_class)


@functools.cache
def with_background(batch_size: int) -> Sampler:
  """A quarter of every batch has a "label" above 0, an object, and the rest 0, the background.

  All draws are independent. These are the 32 and 96 of Girshick et al. 2014, section 2.3.
  """
  return Sampler(batch_size, functools.partial(_with_background, batch_size), _objects_first)


@functools.cache
def in_order(batch_size: int) -> Sampler:
  """The examples as they stand, over and over: for batches that continue each other."""
  return Sampler(batch_size, _in_order)


@functools.cache
def in_blocks(batch_size: int) -> Sampler:
  """Batches of neighbours, in a new order each epoch: for data sorted by length.

  Where the blocks begin is drawn anew each epoch, so that the same examples do not meet again; the
  last block goes on with the first examples.
  """
  return Sampler(batch_size, functools.partial(_in_blocks, batch_size))


@functools.cache
def without_data() -> Sampler:
  """For learners that make their own experience: every batch is empty."""
  return Sampler(1, lambda key, examples, numbers: numbers)


def batch_at(
  sampler: Sampler,
  data: Batch,
  key: Key[Array, ""],
  step: Int[Array, ""],
  positions: Int[Array, " batch"],
  *,
  padded: bool,
  facts: Any = None,
) -> Batch:
  """The examples at `positions` of the batch at `step`; `padded` adds the field "weight".

  The facts are those that the sampler has found in the data; None has it look for them here.
  """
  if not data:
    return {}
  facts = sampler.facts(data) if facts is None else facts
  numbers = step * sampler.batch_size + positions % sampler.batch_size
  batch = take(data, sampler.indices(key, facts, numbers))
  if padded:
    batch["weight"] = (positions < sampler.batch_size).astype(float)
  return batch


def _in_order(
  key: Key[Array, ""], examples: int, numbers: Int[Array, " batch"]
) -> Int[Array, " batch"]:
  del key
  # XLA reads a constant place where it lies, and copies the example of a place that it computes.
  return numbers % examples if examples > 1 else jnp.zeros_like(numbers)


def _with_replacement(
  key: Key[Array, ""], examples: int, numbers: Int[Array, " batch"]
) -> Int[Array, " batch"]:
  draw = lambda number: jax.random.randint(jax.random.fold_in(key, number), (), 0, examples)
  return jax.vmap(draw)(numbers)


class ByClass(NamedTuple):
  """The examples class by class, and the number of each one's class among those that there are."""

  order: Int[Array, " examples"]
  classes: Int[Array, " examples"]


def _by_class(data: Batch) -> ByClass:
  order = jnp.argsort(data["label"])
  label = data["label"][order]
  is_first = jnp.concatenate([jnp.zeros(1, bool), label[1:] != label[:-1]])
  return ByClass(order, jnp.cumsum(is_first))


def _balanced(
  key: Key[Array, ""], facts: ByClass, numbers: Int[Array, " batch"]
) -> Int[Array, " batch"]:
  def draw(number: Int[Array, ""]) -> Int[Array, ""]:
    class_key, example_key = jax.random.split(jax.random.fold_in(key, number))
    drawn = jax.random.randint(class_key, (), 0, facts.classes[-1] + 1)
    first = jnp.searchsorted(facts.classes, drawn, side="left")
    end = jnp.searchsorted(facts.classes, drawn, side="right")
    return facts.order[jax.random.randint(example_key, (), first, end)]

  return jax.vmap(draw)(numbers)


class ObjectsFirst(NamedTuple):
  """The examples with the objects first, and the number of these."""

  order: Int[Array, " examples"]
  objects: Int[Array, ""]


def _objects_first(data: Batch) -> ObjectsFirst:
  is_object = data["label"] > 0
  return ObjectsFirst(jnp.argsort(~is_object), is_object.sum())


def _with_background(
  batch_size: int, key: Key[Array, ""], facts: ObjectsFirst, numbers: Int[Array, " batch"]
) -> Int[Array, " batch"]:
  def draw(number: Int[Array, ""]) -> Int[Array, ""]:
    is_object = number % batch_size < batch_size // 4
    first = jnp.where(is_object, 0, facts.objects)
    end = jnp.where(is_object, facts.objects, len(facts.order))
    return facts.order[jax.random.randint(jax.random.fold_in(key, number), (), first, end)]

  return jax.vmap(draw)(numbers)


def _by_epoch(
  key: Key[Array, ""], examples: int, numbers: Int[Array, " batch"]
) -> Int[Array, " batch"]:
  epochs, places = numbers // examples, numbers % examples
  in_order = lambda epoch: shuffled(jax.random.fold_in(key, epoch), places, examples)
  # A batch touches at most two epochs unless it is larger than the data set.
  touched = 2 + (numbers.shape[0] - 1) // examples
  orders = jnp.stack([in_order(epochs.min() + ahead) for ahead in range(touched)])
  return jnp.take_along_axis(orders, (epochs - epochs.min())[None], axis=0)[0]


def _in_blocks(
  batch_size: int, key: Key[Array, ""], examples: int, numbers: Int[Array, " batch"]
) -> Int[Array, " batch"]:
  blocks = -(-examples // batch_size)
  number, place = numbers // batch_size, numbers % batch_size  # a batch is one block
  epoch_key = jax.random.fold_in(key, number[0] // blocks)
  block = shuffled(epoch_key, number % blocks, blocks)
  first = jax.random.randint(jax.random.fold_in(epoch_key, 1), (), 0, examples)
  return (first + block * batch_size + place) % examples


ROUNDS = 6
SMALL = 16  # so few are put in order by random keys: six rounds leave 5, 6 or 7 uneven


def shuffled(key: Key[Array, ""], places: Int[Array, " batch"], size: int) -> Int[Array, " batch"]:
  """Elements of a random permutation of range(size) at the given places, without building it.

  A generalised Feistel network permutes the smallest near-square rectangle that covers the range,
  and a value that lands outside of the range walks on until it is inside (Black and Rogaway 2002,
  "Ciphers with arbitrary finite domains"): O(batch) work for a batch from any epoch. Up to `SMALL`
  numbers are sorted by random keys instead, which makes every order equally likely.
  """
  if size <= SMALL:
    return jnp.argsort(jax.random.bits(key, (size,), jnp.uint32))[places].astype(jnp.int32)
  rows = math.isqrt(size - 1) + 1 if size > 1 else 1
  columns = -(-size // rows)
  round_keys = jax.random.bits(key, (ROUNDS, 2), jnp.uint32)

  def network(value: UInt32[Array, " batch"]) -> UInt32[Array, " batch"]:
    left, right = value // columns, value % columns
    for left_key, right_key in round_keys:
      left = (left + _scramble(right ^ left_key)) % rows
      right = (right + _scramble(left ^ right_key)) % columns
    return left * columns + right

  outside = lambda value: jnp.any(value >= size)
  walk = lambda value: jnp.where(value >= size, network(value), value)
  start = network(places.astype(jnp.uint32))
  return jax.lax.while_loop(outside, walk, start).astype(jnp.int32)


def _scramble(x: UInt32[Array, " batch"]) -> UInt32[Array, " batch"]:
  """The finalising mix of MurmurHash3, reduced so that the sums above cannot overflow."""
  x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
  x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
  return (x ^ (x >> 16)) >> 1


def evaluation_batch(
  data: Batch,
  number: Int[Array, ""] | int,
  positions: Int[Array, " batch"],
  size: int,
  examples: Int[Array, ""] | int,
) -> Batch:
  """The `number`-th batch of `size` in order of the first examples, padded with weight 0."""
  places = number * size + positions
  batch = take(data, jnp.minimum(places, examples - 1))
  inside = (positions < size) & (places < examples)
  return batch | {"weight": inside.astype(float)}
