"""Plans: what a training needs of each device of a machine, from its compiled programs."""

import functools
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import numpy as np

from research.batch import count
from research.compile import (
  ONE_DEVICE,
  PARALLEL,
  compile_learner,
  run_evaluation,
  step_work,
  steps_per_call,
)
from research.errors import UserError, unknown_name
from research.flops import flops
from research.free_memory import bytes_of
from research.learner import Config
from research.planning.collectives import Collective, collectives
from research.planning.machines import Chip, Machine, machine
from research.target_platform import compiling_for
from research.training import Training, on_device

STEP = "step"
# Without a GPU no kernel can be timed, and some of those that are timed are Triton's.
_OPTIONS: dict[str, Any] = {"gpu": {"xla_gpu_enable_triton_gemm": False}, "tpu": {}}
_NO_ROOM = "RESOURCE_EXHAUSTED"
LEAST_FOUND = 0.7  # products with padding, which XLA leaves out, are less than the rest
# XLA for TPUs counts a data set whole up to so many times where a batch is gathered from it:
# 15 times in the step of `simple_convnet`.
GATHERED = 16


class ProgramPlan(NamedTuple):
  """The needs of one compiled program on each device; sizes are in bytes.

  Attributes:
    arguments: what it is given: settings, state and data.
    outputs: what it returns.
    reused: of the outputs, those that take the place of arguments.
    temporaries: what it needs while it runs.
    resident: data of the other programs, which stay on the device meanwhile.
    operations: multiplications and additions of products and convolutions, a device's share; a
      loop whose length is not known counts once.
    collectives: by kind.
    estimate: seconds by the roofline, without the collectives; None where XLA's counts mean
      nothing: on a GPU, where the work lies within loops, and where they count large data
      whole although a batch is gathered from it.
    compile_seconds: how long it took to compile.
  """

  arguments: int
  outputs: int
  reused: int
  temporaries: int
  resident: int
  operations: int
  collectives: Mapping[str, Collective]
  estimate: float | None
  compile_seconds: float

  @property
  def total(self) -> int:
    """Bytes that are in use at once."""
    return self.arguments + self.outputs - self.reused + self.temporaries + self.resident


class Plan(NamedTuple):
  """A training on a machine that is not here, for each of its devices.

  Attributes:
    machine: its name.
    parallel: how devices share a step, one of `research.compile.PARALLEL`.
    devices: how many are used.
    batch_size: examples of a step, over all devices.
    chip: what each device is.
    steps_per_call: steps that a run puts into one call; what is planned is one step alone.
    programs: "step", and "evaluate NAME" for the largest evaluation set, where there is one.
    problem: what the compiler says where memory does not suffice; "" where all was compiled.
  """

  machine: str
  parallel: str
  devices: int
  batch_size: int
  chip: Chip
  steps_per_call: int
  programs: Mapping[str, ProgramPlan]
  problem: str = ""

  @property
  def needed(self) -> int:
    """Bytes of a device that are in use at once, at the most; 0 where nothing was compiled."""
    return max((each.total for each in self.programs.values()), default=0)

  @property
  def fits(self) -> bool:
    """Tells whether the device's memory suffices."""
    return not self.problem and self.needed <= self.chip.memory

  @property
  def share_of_peak(self) -> float | None:
    """The share of the peak at which the step computes by its estimate; None without one."""
    step = self.programs.get(STEP)
    if step is None or not step.estimate:
      return None
    return step.operations / (step.estimate * self.chip.flops)


def plan(config: Config, training: Training, on: str, parallel: str | None = None) -> Plan:
  """Compiles a training's step and evaluation for a machine that need not be here.

  Nothing is run and no array is made: all are shapes. The step is a single one, whatever number a
  run puts into one call.

  Args:
    config: the settings.
    training: what they make. Where it checks the memory that it needs, build it within
      `research.target_platform.compiling_for`, or this machine's is checked.
    on: the machine, such as "tpu:v5e:2x2" or "gpu:h100:8"; see `research.planning.machines`.
    parallel: one of `PARALLEL`; by default "shard", and "jit" where there is one device.

  Returns:
    The plan; where the compiler finds too little memory, `problem` is what it says.

  Raises:
    UserError: for an unknown machine or form, a missing package, or a step that calls Python.
  """
  target = machine(on)
  parallel = parallel or ("shard" if len(target.devices) > 1 else "jit")
  if parallel not in PARALLEL:
    raise UserError(unknown_name(parallel, PARALLEL, "form"))
  with compiling_for(target.platform):
    return _plan(on_device(config), training, target, parallel)


