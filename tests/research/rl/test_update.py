"""What one update learns, and which options reach it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.config import replace
from research.models.q_network import DenseTorso, QNetwork
from research.rl import dqn, prioritised, replay
from research.rl.agent import BoundAgent
from research.rl.environment import Environment, Transition
from tests.research.rl.test_dqn import ON_CART_POLE, ON_CATCH, Config, begin, steps


@pytest.mark.parametrize(
  ("is_double", "kind"), [(False, "uniform"), (True, "uniform"), (True, "prioritised")]
)
def test_an_update_descends_the_papers_loss(is_double, kind):
  settings = replace(Config(), {"agent.double": is_double, "agent.replay": kind})
  state = begin(ON_CATCH, settings)._replace(target_params=begin(ON_CATCH, settings, 1).params)
  rng = np.random.default_rng(0)
  before, after = jnp.asarray(rng.integers(0, 256, (2, 8, 10, 10, 1)), jnp.uint8)
  action, reward = rng.integers(0, 3, 8), rng.normal(size=8).astype(np.float32)
  discount, weight = np.float32([0.9] * 6 + [0, 0]), np.float32([0, 0.5] + [1] * 6)
  batch = replay.Transitions(*map(jnp.asarray, (before, action, reward, discount, after, weight)))
  agent = ON_CATCH.at(settings)
  *_, loss, _, priority = dqn._learn(agent, state, batch, jax.random.key(0))

  values = lambda params, obs: np.asarray(agent.action_values(params, obs))
  judge, online = values(state.target_params, after), values(state.params, after)
  assert np.any(judge.argmax(1) != online.argmax(1))
  chosen = (online if is_double else judge).argmax(1)
  target = reward + discount * judge[np.arange(8), chosen]
  error = np.abs(target - values(state.params, before)[np.arange(8), action])
  huber = np.where(error < 1, error**2 / 2, error - 0.5)
  np.testing.assert_allclose(priority, error, rtol=1e-4)
  # Where weights correct a bias, what they sum to counts (Schaul et al. 2016, algorithm 1).
  total = len(weight) if kind == "prioritised" else weight.sum()
  assert loss == pytest.approx(weight @ huber / total, rel=1e-4)


def test_three_networks_draw_three_noises(monkeypatch):
  """Fortunato et al. 2018, section 3.1: online, target, and the one that chooses."""
  settings = replace(Config(), {"agent.noisy": True, "agent.double": True})
  outputs, keys = BoundAgent.outputs, []
  monkeypatch.setattr(BoundAgent, "outputs", lambda *of: keys.append(of[-1]) or outputs(*of))

  def learn():
    state, zeros = begin(ON_CART_POLE, settings), jnp.zeros(3)
    batch = replay.Transitions(state.obs, zeros.astype(int), zeros, zeros, state.obs, zeros)
    dqn._learn(ON_CART_POLE.at(settings), state, batch, jax.random.key(0))
    return jax.random.key_data(jnp.stack(keys))

  assert len(np.unique(jax.jit(learn)(), axis=0)) == len(keys) == 3


def test_the_step_takes_its_transitions_and_priorities_as_the_agent_says(monkeypatch):
  said = {"discount": 0.7, "n_step": 3, "frame_stack": 4, "priority_exponent": 0.3}
  settings = replace(
    Config(),
    {f"agent.{name}": value for name, value in said.items()} | {"agent.replay": "prioritised"},
  )
  seen = {}
  transitions, update = replay.transitions, prioritised.update
  monkeypatch.setattr(
    replay,
    "transitions",
    lambda *of, **options: seen.update(options) or transitions(*of, **options),
  )
  monkeypatch.setattr(
    prioritised, "update", lambda *of: seen.update(priority_exponent=of[4]) or update(*of)
  )
  state = jax.eval_shape(lambda: begin(ON_CATCH, settings))
  jax.eval_shape(lambda state: dqn._step(ON_CATCH, settings, state, {}), state)
  assert seen == said


def test_advantages_count_only_as_differences():
  network, x = QNetwork(DenseTorso((4,)), 4, 3, outputs=2, dueling=True), jnp.ones((1, 5))
  params = network.init(jax.random.key(0), x)["params"]
  streams = {name: p for name, p in params.items() if p.get("bias", np.empty(0)).shape == (6,)}
  ((name, last),) = streams.items()  # the advantages' last layer: three actions of two outputs
  lifted = params | {name: last | {"bias": last["bias"] + jnp.tile(jnp.array([5.0, -7.0]), 3)}}
  values = network.apply({"params": params}, x)
  np.testing.assert_allclose(network.apply({"params": lifted}, x), values, atol=1e-5)
  assert np.ptp(values, axis=1).min() > 0


def test_noise_moves_the_values_that_the_agent_acts_by():
  settings = replace(Config(), {"agent.noisy": True})
  state = begin(ON_CART_POLE, settings)
  value = lambda *key: ON_CART_POLE.at(settings).action_values(state.params, state.obs, *key)
  a, b = value(jax.random.key(0)), value(jax.random.key(1))
  assert np.all(a != b) and np.all(a != value())
  np.testing.assert_array_equal(value(), value())


def test_each_environment_explores_by_noise_of_its_own():
  settings = replace(Config(), {"agent.noisy": True})
  state = begin(ON_CART_POLE, settings)
  same = jnp.ones_like(state.obs)
  agent = ON_CART_POLE.at(settings)
  values = dqn._acting_values(agent, state.params, same, jax.random.key(0))
  assert len(np.unique(values, axis=0)) == len(values) == 3


def sevens(longest):
  """Every step brings 7; an episode is cut off after `longest`."""

  def step(key, state, action):
    state = state + 1
    seen = state[None].astype(float)
    return Transition(state, seen, jnp.float32(7), jnp.float32(1), state >= longest)

  return Environment(
    lambda key: (jnp.int32(0), jnp.zeros(1)), step, lambda state: None, ("a", "b"), longest
  )


@pytest.mark.parametrize("is_clipped", [False, True])
def test_the_memory_holds_clipped_rewards_and_marks_what_was_cut_off(is_clipped):
  parts = ON_CART_POLE._replace(environment=lambda config: sevens(2))
  settings = replace(Config(), {"agent.clip_rewards": is_clipped, "agent.min_replay_size": 10**6})
  state, metrics = steps(parts, 3)(settings, begin(parts, settings))
  rows = state.memory.rows
  np.testing.assert_array_equal(rows.is_truncated[:6, 0], [False, False, True] * 2)
  np.testing.assert_array_equal(
    rows.reward[:6, 0], np.array([7, 7, 0] * 2) / (7 if is_clipped else 1)
  )
  # The score is never clipped; nothing has ended within the first time step of all.
  np.testing.assert_array_equal(metrics["return"], [14, 14, 14])
  np.testing.assert_array_equal(metrics["length"], [2, 2, 2])


def test_actions_are_random_until_learning_starts_and_then_less_and_less():
  _, metrics = steps(ON_CART_POLE, 30)(Config(), begin(ON_CART_POLE, Config()))
  frames = np.maximum(0, 6 * (np.arange(30) - 3))  # the step behind 24 frames is the first to learn
  np.testing.assert_allclose(metrics["epsilon"], 1 - 0.9 * np.minimum(frames / 100, 1), rtol=1e-5)
  assert np.all(metrics["loss"][3:] > 0) and not np.any(metrics["loss"][:3])


@pytest.mark.parametrize("kind", ["uniform", "prioritised", "latest"])
def test_nothing_is_learnt_before_a_whole_transition_is_there(kind):
  settings = replace(
    Config(), {"agent.replay": kind, "agent.min_replay_size": 1, "agent.n_step": 5}
  )
  _, metrics = steps(ON_CATCH, 6)(settings, begin(ON_CATCH, settings))
  # Two time steps a step: behind the third step there are six, five steps ahead of the first.
  assert list(np.asarray(metrics["value"]) != 0) == [False, False, True, True, True, True]


def test_what_is_drawn_often_weighs_less_and_at_last_wholly():
  settings = replace(Config(), {"agent.replay": "prioritised"})
  state, _ = steps(ON_CATCH, 9)(settings, begin(ON_CATCH, settings))
  agent = ON_CATCH.at(settings)
  weights = lambda step: np.sort(
    dqn._sample(agent, state._replace(step=step), state.memory, jax.random.key(0))[1]
  )
  first, half, last, later = (weights(jnp.int32(step)) for step in (0, 25, 50, 60))
  assert first[0] < 0.99
  np.testing.assert_allclose(half, first ** (0.7 / 0.4), rtol=1e-3)
  np.testing.assert_allclose(last, first ** (1 / 0.4), rtol=1e-3)
  np.testing.assert_array_equal(later, last)


def test_the_importance_reaches_the_loss():
  settings = replace(Config(), {"agent.replay": "prioritised"})
  state, _ = steps(ON_CATCH, 9)(settings, begin(ON_CATCH, settings))

  def loss(exponent):
    changed = replace(settings, {"agent.importance_exponent": exponent})
    return float(steps(ON_CATCH, 1)(changed, state)[1]["loss"][0])

  assert loss(0.1) > loss(3.0) > 0  # the same indices, of which the rare ones count most
