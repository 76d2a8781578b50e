import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research.errors import UserError
from research.optimizers import BUILDERS, Optimizer, freeze, is_weight, make
from research.schedules import UNIT_SCHEDULES

PARAMS = {"kernel": jnp.array([[1.0, -2.0], [0.5, 3.0]]), "bias": jnp.array([1.0, -1.0])}
GRADIENTS = {"kernel": jnp.array([[0.1, 0.3], [-0.2, 0.4]]), "bias": jnp.array([0.5, -0.1])}


def after(transformation, steps=3):
  params, state = PARAMS, transformation.init(PARAMS)
  for _ in range(steps):
    updates, state = transformation.update(GRADIENTS, state, params)
    params = optax.apply_updates(params, updates)
  return params


def assert_close(a, b, tolerance=2e-6):
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=tolerance), a, b)


@pytest.mark.parametrize("name", BUILDERS)
def test_every_knob_may_be_traced(name):
  optimizer = Optimizer(name=name, learning_rate=0.05, weight_decay=0.1)
  traced = jax.jit(lambda settings: after(make(settings, 10)))(optimizer)
  # A traced beta2 is a float32, and its distance from 1 has a relative error of about 5e-5.
  assert_close(traced, after(make(optimizer, 10)), tolerance=1e-4)


@pytest.mark.parametrize(
  "optimizer, plain",
  [
    (Optimizer(name="sgd", learning_rate=0.1), optax.sgd(0.1)),
    (Optimizer(name="momentum", learning_rate=0.1), optax.sgd(0.1, momentum=0.9)),
    (Optimizer(name="nesterov", learning_rate=0.1), optax.sgd(0.1, momentum=0.9, nesterov=True)),
    (Optimizer(name="rmsprop", beta2=0.99, epsilon=1e-7), optax.rmsprop(1e-3, 0.99, 1e-7)),
    (Optimizer(name="adam", learning_rate=0.1), optax.adam(0.1)),
    (
      Optimizer(name="adamw", weight_decay=0.1),
      optax.adamw(1e-3, weight_decay=0.1, mask=is_weight),
    ),
  ],
)
def test_each_name_is_optax_under_that_name(optimizer, plain):
  assert_close(after(make(optimizer, 10)), after(plain))


def test_adagrad_divides_by_the_root_of_the_plain_sum_of_squares():
  moved = after(make(Optimizer(name="adagrad", learning_rate=0.1, epsilon=1e-12), 10), steps=1)
  np.testing.assert_allclose(moved["bias"], PARAMS["bias"] - 0.1 * np.sign([0.5, -0.1]), rtol=1e-5)


def test_weight_decay_is_the_gradient_of_the_l2_penalty_and_spares_biases():
  decayed = after(make(Optimizer(name="sgd", learning_rate=0.1, weight_decay=0.5), 10), steps=1)
  expected = PARAMS["kernel"] - 0.1 * (GRADIENTS["kernel"] + 0.5 * PARAMS["kernel"])
  np.testing.assert_allclose(decayed["kernel"], expected, rtol=1e-6)
  np.testing.assert_allclose(decayed["bias"], PARAMS["bias"] - 0.1 * GRADIENTS["bias"], rtol=1e-6)


@pytest.mark.parametrize(
  "name, factors",
  [
    ("constant", (1, 1, 1)),
    ("linear", (1, 0.5, 0)),
    ("cosine", (1, 0.5, 0)),
    ("one_cycle", (0, 2 / 3, 0)),
  ],
)
def test_schedules_begin_and_end_where_they_say(name, factors):
  done = jnp.array([0.0, 0.5, 1.0])
  np.testing.assert_allclose(UNIT_SCHEDULES[name](done), factors, atol=1e-7)


def test_one_cycle_is_highest_after_a_quarter():
  done = jnp.linspace(0, 1, 101)
  factors = UNIT_SCHEDULES["one_cycle"](done)
  assert factors.max() == pytest.approx(1) and done[factors.argmax()] == pytest.approx(0.25)


def test_a_schedule_scales_each_step_and_its_peak_may_be_traced():
  optimizer = Optimizer(name="sgd", learning_rate=0.1, schedule="linear")
  moved = jax.jit(lambda settings: after(make(settings, 4), steps=2))(optimizer)
  expected = PARAMS["bias"] - 0.1 * (1 + 0.75) * GRADIENTS["bias"]
  np.testing.assert_allclose(moved["bias"], expected, rtol=1e-6)


def test_frozen_parameters_stay_and_carry_nothing():
  params = {"Conv_0": PARAMS, "Dense_0": PARAMS}
  gradients = {"Conv_0": GRADIENTS, "Dense_0": GRADIENTS}
  update = freeze(make(Optimizer("adam", 0.1, weight_decay=0.1), 10), params, "Conv_.*/kernel")
  state = update.init(params)
  moments = [leaf for leaf in jax.tree.leaves(state) if getattr(leaf, "ndim", 0)]
  assert len(moments) == 2 * 3  # mean and mean square of all but one array
  updates, _ = update.update(gradients, state, params)
  moved = jax.tree.map(lambda leaf: bool(np.any(leaf)), updates)
  assert moved == {
    "Conv_0": {"kernel": False, "bias": True},
    "Dense_0": {"kernel": True, "bias": True},
  }


def test_a_pattern_that_freezes_nothing_is_refused_with_the_names_there_are():
  with pytest.raises(UserError, match=r"'Convolution'; there are bias, kernel"):
    freeze(make(Optimizer(), 10), PARAMS, "Convolution")
