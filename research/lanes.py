"""Many trials in one program: a lane axis over (config, state).

A population is a stacked config and a stacked state. Its lanes are taken in blocks, a block is one
`vmap`, the blocks follow one another in a `lax.map`, and devices share the blocks out among
themselves. Blocks of one lane are a plain loop, bit for bit the same for any number of lanes; one
block of all lanes is a plain `vmap`. Lanes are independent: each computes from its own
config, state, key and step.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Key

from research import free_memory
from research.batch import Batch
from research.compile import ONE_DEVICE, run_evaluation, run_evaluation_block, run_steps
from research.data.sampling import Sampler
from research.learner import Config, Learner, Metrics, State
from research.metrics import joined
from research.target_platform import target_platform

LANE_AXIS = "lane"
LANES = PartitionSpec(LANE_AXIS)


class Population(NamedTuple):
  """A learner compiled for many lanes.

  Attributes:
    width: lanes of the program; a multiple of the block times the devices.
    init: (active [width], configs, keys [width]) -> states.
    steps: (count, active [width], configs, states, data, keys [width], first [width]) -> (states,
      metrics [width, count]); lanes that are not active keep their state. May reuse the memory of
      the states that it is given.
    evaluate: (active [width], configs, states, data) -> means, each [width].
    evaluate_block: (active [width], configs, states, block, examples) -> what each batch of the
      block gives, [width, batches], where only so many examples of the block count.
    joined: what all batches of a set give -> means, each [width].
    place: puts a tree of stacked host arrays where the program wants it.
    share: puts a tree that all lanes use, such as the data, on every device.
  """

  width: int
  init: Callable[[Bool[Array, " width"], Config, Key[Array, " width"]], State]
  steps: Callable[..., tuple[State, Metrics]]
  evaluate: Callable[[Bool[Array, " width"], Config, State, Batch], dict[str, Any]]
  evaluate_block: Callable[[Bool[Array, " width"], Config, State, Batch, Any], dict[str, Any]]
  joined: Callable[[dict[str, Any]], dict[str, Any]]
  place: Callable[[Any], Any]
  share: Callable[[Any], Any]


def compile_population(
  learner: Learner,
  sampler: Sampler,
  evaluation_batch_size: int,
  lanes: int,
  block: int,
  *,
  has_own_rows: bool = False,
) -> Population:
  """Compiles a learner for at least `lanes` lanes in blocks of `block`, over all devices.

  With `has_own_rows`, the data of the steps are [width, ...]: each lane's own.
  """
  devices = jax.devices()
  blocks = math.ceil(lanes / block)
  used = devices[: min(len(devices), blocks)]
  mesh = Mesh(used, (LANE_AXIS,), axis_types=(AxisType.Auto,))
  width = math.ceil(blocks / len(used)) * len(used) * block
  one_step = functools.partial(run_steps, learner, sampler, ONE_DEVICE)
  one_block = functools.partial(run_evaluation_block, learner, evaluation_batch_size, ONE_DEVICE)
  one_evaluation = functools.partial(run_evaluation, learner, evaluation_batch_size, ONE_DEVICE)

  def init(active: Any, configs: Config, keys: Any) -> State:
    return in_blocks(lambda lane: learner.init(*lane), zeros_as, 1, active, (configs, keys))

  def steps(
    count: int, active: Any, configs: Config, states: State, data: Batch, keys: Any, first: Any
  ) -> tuple[State, Metrics]:
    def one(lane: Any) -> tuple[State, Metrics]:
      config, state, key, step, rows = lane
      return one_step(count, config, state, rows if has_own_rows else data, key, step)

    idle = lambda one, lane: (lane[1], zeros_as(one, lane)[1])
    rows = data if has_own_rows else ()
    return in_blocks(one, idle, block, active, (configs, states, keys, first, rows))

  def evaluate(active: Any, configs: Config, states: State, data: Batch) -> dict[str, Any]:
    one = lambda lane: one_evaluation(lane[0], lane[1], data)
    return in_blocks(one, zeros_as, block, active, (configs, states))

  def evaluate_block(
    active: Any, configs: Config, states: State, data: Batch, examples: Any
  ) -> dict[str, Any]:
    one = lambda lane: one_block(lane[0], lane[1], data, examples)
    return in_blocks(one, zeros_as, block, active, (configs, states))

  def over_devices(function: Callable[..., Any], *shared: int) -> Any:
    """Has each device compute its share of the lanes; the arguments `shared` are of all."""
    if mesh.size == 1:
      return function

    def spread(*arguments: Any) -> Any:
      specs = [PartitionSpec() if at in shared else LANES for at in range(len(arguments))]
      return jax.shard_map(
        function, mesh=mesh, in_specs=tuple(specs), out_specs=LANES, check_vma=False
      )(*arguments)

    return spread

  return Population(
    width,
    jax.jit(over_devices(init)),
    jax.jit(
      lambda count, *lanes: over_devices(
        functools.partial(steps, count), *([] if has_own_rows else [3])
      )(*lanes),
      static_argnums=0,
      donate_argnums=3,
    ),
    jax.jit(over_devices(evaluate, 3)),
    jax.jit(over_devices(evaluate_block, 3, 4)),
    jax.jit(functools.partial(jax.lax.map, joined)),
    lambda tree: jax.device_put(tree, NamedSharding(mesh, LANES)),
    lambda tree: jax.device_put(tree, NamedSharding(mesh, PartitionSpec())),
  )


def reserve(learner: Learner, config: Config, lanes: int) -> None:
  """Raises UserError where more lanes are asked for than memory holds, before any is made.

  Args:
    learner: of all lanes.
    config: of one of them.
    lanes: that are to be in memory at once.

  Raises:
    UserError: where their states do not fit.
  """
  state = jax.eval_shape(learner.init, config, jax.random.key(0))
  # Devices share the lanes out, and on a CPU they share the memory.
  together = lanes if target_platform() == "cpu" else math.ceil(lanes / jax.device_count())
  free_memory.reserve(
    f"what {lanes} lanes hold",
    together * free_memory.bytes_of(state),
    "let fewer train at once (in a sweep --lanes), or each hold less",
  )


def block_of(asked: str, work: int, lanes: int) -> int:
  """Returns the number of lanes in a block.

  Args:
    asked: "vmap" for one block of all lanes, "map" for blocks of one, a number, or "auto".
    work: operations of one lane's step.
    lanes: of the population.
  """
  if asked == "auto":
    asked = "map" if target_platform() == "cpu" else "vmap"
  return {"map": 1, "vmap": lanes}.get(asked) or min(int(asked), lanes)


def in_blocks(
  one: Callable[[Any], Any],
  idle: Callable[[Callable[[Any], Any], Any], Any],
  block: int,
  active: Bool[Array, " lanes"],
  lanes: Any,
) -> Any:
  """Applies `one` to every lane, and `idle(one, lane)` where a lane is not active.

  A block in which no lane is active costs nothing.
  """
  instead = functools.partial(idle, one)
  if block == 1:
    choose = lambda pair: jax.lax.cond(pair[0], one, instead, pair[1])
    return jax.lax.map(choose, (active, lanes))

  def choose_in_block(pair: tuple[Bool[Array, " block"], Any]) -> Any:
    def work(lanes: Any) -> Any:
      either = lambda on, lane: jax.tree.map(
        functools.partial(jnp.where, on), one(lane), instead(lane)
      )
      return jax.vmap(either)(pair[0], lanes)

    return jax.lax.cond(pair[0].any(), work, jax.vmap(instead), pair[1])

  if active.shape[0] == block:
    return choose_in_block((active, lanes))
  split = lambda leaf: leaf.reshape(-1, block, *leaf.shape[1:])
  join = lambda leaf: leaf.reshape(-1, *leaf.shape[2:])
  return jax.tree.map(join, jax.lax.map(choose_in_block, jax.tree.map(split, (active, lanes))))


def zeros_as(function: Callable[[Any], Any], argument: Any) -> Any:
  """Returns zeros of the form that the function returns."""
  return jax.tree.map(_zeros, jax.eval_shape(function, argument))


def _zeros(like: jax.ShapeDtypeStruct) -> Array:
  if jnp.issubdtype(like.dtype, jax.dtypes.prng_key):
    return jnp.broadcast_to(jax.random.key(0), like.shape)
  return jnp.zeros(like.shape, like.dtype)


@jax.jit  # as a whole, since array by array it takes seconds
def stack(trees: Sequence[Any]) -> Any:
  """Stacks trees along a new first axis."""
  return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def pad(tree: Any, width: int) -> Any:
  """Fetches stacked arrays to the host and repeats the last lane up to `width`."""
  repeated = lambda leaf: leaf[np.minimum(np.arange(width), leaf.shape[0] - 1)]
  return jax.tree.map(repeated, jax.device_get(tree))


@functools.partial(jax.jit, static_argnames="count")
def first(tree: Any, count: int) -> Any:
  """Returns the first lanes of stacked arrays."""
  return jax.tree.map(lambda leaf: leaf[:count], tree)


def lane(tree: Any, number: int) -> Any:
  """Returns one lane of stacked arrays."""
  return jax.tree.map(lambda leaf: leaf[number], tree)
