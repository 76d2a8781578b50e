"""Transformations of a learner's step, written once for all systems.

`run_steps` and `run_evaluation` are pure functions; `Program` compiles them for one device
(`jit`), for a mesh of devices (`shard`: `jit` with `NamedSharding`) or with `pmap`. All give the
plain step's numbers: bit for bit where the backend runs the same kernels, else up to the order of
sums.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import (
  AxisType,
  Mesh,
  NamedSharding,
  PartitionSpec,
  Sharding,
  SingleDeviceSharding,
)
from jaxtyping import Array, Float, Int, Key

from research.batch import Batch, count
from research.data.sampling import Sampler, batch_at, evaluation_batch
from research.errors import UserError
from research.flops import flops, inner_programs
from research.layers.batch_axis import BATCH_AXIS, batch_positions
from research.learner import Config, Learner, Metrics, State
from research.metrics import joined
from research.target_platform import is_elsewhere, target_platform

# Work worth one compiled call: at the rates that such devices reach about a quarter of a second, so
# that a signal is answered soon; capped, because longer loops gain nothing.
FLOPS_PER_CALL = {"cpu": 12e9, "gpu": 5e12, "tpu": 2e13}
MOST_STEPS_PER_CALL = 512
# The batches of a call, which the host gathers where the data stay there; of data on the device
# too, so that the calls are the same.
BYTES_PER_CALL = 2**28


class Layout(NamedTuple):
  """The positions of a batch that one program computes, and their layout over devices."""

  positions: Callable[[int], Int[Array, " batch"]]
  place: Callable[[Batch], Batch]
  devices: int


ONE_DEVICE = Layout(jnp.arange, lambda batch: batch, 1)


def run_steps(
  learner: Learner,
  sampler: Sampler,
  layout: Layout,
  steps: int,
  config: Config,
  state: State,
  data: Batch,
  key: Key[Array, ""],
  first: Int[Array, ""],
) -> tuple[State, dict[str, Float[Array, " steps"]]]:
  """Makes `steps` updates from step `first` on; returns the state and the metrics of each."""
  positions = layout.positions(sampler.batch_size)
  padded = sampler.batch_size % layout.devices != 0
  facts = sampler.facts(data) if data else None

  def one(state: State, step: Int[Array, ""]) -> tuple[State, Metrics]:
    batch = batch_at(sampler, data, key, step, positions, padded=padded, facts=facts)
    return learner.step(config, state, layout.place(batch))

  if steps == 1:  # outside of any loop, where XLA's CPU convolutions are fast
    state, metrics = one(state, first)
    return state, jax.tree.map(lambda metric: metric[None], metrics)
  return jax.lax.scan(one, state, first + jnp.arange(steps))


def run_evaluation(
  learner: Learner, batch_size: int, layout: Layout, config: Config, state: State, data: Batch
) -> dict[str, Any]:
  """Evaluates a whole data set in batches; every example counts once, whatever the batch."""
  return joined(run_evaluation_block(learner, batch_size, layout, config, state, data, count(data)))


def run_evaluation_block(
  learner: Learner,
  batch_size: int,
  layout: Layout,
  config: Config,
  state: State,
  data: Batch,
  examples: Int[Array, ""] | int,
) -> dict[str, Any]:
  """Evaluates the first examples of some data in batches; what each gives, along a first axis."""
  batch_size = min(batch_size, count(data))
  positions = layout.positions(batch_size)

  def one(number: Int[Array, ""]) -> dict[str, Any]:
    batch = evaluation_batch(data, number, positions, batch_size, examples)
    return learner.evaluate(config, state, layout.place(batch))

  return jax.lax.map(one, jnp.arange(math.ceil(count(data) / batch_size)))


class Program(NamedTuple):
  """A learner compiled for some devices.

  Attributes:
    steps: (count, config, state, data, key, first) -> (state, metrics [count]); may reuse the
      memory of the state that it is given.
    evaluate: (config, state, data) -> means.
    evaluate_block: (config, state, block, examples) -> what each batch of the block gives, where
      only so many examples of the block count.
    joined: what all batches of a set give -> means.
    place: puts a tree of host arrays where the program wants it.
    whole: how the arguments lie on the devices, for shapes that are compiled ahead of time; None
      where the program itself says so.
  """

  steps: Callable[..., tuple[State, Metrics]]
  evaluate: Callable[[Config, State, Batch], dict[str, Any]]
  evaluate_block: Callable[[Config, State, Batch, Any], dict[str, Any]]
  joined: Callable[[dict[str, Any]], dict[str, Any]]
  place: Callable[[Any], Any]
  whole: Sharding | None


def compile_learner(
  learner: Learner,
  sampler: Sampler,
  evaluation_batch_size: int,
  parallel: str = "jit",
  devices: Sequence[Any] | None = None,
) -> Program:
  """Compiles the learner's step and evaluation for some devices.

  Args:
    learner: what learns.
    sampler: how batches are drawn.
    evaluation_batch_size: examples per evaluation batch.
    parallel: one of `PARALLEL`.
    devices: by default all of this machine's; of another machine's, the program can be lowered and
      compiled, but not called.
  """
  form = FORMS[parallel](list(devices or jax.devices()))
  steps = functools.partial(run_steps, learner, sampler, form.layout)
  evaluate = functools.partial(run_evaluation, learner, evaluation_batch_size, form.layout)
  block = functools.partial(run_evaluation_block, learner, evaluation_batch_size, form.layout)
  return Program(
    form.compile_steps(steps),
    form.compile_evaluation(evaluate, 3),
    form.compile_evaluation(block, 4),
    jax.jit(joined),
    form.place,
    form.whole,
  )


class Form(NamedTuple):
  """A way to compile: how batches are laid out, and what is done to the two functions."""

  layout: Layout
  compile_steps: Callable[[Any], Any]
  compile_evaluation: Callable[[Any, int], Any]  # of a function, and how many arguments it has
  place: Callable[[Any], Any]
  whole: Sharding | None


def _jit(devices: list[Any]) -> Form:
  return Form(  # for the first device, which is JAX's default
    ONE_DEVICE,
    functools.partial(jax.jit, static_argnums=0, donate_argnums=2),
    lambda evaluate, arguments: jax.jit(evaluate),
    jax.device_put,
    SingleDeviceSharding(devices[0]),
  )


def _shard(devices: list[Any]) -> Form:
  mesh = Mesh(devices, (BATCH_AXIS,), axis_types=(AxisType.Auto,))
  everywhere = NamedSharding(mesh, PartitionSpec())
  split = NamedSharding(mesh, PartitionSpec(BATCH_AXIS))
  return Form(
    Layout(
      lambda size: jnp.arange(_padded(size, len(devices))),
      lambda batch: jax.lax.with_sharding_constraint(batch, split),
      len(devices),
    ),
    functools.partial(jax.jit, static_argnums=0, donate_argnums=2, out_shardings=everywhere),
    lambda evaluate, arguments: jax.jit(evaluate, out_shardings=everywhere),
    lambda tree: jax.device_put(tree, everywhere),
    everywhere,
  )


class _OnEach(NamedTuple):
  """A mapped function, and the device numbers that it is mapped over."""

  mapped: Any
  numbers: Array

  def __call__(self, *arguments: Any) -> Any:
    return self.mapped(self.numbers, *arguments)

  def lower(self, *arguments: Any) -> Any:
    """Lowers the function for the devices that it was mapped for, as `jax.jit`'s does."""
    return self.mapped.lower(self.numbers, *arguments)


