"""A training step in the forms that JAX gives it, from eager to a net on every core."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from research.batch import Batch

EAGER, JIT, SCAN, LANES, CORES = "JAX, eager", "JAX, jit", "scan", "lanes", "all cores"


class Form(NamedTuple):
  """A way to make steps.

  Attributes:
    call: makes them; gives the parameters after the last, of each net where there are several.
    images: that are learnt from in a call, by all nets together.
  """

  call: Callable[[], Any]
  images: int


def forms_of(
  step: Callable[[Any, Batch], Any], start: Any, batches: Batch, lanes: int
) -> dict[str, Form]:
  """The forms of a step over the same batches, by name.

  `EAGER` makes the first step alone, operation by operation. `JIT` makes one step after the other,
  `SCAN` all in one call. `LANES` does so for several nets, one behind the other in one program;
  `CORES` for a net on each device, which on a CPU is a core.

  Args:
    step: of (params, batch) -> params.
    start: the first parameters of every net.
    batches: arrays of [step, image, ...], among them "label".
    lanes: nets in one program.
  """
  count, size = batches["label"].shape
  parts = [jax.tree.map(lambda leaf, n=n: leaf[n], batches) for n in range(count)]
  compiled = jax.jit(step)

  def one_by_one() -> Any:
    params = start
    for part in parts:
      params = compiled(params, part)
    return params

  def many(params: Any) -> Any:
    return jax.lax.scan(lambda now, part: (step(now, part), None), params, batches)[0]

  nets = lambda number: jax.tree.map(lambda leaf: jnp.stack([leaf] * number), start)
  devices = jax.local_device_count()
  few, each = nets(lanes), nets(devices)
  scan, in_lanes, on_each = (
    jax.jit(many),
    jax.jit(lambda all: jax.lax.map(many, all)),
    jax.pmap(many),
  )
  return {
    EAGER: Form(lambda: step(start, parts[0]), size),
    JIT: Form(one_by_one, count * size),
    SCAN: Form(lambda: scan(start), count * size),
    LANES: Form(lambda: in_lanes(few), lanes * count * size),
    CORES: Form(lambda: on_each(each), devices * count * size),
  }
