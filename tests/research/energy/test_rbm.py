import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.energy import contrastive, rbm
from research.energy.boltzmann import all_states
from research.energy.rbm import Rbm

SMALL = Rbm(
  jnp.array([[1.0, -2.0], [0.5, 0.0], [0.0, 3.0]]),
  jnp.array([0.1, -0.2, 0.3]),
  jnp.array([-1.0, 0.5]),
)


def energies(machine):
  """E(v, h) by the definition, [visible state, hidden state]."""
  w, b, c = (np.asarray(leaf) for leaf in machine)
  return np.array(
    [[-(v @ w @ h + b @ v + c @ h) for h in all_states(len(c))] for v in all_states(len(b))]
  )


def test_free_energy_sums_the_hidden_units_out():
  expected = -np.log(np.exp(-energies(SMALL)).sum(axis=1))
  found = rbm.free_energy(SMALL, jnp.asarray(all_states(3)))
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_chances_are_those_of_the_joint_distribution():
  joint = np.exp(-energies(SMALL))
  up = joint @ all_states(2) / joint.sum(axis=1, keepdims=True)
  down = joint.T @ all_states(3) / joint.sum(axis=0)[:, None]
  np.testing.assert_allclose(rbm.hidden_chance(SMALL, jnp.asarray(all_states(3))), up, rtol=1e-5)
  np.testing.assert_allclose(rbm.visible_chance(SMALL, jnp.asarray(all_states(2))), down, rtol=1e-5)


@pytest.mark.parametrize("hidden", [1, 5, 11])
def test_log_partition_in_one_block_and_in_several(hidden):
  machine = rbm.draw(jax.random.key(0), jnp.array([0.5, -1.0, 0.2]), hidden, deviation=1.0)
  expected = np.log(np.exp(-energies(machine)).sum())
  np.testing.assert_allclose(rbm.log_partition(machine), expected, rtol=1e-5)


def test_annealed_importance_finds_log_z_and_says_how_surely():
  machine = Rbm(3 * SMALL.weights, SMALL.visible, SMALL.hidden)
  estimate = rbm.annealed_importance(
    machine, jnp.array([2.0, -2.0, 1.0]), jax.random.key(0), 500, jnp.linspace(0, 1, 300)
  )
  assert 0 < estimate.error < 0.05
  assert abs(estimate.value - rbm.log_partition(machine)) < 3 * estimate.error


def test_log_odds_of_what_never_happens_are_finite():
  odds = rbm.log_odds(jnp.array([0.0, 0.5, 1.0]))
  np.testing.assert_allclose(odds, [-6.9068, 0, 6.9068], atol=1e-3)


PIXELS = jnp.array([[0.0, 1, 0], [0, 1, 1], [0, 1, 1], [1, 0, 0]])


def made(**settings):
  machine = contrastive.Contrastive(**({"hidden": 2} | settings))
  parts = contrastive.Parts(
    machine=lambda config: machine,
    biases=lambda config: jnp.zeros(3),
    steps=lambda config: 100,
    steady=lambda config: 10,
  )
  return contrastive.contrastive(parts)


def expected_step(settings, draws=3000):
  """The mean change of the machine by one step, over keys; from SMALL."""
  learner = made(**settings)
  state = learner.init(None, jax.random.key(0))._replace(rbm=SMALL)

  def one(key):
    after, _ = learner.step(None, state._replace(key=key), {"image": PIXELS})
    return jax.tree.map(jnp.subtract, after.rbm, SMALL)

  changes = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(1), draws))
  return jax.tree.map(lambda leaf: leaf.mean(axis=0), changes)


def test_many_steps_of_the_chain_climb_the_likelihood():
  settings = {"steps": 60, "learning_rate": 1.0, "weight_cost": 0.0}
  likelihood = lambda machine: (
    -(rbm.free_energy(machine, PIXELS).mean() + rbm.log_partition(machine))
  )
  gradient = jax.grad(likelihood)(SMALL)
  for change, expected in zip(expected_step(settings), gradient, strict=True):
    np.testing.assert_allclose(change, expected, atol=0.03)