def _pmap(devices: list[Any]) -> Form:
  def on_each(function: Any, arguments: int, **options: Any) -> _OnEach:
    # pmap wants something to map over: the device numbers; all else is the same on every device.
    mapped = jax.pmap(
      lambda device, *args: function(*args),
      axis_name=BATCH_AXIS,
      devices=devices,
      in_axes=(0, *(None,) * arguments),
      out_axes=None,
      **options,
    )
    return _OnEach(mapped, jnp.arange(len(devices)))

  return Form(
    Layout(
      lambda size: batch_positions(_padded(size, len(devices)) // len(devices)),
      lambda batch: batch,
      len(devices),
    ),
    lambda steps: on_each(steps, 6, static_broadcasted_argnums=1),
    on_each,
    jax.device_put,
    None,
  )


FORMS: dict[str, Callable[[list[Any]], Form]] = {"jit": _jit, "shard": _shard, "pmap": _pmap}
PARALLEL = tuple(FORMS)


def _padded(size: int, devices: int) -> int:
  return math.ceil(size / devices) * devices


def step_work(learner: Learner, sampler: Sampler, config: Config, data: Mapping[str, Any]) -> int:
  """Counts the operations of one step; no timing, so that equal runs make equal choices.

  Raises:
    UserError: for a step that calls Python, where the platform that is compiled for cannot.
  """
  batch = {
    name: jax.ShapeDtypeStruct((sampler.batch_size, *array.shape[1:]), array.dtype)
    for name, array in data.items()
  }
  state = jax.eval_shape(learner.init, config, jax.random.key(0))
  program = jax.make_jaxpr(learner.step)(config, state, batch).jaxpr
  _refuse_python(program)
  return flops(program)


def _refuse_python(program: Any) -> None:
  if not (is_elsewhere() or target_platform() == "tpu") or not _calls_python(program):
    return
  what = "the step calls Python by pure_callback, as environments on the host do, and "
  if is_elsewhere():
    raise UserError(what + "such a step can only be compiled where the device is; plan another")
  raise UserError(what + "this was never tried on a TPU; run it on a GPU or with JAX_PLATFORMS=cpu")


def _calls_python(program: Any) -> bool:
  return any(
    "callback" in equation.primitive.name
    or any(map(_calls_python, inner_programs(equation.params)))
    for equation in program.eqns
  )


def steps_per_call(work: int, interval: int, size: int = 0) -> int:
  """Returns the steps per compiled call: a divisor of `interval`.

  Args:
    work: operations of a step.
    interval: steps between two rows of the log.
    size: bytes of a step's batch.
  """
  most = FLOPS_PER_CALL.get(target_platform(), 5e12) / max(work, 1)
  most = min(most, MOST_STEPS_PER_CALL, BYTES_PER_CALL / max(size, 1))
  most = max(1, int(most))
  return max(size for size in range(1, interval + 1) if interval % size == 0 and size <= most)
