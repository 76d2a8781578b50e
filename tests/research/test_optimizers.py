import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research.optimizers import BUILDERS, Optimizer, is_weight, make_optimizer
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
  traced = jax.jit(lambda settings: after(make_optimizer(settings, 10)))(optimizer)
  # A traced beta2 is a float32, and its distance from 1 has a relative error of about 5e-5.
  assert_close(traced, after(make_optimizer(optimizer, 10)), tolerance=1e-4)


@pytest.mark.parametrize(
  "optimizer, plain",
  [
    (Optimizer(name="sgd", learning_rate=0.1), optax.sgd(0.1)),
    (Optimizer(name="momentum", learning_rate=0.1), optax.sgd(0.1, momentum=0.9)),
    (Optimizer(name="nesterov", learning_rate=0.1), optax.sgd(0.1, momentum=0.9, nesterov=True)),
    (
      Optimizer(name="rmsprop", beta2=0.99, epsilon=1e-2),
      optax.rmsprop(1e-3, 0.99, 1e-2, eps_in_sqrt=False),
    ),
    (
      Optimizer(name="centred_rmsprop", beta2=0.9, epsilon=1e-2),
      optax.rmsprop(1e-3, 0.9, 1e-2, eps_in_sqrt=False, centered=True),
    ),
    (Optimizer(name="adam", learning_rate=0.1), optax.adam(0.1)),
    (
      Optimizer(name="adamw", weight_decay=0.1),
      optax.adamw(1e-3, weight_decay=0.1, mask=is_weight),
    ),
  ],
)
def test_each_name_is_what_optax_has_under_it(optimizer, plain):
  assert_close(after(make_optimizer(optimizer, 10)), after(plain))


def test_adagrad_divides_by_the_root_of_the_plain_sum_of_squares():
  moved = after(
    make_optimizer(Optimizer(name="adagrad", learning_rate=0.1, epsilon=1e-12), 10), steps=1
  )
  np.testing.assert_allclose(moved["bias"], PARAMS["bias"] - 0.1 * np.sign([0.5, -0.1]), rtol=1e-5)


@pytest.mark.parametrize("name", ["adagrad", "rmsprop", "centred_rmsprop", "adam", "adamw"])
def test_epsilon_halves_the_first_step_of_a_gradient_whose_root_it_is(name):
  """Outside of the root; the 1e-8 that is the default would act on gradients of 1e-4 inside."""
  root = {"rmsprop": 1e-3**0.5, "centred_rmsprop": (1e-3 - 1e-6) ** 0.5}.get(name, 1)
  update = make_optimizer(Optimizer(name=name, learning_rate=1), 10)
  step = lambda size: float(update.update(jnp.float32(size), update.init(jnp.float32(0)), 0.0)[0])
  assert step(1e-8 / root) == pytest.approx(step(1e-2) / 2, rel=1e-3)


def test_a_gradient_that_never_changes_has_a_spread_of_0_and_not_of_less():
  update = make_optimizer(Optimizer(name="centred_rmsprop", learning_rate=1, beta2=0.9), 10)
  gradient = jnp.linspace(0.1, 3, 50)

  def step(state, _):
    moved, state = update.update(gradient, state, gradient)
    return state, moved

  _, moved = jax.lax.scan(step, update.init(gradient), None, length=500)
  assert np.all(np.isfinite(moved)) and np.all(moved < 0)


def test_weight_decay_is_the_gradient_of_the_l2_penalty_and_spares_biases():
  decayed = after(
    make_optimizer(Optimizer(name="sgd", learning_rate=0.1, weight_decay=0.5), 10), steps=1
  )
  expected = PARAMS["kernel"] - 0.1 * (GRADIENTS["kernel"] + 0.5 * PARAMS["kernel"])
  np.testing.assert_allclose(decayed["kernel"], expected, rtol=1e-6)
  np.testing.assert_allclose(decayed["bias"], PARAMS["bias"] - 0.1 * GRADIENTS["bias"], rtol=1e-6)


@pytest.mark.parametrize(
  "name, factors",
  [
    ("constant", (1, 1, 1)),
    ("linear", (1, 0.5, 0)),
    ("cosine", (1, 0.5, 0)),
    ("one_cycle", (1 / 25, 2 / 3, 0)),
  ],
)
def test_schedules_begin_and_end_where_they_say(name, factors):
  done = jnp.array([0.0, 0.5, 1.0])
  np.testing.assert_allclose(UNIT_SCHEDULES[name](done), factors, atol=1e-7)


def test_one_cycle_is_highest_after_a_quarter():
  done = jnp.linspace(0, 1, 101)
  factors = UNIT_SCHEDULES["one_cycle"](done)
  assert factors.max() == pytest.approx(1) and done[factors.argmax()] == pytest.approx(0.25)


@pytest.mark.parametrize("schedule", UNIT_SCHEDULES)
def test_every_update_moves_something(schedule):
  """The last as well: a run ends one update before its schedule does."""
  optimizer = Optimizer(name="sgd", learning_rate=0.1, schedule=schedule)
  update = make_optimizer(optimizer, 4)
  state = update.init(PARAMS)
  for _ in range(4):
    moved, state = update.update(GRADIENTS, state, PARAMS)
    assert np.all(moved["bias"] != 0)


def test_a_schedule_scales_each_step_and_its_peak_may_be_traced():
  optimizer = Optimizer(name="sgd", learning_rate=0.1, schedule="linear")
  moved = jax.jit(lambda settings: after(make_optimizer(settings, 4), steps=2))(optimizer)
  expected = PARAMS["bias"] - 0.1 * (1 + 0.75) * GRADIENTS["bias"]
  np.testing.assert_allclose(moved["bias"], expected, rtol=1e-6)