@pytest.mark.parametrize("steps", [2, 3])
def test_a_few_steps_are_those_of_the_chain(steps):
  visible, joint = all_states(3), np.exp(-energies(SMALL))
  chain = (joint / joint.sum(axis=1, keepdims=True)) @ (joint / joint.sum(axis=0)).T
  share = lambda state: np.mean([(row == state).all() for row in np.asarray(PIXELS)])
  data = np.array([share(state) for state in visible])
  of = lambda chance: rbm.statistics(SMALL, jnp.asarray(visible), jnp.asarray(chance, jnp.float32))
  expected = jax.tree.map(jnp.subtract, of(data), of(data @ np.linalg.matrix_power(chain, steps)))
  change = expected_step({"steps": steps, "learning_rate": 1.0, "weight_cost": 0.0}, 20_000)
  for found, exact in zip(change, expected, strict=True):
    np.testing.assert_allclose(found, exact, atol=0.008)


def test_weight_cost_pulls_the_weights_only():
  without = expected_step({"learning_rate": 1.0, "weight_cost": 0.0}, draws=1)
  costly = expected_step({"learning_rate": 1.0, "weight_cost": 0.1}, draws=1)
  np.testing.assert_allclose(costly.weights - without.weights, -0.1 * SMALL.weights, atol=1e-6)
  np.testing.assert_allclose(costly.visible, without.visible, atol=1e-6)


def test_persistent_chains_go_on_where_they_were():
  learner = made(start="persistent", chains=5)
  state = learner.init(None, jax.random.key(0))
  assert state.fantasies.shape == (5, 3)
  after, _ = learner.step(None, state, {"image": PIXELS})
  keys = jax.random.split(jax.random.fold_in(state.key, state.step), 3)
  expected = rbm.gibbs(state.rbm, state.fantasies, jax.random.split(keys[2], 5), 1)
  np.testing.assert_array_equal(after.fantasies, expected)
  assert made().init(None, jax.random.key(0)).fantasies.shape == (0, 3)


def test_momentum_changes_at_the_step_that_is_named_and_the_rate_falls():
  learner = made(learning_rate=0.5, schedule="linear", weight_cost=0.0)
  state = learner.init(None, jax.random.key(0))
  moving = jax.tree.map(jnp.ones_like, state.opt_state)  # a velocity of one
  batch = {"image": PIXELS}

  def change(step, opt_state):
    now = state._replace(step=jnp.int32(step), opt_state=opt_state, rbm=SMALL)
    after, _ = learner.step(None, now, batch)
    return after.rbm.visible - SMALL.visible

  still = jax.tree.map(jnp.zeros_like, moving)
  for step, momentum in ((9, 0.5), (10, 0.9)):
    rate = 0.5 * (1 - step / 100)
    by_velocity = change(step, moving) - change(step, still)
    np.testing.assert_allclose(by_velocity, jnp.full(3, -rate * momentum), rtol=1e-4)


def test_padding_counts_for_nothing():
  learner = made(weight_cost=0.0)
  state = learner.init(None, jax.random.key(0))
  evaluate = lambda batch: {
    name: float(mean.total / mean.weight)
    for name, mean in learner.evaluate(None, state._replace(rbm=SMALL), batch).items()
  }
  padded = {
    "image": jnp.concatenate([PIXELS, jnp.ones((2, 3))]),
    "weight": jnp.array([1.0] * 4 + [0] * 2),
  }
  assert evaluate(padded) == pytest.approx(evaluate({"image": PIXELS}))


def test_evaluation_is_the_error_of_a_reconstruction_by_chances_and_the_free_energy():
  learner = made()
  state = learner.init(None, jax.random.key(0))._replace(rbm=SMALL)
  means = learner.evaluate(None, state, {"image": PIXELS})
  sigmoid = lambda x: 1 / (1 + np.exp(-x))
  weights, visible, hidden = (np.asarray(part, np.float64) for part in SMALL)
  pixels = np.asarray(PIXELS, np.float64)
  again = sigmoid(sigmoid(pixels @ weights + hidden) @ weights.T + visible)
  assert means["loss"].total / 4 == pytest.approx(np.mean((pixels - again) ** 2), rel=1e-5)
  joint = np.exp(-energies(SMALL)).sum(axis=1)
  places = [np.flatnonzero((all_states(3) == row).all(axis=1))[0] for row in pixels]
  expected = np.mean(-np.log(joint[places]))
  assert means["free_energy"].total / 4 == pytest.approx(expected, rel=1e-5)
