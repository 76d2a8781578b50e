"""Every transformation of a learner's step gives the plain step's numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import compile as compiling
from research.batch import take
from research.data import sampling
from research.optimizers import Optimizer
from tests.fixtures.equivalence import TOLERANCE, raw
from tests.fixtures.noisy_net import LEARNER, STEPS, Config, data_set


@pytest.fixture(autouse=True)
def no_key_is_used_twice():
  with jax.debug_key_reuse(True):
    yield


def plain(batch_size):
  """The plain step, called once per batch on batches taken by hand."""
  sampler, key, data = sampling.by_epoch(batch_size), jax.random.key(1), data_set()
  settings = Config()
  state = jax.jit(LEARNER.init)(settings, jax.random.key(0))
  step = jax.jit(LEARNER.step)
  history = []
  for number in range(STEPS):
    numbers = number * batch_size + jnp.arange(batch_size)
    batch = take(data, sampler.indices(key, 50, numbers))
    state, metrics = step(settings, state, batch)
    history.append(metrics)
  return state, jax.tree.map(lambda *values: jnp.stack(values), *history)


def transformed(batch_size, parallel, chunks):
  sampler, key, settings = sampling.by_epoch(batch_size), jax.random.key(1), Config()
  program = compiling.compile_learner(LEARNER, sampler, 16, parallel)
  state = program.place(jax.jit(LEARNER.init)(settings, jax.random.key(0)))
  data, first, history = program.place(data_set()), 0, []
  for count in chunks:
    state, metrics = program.steps(count, settings, state, data, key, jnp.int32(first))
    history.append(metrics)
    first += count
  return state, jax.tree.map(lambda *parts: jnp.concatenate(parts), *history)


def test_one_device_gives_the_plain_steps_bits():
  (expected, expected_metrics), (ours, metrics) = plain(20), transformed(20, "jit", (1,) * STEPS)
  jax.tree.map(np.testing.assert_array_equal, raw(ours), raw(expected))
  # The reported means are fused with what surrounds them: one unit in the last place.
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=3e-7), metrics, expected_metrics)


def test_a_loop_of_steps_gives_the_plain_steps_numbers():
  expected, ours = plain(20), transformed(20, "jit", (4, 3))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=3e-7), raw(ours), raw(expected))


@pytest.mark.parametrize("parallel", ["shard", "pmap"])
@pytest.mark.parametrize("batch_size", [16, 20])  # 20 does not divide over 8 devices
@pytest.mark.parametrize("chunks", [(1,) * STEPS, (4, 3)])
def test_eight_devices_give_the_plain_steps_numbers(parallel, batch_size, chunks):
  assert jax.device_count() == 8
  expected, ours = plain(batch_size), transformed(batch_size, parallel, chunks)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=TOLERANCE), raw(ours), raw(expected)
  )


@pytest.mark.parametrize("parallel", compiling.PARALLEL)
@pytest.mark.parametrize("batch_size", [16, 50, 64])
def test_evaluation_counts_every_example_once(parallel, batch_size):
  settings, data = Config(), data_set()
  program = compiling.compile_learner(LEARNER, sampling.by_epoch(20), batch_size, parallel)
  state = program.place(jax.jit(LEARNER.init)(settings, jax.random.key(0)))
  whole = LEARNER.evaluate(settings, state, data)
  ours = program.evaluate(settings, state, program.place(data))
  assert ours["loss"].weight == 50
  for name in whole:
    np.testing.assert_allclose(ours[name].total, whole[name].total, rtol=1e-5)


def test_a_learning_rate_does_not_recompile():
  program = compiling.compile_learner(LEARNER, sampling.by_epoch(20), 16)
  data, key = data_set(), jax.random.key(1)
  finals, compiled = [], []
  listen = lambda event, *_, **__: compiled.append(event) if "backend_compile" in event else None
  for rate in (0.1, 0.01, 0.5):
    settings = Config(optimizer=Optimizer(learning_rate=rate))
    state = jax.jit(LEARNER.init)(settings, jax.random.key(0))
    if finals:
      jax.monitoring.register_event_duration_secs_listener(listen)
    state, _ = program.steps(2, settings, state, data, key, jnp.int32(0))
    if finals:
      jax.monitoring.unregister_event_duration_listener(listen)
    finals.append(raw(state.params)["Dense_0"]["kernel"])
  assert not compiled
  assert not np.allclose(finals[0], finals[1])


def test_a_dispatch_is_a_divisor_of_the_interval_and_shrinks_with_the_work():
  work = lambda batch_size: compiling.step_work(
    LEARNER, sampling.by_epoch(batch_size), Config(), data_set()
  )
  ask = lambda batch_size, interval: compiling.steps_per_call(work(batch_size), interval)
  assert ask(4, 100) == 100
  assert ask(4, 1000) in [size for size in range(1, 513) if 1000 % size == 0]
  assert ask(4_000_000, 100) == 1
