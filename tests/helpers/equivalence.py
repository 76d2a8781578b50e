"""Checks that a learner gives the same numbers on many devices as on one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from research.compile import compile_learner

TOLERANCE = 2e-6  # sums over eight devices run in another order


def raw(tree):
  """The same with keys as numbers, on the host."""
  as_data = lambda leaf: (
    jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
  )
  return jax.tree.map(lambda leaf: np.asarray(as_data(leaf)), tree)


def some_steps(config, training, parallel, steps):
  """States, metrics and evaluations after so many steps."""
  size = training.evaluation_batch_size
  program = compile_learner(training.learner, training.sampler, size, parallel)
  state = program.place(jax.jit(training.learner.init)(config, jax.random.key(0)))
  data = program.place(training.data)
  state, metrics = program.steps(steps, config, state, data, jax.random.key(1), jnp.int32(0))
  found = {
    name: program.evaluate(config, state, program.place(data))
    for name, data in training.evaluate.items()
  }
  return raw((state, metrics, found))


def assert_devices_agree(config, training, steps=3):
  """Raises unless all devices together give the numbers of one."""
  assert training.sampler.batch_size % jax.device_count(), "a batch that divides shows no padding"
  expected = some_steps(config, training, "jit", steps)
  for parallel in ("shard", "pmap"):
    found = some_steps(config, training, parallel, steps)
    close = functools.partial(
      np.testing.assert_allclose, atol=TOLERANCE, rtol=1e-5, err_msg=parallel
    )
    jax.tree.map(close, found, expected)
