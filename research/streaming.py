"""Data on the device, or on the host, from where the batches of some steps go to the device.

A program sees no difference: of data on the host it gets the rows of one compiled call, in the
order in which the sampler draws them, and takes batch after batch from these. Which rows they are
is computed by the sampler's own functions, so that both forms learn from the same numbers and end
with the same bytes.

Calls of compiled programs return at once, and the host gathers the next call's rows while the
device works on this one's. So no thread is needed.
"""

import functools
import math
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

from research import free_memory
from research.batch import Batch, count, row_bytes
from research.compile import BYTES_PER_CALL
from research.data import sampling
from research.data.npy_sets import MappedRows
from research.data.sampling import Sampler
from research.errors import UserError
from research.training import HostData, Training

AUTO, DEVICE, HOST = PLACES = ("auto", "device", "host")
SHARE = 0.5  # of the free memory, which data may take on the device
CHUNKS = 3  # of rows: two calls are in flight while the rows of a third one are gathered
Step = Callable[[Batch, Any, Any], Any]


def is_on_host(training: Training, asked: str) -> bool:
  """Tells where the data of a training, with its evaluation sets, are to be.

  Args:
    training: whose data they are.
    asked: one of `PLACES`. "auto" leaves data on the host that would take more than `SHARE` of
      the memory that is free on the device, or on this machine where devices share it.

  Raises:
    UserError: for "host", where there are no data.
  """
  if asked == HOST and not training.data:
    raise UserError(
      "--data_on=host is of data sets, and this experiment learns from its own actions; leave it "
      "out"
    )
  if asked != AUTO or not training.data:
    return asked == HOST
  room = free_memory.available_bytes()
  return room is not None and _bytes_of(training) > SHARE * room


def bytes_on_device(training: Training, asked: str) -> int:
  """Bytes that the data take on the device; for the arguments see `is_on_host`."""
  whole = _bytes_of(training)
  return min(whole, CHUNKS * BYTES_PER_CALL) if is_on_host(training, asked) else whole


def _bytes_of(training: Training) -> int:
  sets = [training.data, *training.evaluate.values()]
  return sum(array.nbytes for data in sets for array in data.values())


