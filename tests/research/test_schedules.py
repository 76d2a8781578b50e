import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research.errors import UserError
from research.optimizers import Optimizer, apply_gradients, make_optimizer, optimizer_of
from research.schedules import SCHEDULES, factor_of, length_in_steps, scale_on_plateau

pytestmark = pytest.mark.fast

STEPS = 40
PARAMS = {"kernel": jnp.full((2, 2), 0.5), "bias": jnp.array([1.0, -1.0])}
GRADIENTS = {"kernel": jnp.full((2, 2), 3.0), "bias": jnp.array([0.5, -0.1])}


def rates(**settings):
  """The rate at each step, as SGD of rate 1 shows it."""
  update = make_optimizer(Optimizer("sgd", 1.0, **settings), STEPS)

  def step(state, _):
    moved, state = update.update(jnp.float32(1), state, jnp.float32(0))
    return state, -moved

  return jax.lax.scan(step, update.init(jnp.float32(0)), None, STEPS)[1]


def of_optax(schedule):
  return [float(schedule(step)) for step in range(STEPS)]


@pytest.mark.parametrize("warmup", [8.0, 0.2])
@pytest.mark.parametrize(
  "schedule, later",
  [
    ("constant", optax.constant_schedule(1.0)),
    ("linear", optax.linear_schedule(1.0, 0.0, STEPS - 8)),
    ("cosine", optax.cosine_decay_schedule(1.0, STEPS - 8)),
    ("step", optax.exponential_decay(1.0, 16, 0.3, staircase=True)),
  ],
)
def test_a_warm_up_is_optaxs_linear_schedule_before_the_other(warmup, schedule, later):
  rise = optax.linear_schedule(1 / 8, 1.0, 7)
  settings = {"schedule_every": 16.0, "schedule_factor": 0.3} if schedule == "step" else {}
  ours = rates(schedule=schedule, warmup=warmup, **settings)
  by_hand = of_optax(optax.join_schedules([rise, later], [8]))
  np.testing.assert_allclose(ours, by_hand, atol=1e-6)
  assert ours[7] == pytest.approx(1) and np.all(ours > 0)


@pytest.mark.parametrize("every, steps", [(10.0, 10), (0.25, 10), (0.1, 4), (0.01, 1)])
def test_step_and_exponential_are_optaxs_decay(every, steps):
  for schedule, staircase in (("step", True), ("exponential", False)):
    by_hand = optax.exponential_decay(1.0, steps, 0.5, staircase=staircase)
    ours = rates(schedule=schedule, schedule_every=every)
    np.testing.assert_allclose(ours, of_optax(by_hand), rtol=1e-5)


def test_intervals_are_tenths_of_the_run_unless_given():
  np.testing.assert_allclose(rates(schedule="step"), 0.5 ** (np.arange(STEPS) // 4), rtol=1e-6)
  assert float(length_in_steps(0.1, 52)) == 5 and float(length_in_steps(0.001, 52)) == 1


def test_settings_of_schedules_may_be_traced():
  at = lambda warmup, every: factor_of("step", STEPS, warmup=warmup, every=every, factor=0.5)(20)
  traced = jax.jit(jax.vmap(at))(jnp.array([4.0, 0.1, 10.0]), jnp.array([8.0, 8.0, 0.5]))
  np.testing.assert_allclose(traced, [at(4.0, 8.0), at(0.1, 8.0), at(10.0, 0.5)])
  np.testing.assert_allclose(traced, [0.25, 0.25, 1.0])


def test_a_second_warm_up_is_refused():
  with pytest.raises(UserError, match="one_cycle warms up by itself; leave warmup out"):
    make_optimizer(Optimizer("sgd", 1.0, "one_cycle", warmup=3.0), STEPS)


def losses():
  """They fall, stall, fall a second time but not below their lowest, and stall for good."""
  falling, flat = np.linspace(2, 1, 12), np.ones(12)
  return np.concatenate([falling, flat, 0.7 + falling, 0.5 * flat]).astype(np.float32)


def test_the_plateau_is_optaxs_with_a_patience_of_one_interval():
  by_hand = optax.contrib.reduce_on_plateau(0.3, patience=1, rtol=1e-4, accumulation_size=4)

  def scales(update):
    def step(state, loss):
      scaled, state = update.update(jnp.float32(1), state, value=loss)
      return state, scaled

    return jax.lax.scan(step, update.init(jnp.float32(1)), jnp.asarray(losses()))[1]

  ours = jax.jit(lambda every, factor: scales(scale_on_plateau(every, factor)))(4.0, 0.3)
  np.testing.assert_allclose(ours, scales(by_hand), rtol=1e-6)
  assert len(set(np.asarray(ours).tolist())) > 3 and ours[11] == 1 and ours[-1] < 0.1


def test_a_plateau_scales_the_whole_update_and_needs_a_loss():
  optimizer = Optimizer("adamw", 0.1, "plateau", schedule_every=1.0, weight_decay=0.1)
  update, plain = (make_optimizer(each, 9) for each in (optimizer, Optimizer("adamw", 0.1)))
  state = update.init(PARAMS)
  assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(state))
  _, state = apply_gradients(update, GRADIENTS, state, PARAMS, jnp.float32(1))
  halved, _ = apply_gradients(update, GRADIENTS, state, PARAMS, jnp.float32(1))
  _, other = apply_gradients(plain, GRADIENTS, plain.init(PARAMS), PARAMS)
  whole, _ = apply_gradients(plain, GRADIENTS, other, PARAMS)
  np.testing.assert_allclose(
    PARAMS["bias"] - halved["bias"], (PARAMS["bias"] - whole["bias"]) / 2, rtol=1e-5
  )
  with pytest.raises(UserError, match="schedule=plateau needs a loss"):
    apply_gradients(update, GRADIENTS, state, PARAMS)


def test_gradients_are_cut_by_value_and_then_by_norm():
  moved = lambda optimizer, config=None: jax.tree.map(
    lambda before, after: before - after,
    PARAMS,
    apply_gradients(
      update := optimizer_of(config, 9) if config else make_optimizer(optimizer, 9),
      GRADIENTS,
      update.init(PARAMS),
      PARAMS,
    )[0],
  )
  plain = Optimizer("sgd", 1.0)
  clipped = moved(Optimizer("sgd", 1.0, clip_value=0.4))
  np.testing.assert_allclose(clipped["bias"], [0.4, -0.1], rtol=1e-6)
  np.testing.assert_allclose(clipped["kernel"], 0.4, rtol=1e-6)
  assert optax.tree.norm(moved(Optimizer("sgd", 1.0, clip_norm=0.2))) == pytest.approx(0.2)
  both = moved(Optimizer("sgd", 1.0, clip_value=0.4, clip_norm=0.2))
  np.testing.assert_allclose(both["bias"] / both["kernel"][0], [1, -0.25], rtol=1e-6)

  class Config:
    optimizer, clip = plain, 0.3

  assert optax.tree.norm(moved(None, Config)) == pytest.approx(0.3)
  Config.optimizer = Optimizer("sgd", 1.0, clip_norm=0.2)
  with pytest.raises(UserError, match=r"clip and optimizer\.clip_norm are the same here"):
    optimizer_of(Config, 9)


def test_every_schedule_has_a_name():
  assert {"constant", "linear", "cosine", "one_cycle", "step", "exponential", "plateau"} == {
    *SCHEDULES
  }