def _plan(config: Config, training: Training, target: Machine, parallel: str) -> Plan:
  learner, batch_size = training.learner, training.evaluation_batch_size
  used = target.devices[:1] if parallel == "jit" else target.devices
  work = step_work(learner, training.sampler, config, training.data)
  program = compile_learner(learner, training.sampler, batch_size, parallel, used)
  shapes = functools.partial(_shapes, sharding=program.whole)
  key = jax.eval_shape(lambda: jax.random.key(0))
  state = jax.eval_shape(learner.init, config, key)
  sets = {"train": dict(training.data), **{k: dict(v) for k, v in training.evaluate.items()}}
  sizes = {name: bytes_of(shapes(data)) for name, data in sets.items()}
  step = (1, config, state, sets["train"], key, np.int32(0))
  asked: dict[str, tuple[Any, tuple[Any, ...], int, str]] = {
    STEP: (program.steps, step, work, "train")
  }
  if training.evaluate:
    largest = max(training.evaluate, key=lambda name: count(training.evaluate[name]))
    arguments = (config, state, shapes(sets[largest]))
    whole = functools.partial(run_evaluation, learner, batch_size, ONE_DEVICE)
    operations = flops(jax.make_jaxpr(whole)(*arguments).jaxpr)
    asked[f"evaluate {largest}"] = (program.evaluate, arguments, operations, largest)
  found: dict[str, ProgramPlan] = {}
  problem = ""
  for name, (function, given, operations, own) in asked.items():
    resident = sum(size for other, size in sizes.items() if other != own)
    lowered = function.lower(*(each if isinstance(each, int) else shapes(each) for each in given))
    try:
      gathered = sizes[own] or bytes_of(state)  # an agent's memory is in its state
      share = operations // len(used)
      found[name] = _program(lowered, target, resident, share, gathered)
    except jax.errors.JaxRuntimeError as error:
      if _NO_ROOM not in str(error):
        raise
      problem = problem or f"{name}: {' '.join(str(error).split())}"
  length = steps_per_call(work, training.log_every, training.batch_bytes)
  return Plan(
    target.name,
    parallel,
    len(used),
    training.sampler.batch_size,
    target.chip,
    length,
    found,
    problem,
  )


def _shapes(tree: Any, sharding: Any) -> Any:
  """The tree's arrays as shapes that lie on the devices, of the types that JAX would give them."""

  def shape(leaf: Any) -> jax.ShapeDtypeStruct:
    is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    dtype = leaf.dtype if is_key else jax.dtypes.canonicalize_dtype(leaf.dtype)
    return jax.ShapeDtypeStruct(leaf.shape, dtype, sharding=sharding)

  return jax.tree.map(shape, tree)


def _program(
  lowered: Any, target: Machine, resident: int, operations: int, gathered: int
) -> ProgramPlan:
  """Compiles one program, and reads what it needs."""
  begin = time.monotonic()
  with _nothing_kept():
    compiled = lowered.compile(compiler_options=_OPTIONS[target.platform])
  seconds = time.monotonic() - begin
  memory, text = compiled.memory_analysis(), compiled.as_text()
  return ProgramPlan(
    memory.argument_size_in_bytes,
    memory.output_size_in_bytes,
    memory.alias_size_in_bytes,
    memory.temp_size_in_bytes,
    resident,
    operations,
    collectives(text),
    _estimate(compiled.cost_analysis(), target.chip, operations, gathered),
    seconds,
  )


@contextmanager
def _nothing_kept() -> Iterator[None]:
  """Keeps programs out of JAX's cache on disk: those of another machine cannot be read from it."""
  name = "jax_persistent_cache_min_compile_time_secs"
  before = getattr(jax.config, name)
  jax.config.update(name, math.inf)
  try:
    yield
  finally:
    jax.config.update(name, before)


def _estimate(
  costs: Mapping[str, float] | None, chip: Chip, operations: int, gathered: int
) -> float | None:
  """Seconds by the roofline: of computing or of moving bytes, whichever takes longer.

  XLA counts a loop once, however long it is. Where it finds far fewer operations than there are,
  they lie within loops, and its counts mean nothing.
  """
  if not costs or not operations or costs["flops"] < LEAST_FOUND * operations:
    return None
  if costs["bytes accessed"] < 2 * GATHERED * gathered:
    return None
  return max(costs["flops"] / chip.flops, costs["bytes accessed"] / chip.bandwidth)
