import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.rl import value_learning as vl

Q_TM1, Q_T = jnp.array([1.0, 2.0]), jnp.array([3.0, 5.0])
STEP = (jnp.int32(1), jnp.float32(0.5), jnp.float32(0.9))  # a_tm1, r_t, discount_t


def test_q_learning_bootstraps_from_the_largest_value():
  # 0.5 + 0.9 * 5 - 2
  assert vl.q_learning(Q_TM1, *STEP, Q_T) == pytest.approx(3.0)
  a_tm1, discount_t = jnp.int32(0), jnp.float32(0)
  assert vl.q_learning(Q_TM1, a_tm1, jnp.float32(0.5), discount_t, Q_T) == pytest.approx(-0.5)


def test_no_gradient_goes_through_a_target():
  gradient = jax.grad(lambda q: vl.q_learning(Q_TM1, *STEP, q))(Q_T)
  assert not np.any(gradient)
  for head in (vl.expectation(), vl.categorical(3, -1.0, 1.0), vl.quantiles(3)):
    outputs = jnp.arange(1.0, head.outputs + 1)
    loss = lambda here, after, head=head: head.loss(here, jnp.float32(1), jnp.float32(0.9), after)[
      0
    ]
    here, after = jax.grad(loss, argnums=(0, 1))(outputs, 2 * outputs)
    assert np.any(here) and not np.any(after)


def test_the_gradient_of_the_huber_loss_is_the_clipped_error():
  errors = jnp.array([-3.0, -0.4, 0.0, 0.7, 5.0])
  np.testing.assert_allclose(
    jax.vmap(jax.grad(vl.huber))(errors), [-1.0, -0.4, 0.0, 0.7, 1.0], rtol=1e-6
  )
  np.testing.assert_allclose(vl.huber(errors, 1e6), 0.5 * errors**2, rtol=1e-6)
  # At another bound: half the square up to 2, and on from there with that slope.
  np.testing.assert_allclose(vl.huber(errors, 2.0), [4, 0.08, 0, 0.245, 8], rtol=1e-6)
  # As in pooling: a gradient that asks what equals a minimum may find nothing.
  assert " eq " not in str(jax.make_jaxpr(jax.grad(lambda e: vl.huber(e).sum()))(errors))


def test_projection_splits_between_neighbours_and_keeps_what_lies_outside_at_the_ends():
  atoms = jnp.array([-1.0, 0.0, 1.0])
  # 0.2 falls a quarter of the way above 0; 5 counts to 1; -1 stays.
  moved = vl.project(atoms, jnp.array([0.4, 0.2, 0.4]), jnp.array([0.25, 5.0, -1.0]))
  np.testing.assert_allclose(moved, [0.4, 0.3, 0.3], rtol=1e-6)
  same = vl.project(atoms, jnp.array([0.1, 0.2, 0.7]), atoms)
  np.testing.assert_allclose(same, [0.1, 0.2, 0.7], rtol=1e-6)


def test_the_categorical_loss_is_the_cross_entropy_and_its_priority_the_divergence():
  head = vl.categorical(3, -1.0, 1.0)
  logits = jnp.log(jnp.array([0.2, 0.3, 0.5]))
  assert head.value(logits) == pytest.approx(0.3)
  loss, priority = head.loss(logits, jnp.float32(1), jnp.float32(0), logits)  # the target is 1
  assert loss == pytest.approx(-np.log(0.5), rel=1e-5)
  assert priority == pytest.approx(-np.log(0.5), rel=1e-5)
  loss, priority = head.loss(logits, jnp.float32(0), jnp.float32(1), logits)  # the target is itself
  assert loss > 0.5
  assert priority == pytest.approx(0, abs=1e-6)


def test_the_quantile_loss_by_hand():
  head = vl.quantiles(2)
  theta = jnp.array([0.0, 4.0])
  assert head.value(theta) == 2
  # Both targets are 1: errors 1 and -3, Huber 0.5 and 2.5, paid at 0.25 and |0.75 - 1|.
  loss, _ = head.loss(theta, jnp.float32(1), jnp.float32(0), theta)
  assert loss == pytest.approx(0.25 * 0.5 + 0.25 * 2.5)


def test_quantile_regression_finds_the_quantiles():
  head = vl.quantiles(4)
  targets = jnp.linspace(0, 80, 1001)  # evenly spread returns

  def update(theta, _):
    losses = lambda theta: jax.vmap(lambda r: head.loss(theta, r, jnp.float32(0), theta)[0])(
      targets
    ).mean()
    return theta - 5 * jax.grad(losses)(theta), None

  theta, _ = jax.jit(lambda theta: jax.lax.scan(update, theta, None, length=400))(jnp.zeros(4))
  np.testing.assert_allclose(theta, [10, 30, 50, 70], atol=0.5)