class Evaluator(Protocol):
  """The part of a `Program`, or of a `Population`, that evaluates."""

  @property
  def evaluate(self) -> Callable[..., dict[str, Any]]:
    """Means over a whole set, from (*settings, data)."""

  @property
  def evaluate_block(self) -> Callable[..., dict[str, Any]]:
    """The parts of each batch of a block, from (*settings, block, examples)."""

  @property
  def joined(self) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Means over a whole set, from the parts of all its batches."""


class Feed(Protocol):
  """The data of a training, as its compiled steps ask for them."""

  def steps(self, call: Step, key: Any, first: Any, number: int, then: int) -> Any:
    """Calls compiled steps with their data.

    Args:
      call: of (data, key, first).
      key: of the order of the batches; or one for each lane.
      first: step, likewise.
      number: of steps that the call takes.
      then: how many the next call takes, if there is one; 0 for none.
    """

  def evaluate(self, program: Evaluator, *settings: Any) -> dict[str, dict[str, Any]]:
    """Evaluates every set, by its name."""


class OnDevice(NamedTuple):
  """Data that lie on the device as a whole; see `Feed`."""

  data: Batch
  held_out: dict[str, Batch]

  def steps(self, call: Step, key: Any, first: Any, number: int, then: int) -> Any:
    """Calls compiled steps with all data."""
    return call(self.data, key, first)

  def evaluate(self, program: Evaluator, *settings: Any) -> dict[str, dict[str, Any]]:
    """Evaluates every set in one call."""
    return {split: program.evaluate(*settings, data) for split, data in self.held_out.items()}


class OnHost:
  """Data that lie on the host, in its memory or mapped into it; see `Feed`."""

  def __init__(
    self,
    training: Training,
    place: Callable[[Any], Any],
    share: Callable[[Any], Any],
    *,
    has_lanes: bool,
  ):
    """Reads nothing yet.

    Args:
      training: whose data they are.
      place: puts the rows of a call on the device, or those of each lane on its own.
      share: puts what all lanes read on the device.
      has_lanes: whether every lane has a key, and rows of its own.
    """
    self._training, self._place, self._share = training, place, share
    self._axis = int(has_lanes)  # along which the batches of an evaluation lie
    self._facts = share({name: _stand_in(array) for name, array in training.data.items()})
    self._ahead: tuple[Any, np.ndarray, int, Batch] | None = None

  def steps(self, call: Step, key: Any, first: Any, number: int, then: int) -> Any:
    """Calls compiled steps with their rows alone, and gathers those of the next call meanwhile."""
    ahead, self._ahead = self._ahead, None
    is_there = ahead and ahead[0] is key and np.array_equal(ahead[1], first) and ahead[2] == number
    rows = ahead[3] if ahead and is_there else self._gathered(self._order(key, first, number))
    # Asked for before the call, or it would wait until the call has ended.
    drawn = self._order(key, first + number, then) if then else None
    result = call(rows, key, np.zeros_like(first))
    if drawn is not None:
      self._ahead = key, first + number, then, self._gathered(drawn)
    return result

  def evaluate(self, program: Evaluator, *settings: Any) -> dict[str, dict[str, Any]]:
    """Evaluates every set, a block of batches after the other."""
    return {
      split: self._evaluated(program, settings, data)
      for split, data in self._training.evaluate.items()
    }

  def _order(self, key: Any, first: Any, number: int) -> Int[Array, "*lanes rows"]:
    return order(self._training.sampler, number, self._facts, key, first)

  def _gathered(self, drawn: Int[Array, "*lanes rows"]) -> Batch:
    rows, data = np.asarray(drawn), self._training.data
    return self._place({n: np.asarray(array.take(rows, axis=0)) for n, array in data.items()})

  def _evaluated(
    self, program: Evaluator, settings: tuple[Any, ...], data: HostData
  ) -> dict[str, Any]:
    examples = count(data)
    size = min(self._training.evaluation_batch_size, examples)
    batches = math.ceil(examples / size)
    # More than one at once, if there are more, since XLA makes another program of a single one.
    at_once = max(2, BYTES_PER_CALL // max(1, size * row_bytes(data)))
    length = min(batches, at_once) * size
    parts: list[Any] = []
    for first in range(0, batches * size, length):
      block = self._share({n: _block(array, first, length) for n, array in data.items()})
      left = np.int32(min(examples - first, length))
      parts.append(program.evaluate_block(*settings, block, left))
      if len(parts) > 1:
        jax.block_until_ready(parts[-2])  # so that the host is one block ahead, and no more
    join = lambda *leaves: np.concatenate(leaves, self._axis).take(range(batches), self._axis)
    return program.joined(jax.tree.map(join, *parts))


@functools.partial(jax.jit, static_argnums=(0, 1))
def order(
  sampler: Sampler, number: int, data: Batch, key: Key[Array, "*lanes"], first: Int[Array, "*lanes"]
) -> Int[Array, "*lanes rows"]:
  """The examples that some steps learn from, one batch after the other.

  Args:
    sampler: draws them.
    number: of steps.
    data: what the sampler may look at.
    key: of the order of the batches; or one for each lane.
    first: step, likewise.
  """
  facts, size = sampler.facts(data), sampler.batch_size

  def of_one(key: Key[Array, ""], first: Int[Array, ""]) -> Int[Array, " rows"]:
    batch = lambda step: sampler.indices(key, facts, step * size + jnp.arange(size))
    return jax.vmap(batch)(first + jnp.arange(number)).reshape(-1)

  return jax.vmap(of_one)(key, first) if key.ndim else of_one(key, first)


def feed(
  training: Training,
  place: Callable[[Any], Any],
  share: Callable[[Any], Any],
  *,
  on_host: bool,
  has_lanes: bool = False,
) -> Feed:
  """The data of a training where they are to be; for the arguments see `OnHost`."""
  if on_host:
    size = free_memory.in_words(_bytes_of(training))
    print(f"the data ({size}) stay on the host, from where batches are streamed", file=sys.stderr)
    return OnHost(training, place, share, has_lanes=has_lanes)
  read = lambda array: np.asarray(array) if isinstance(array, MappedRows) else array
  whole = lambda data: share({name: read(array) for name, array in data.items()})
  held_out = {split: whole(data) for split, data in training.evaluate.items()}
  return OnDevice(whole(training.data), held_out)


def fed(training: Training, on_host: bool) -> Sampler:
  """The sampler of the compiled steps, to which the host gives rows that are drawn already."""
  return sampling.in_order(training.sampler.batch_size) if on_host else training.sampler


def _stand_in(array: np.ndarray) -> np.ndarray:
  """An array in place of one of the data, for samplers: they count examples and look at labels."""
  return array if array.ndim == 1 else np.empty((len(array), 0), array.dtype)


def _block(array: np.ndarray, first: int, length: int) -> np.ndarray:
  """Some rows; zeros stand for those behind the last one."""
  rows = array[first : first + length]
  if len(rows) == length:
    return np.asarray(rows)
  block = np.zeros((length, *array.shape[1:]), array.dtype)
  block[: len(rows)] = rows
  return block
