import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.config import nested, pytree_config, replace, static
from research.errors import DivergedError, UserError
from research.lab.lab import Lab
from research.models.q_network import ConvTorso, DenseTorso
from research.optimizers import Optimizer, make_optimizer
from research.rl import cart_pole, catch, dqn, rollout
from research.rl.agent import Agent, DQNConfig
from research.rl.dqn_training import dqn_training
from research.training import Options


@pytree_config
class Config:
  agent: DQNConfig = nested(
    DQNConfig(
      num_envs=3,
      learn_period=2,
      batch_size=8,
      replay_capacity=60,
      min_replay_size=24,
      target_update_period=3,
      epsilon_frames=100.0,
    )
  )
  optimizer: Optimizer = nested(Optimizer())
  evaluation_episodes: int = static(2, "")


ON_CATCH = Agent(
  environment=lambda config: catch.environment,
  torso=lambda config: ConvTorso(((2, 3, 2),)),
  hidden=lambda config: 8,
  steps=lambda config: 50,
  optimizer=lambda config: make_optimizer(config.optimizer, 50),
)
ON_CART_POLE = ON_CATCH._replace(
  environment=lambda config: cart_pole.environment, torso=lambda config: DenseTorso((8,))
)
OPTIONS = {
  "nature": {},
  "rainbow": {
    "agent.double": True,
    "agent.dueling": True,
    "agent.n_step": 3,
    "agent.replay": "prioritised",
    "agent.distributional": "c51",
    "agent.noisy": True,
    "agent.frame_stack": 2,
  },
  "qr, latest": {"agent.distributional": "qr", "agent.replay": "latest", "agent.frame_stack": 4},
}


@functools.cache
def steps(parts, count):
  """`count` steps in one program, from a state: the state after, and the metrics."""
  learner = dqn.dqn(parts)
  return jax.jit(
    lambda config, state: jax.lax.scan(
      lambda state, _: learner.step(config, state, {}), state, None, length=count
    )
  )


def begin(parts, config, seed=0):
  return jax.jit(dqn.dqn(parts).init)(config, jax.random.key(seed))


def plain(state):
  """Arrays that NumPy can compare, keys too."""
  is_key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
  return [
    np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf)
    for leaf in jax.tree.leaves(state)
  ]


@pytest.mark.parametrize(
  "option",
  [pytest.param(name, marks=pytest.mark.slow) if name == "rainbow" else name for name in OPTIONS],
)
def test_stopped_and_continued_equals_uninterrupted_bit_for_bit(option):
  settings = replace(Config(), OPTIONS[option])
  state = begin(ON_CATCH, settings)
  whole, metrics = steps(ON_CATCH, 12)(settings, state)
  half, first = steps(ON_CATCH, 6)(settings, state)
  restored = jax.tree.map(jnp.asarray, jax.device_get(half))  # as after a checkpoint
  again, second = steps(ON_CATCH, 6)(settings, restored)
  for ours, theirs in zip(plain(again), plain(whole), strict=True):
    np.testing.assert_array_equal(ours, theirs)
  for name in metrics:
    np.testing.assert_array_equal(np.concatenate([first[name], second[name]]), metrics[name])
  assert np.all(np.isfinite(metrics["loss"]))
  # 24 frames are there after the fourth step, which learns; so not in three.
  assert not np.any(metrics["loss"][:3]) and np.all(metrics["loss"][3:] > 0)


def test_the_target_network_is_the_online_one_of_every_third_update():
  settings = Config()
  state, _ = steps(ON_CATCH, 5)(settings, begin(ON_CATCH, settings))  # two updates
  one = steps(ON_CATCH, 1)
  is_equal = lambda state: all(
    np.array_equal(a, b)
    for a, b in zip(plain(state.params), plain(state.target_params), strict=True)
  )
  copied = []
  for _ in range(4):
    state, _ = one(settings, state)
    copied.append(is_equal(state))
  assert copied == [True, False, False, True]


def test_what_is_remembered_is_what_was_done():
  settings = Config()
  state, _ = steps(ON_CATCH, 9)(settings, begin(ON_CATCH, settings))  # 18 time steps of 20
  rows, frames = state.memory.rows, state.memory.rows.frame
  assert int(state.memory.written) == 18
  for env in range(3):
    for at in range(17):
      if rows.is_first[at + 1, env]:
        assert not rows.nonterminal[at, env] and rows.reward[at, env] in (-1, 1)
        continue
      ball, paddle = (np.argwhere(np.asarray(frames[at, env, :-1, :, 0])), None)
      paddle, after = (int(np.argmax(frames[a, env, 9, :, 0])) for a in (at, at + 1))
      assert after == np.clip(paddle + int(rows.action[at, env]) - 1, 0, 9)
      assert len(ball) == 1 and rows.nonterminal[at, env]
  np.testing.assert_array_equal(state.episodes.observation, state.obs)


def test_seeds_give_other_parameters_actions_and_curves():
  settings = Config()
  ends = [steps(ON_CATCH, 12)(settings, begin(ON_CATCH, settings, seed)) for seed in (0, 1)]
  firsts = [begin(ON_CATCH, settings, seed).params for seed in (0, 1)]
  for a, b in zip(*(plain(params) for params in firsts), strict=True):
    assert not np.any(a) or not np.array_equal(a, b)
  (a, curve_a), (b, curve_b) = ends
  assert not np.array_equal(a.memory.rows.action, b.memory.rows.action)
  assert not np.array_equal(curve_a["loss"], curve_b["loss"])


@pytest.mark.parametrize(
  "many", [jax.vmap, lambda f: lambda *args: jax.lax.map(lambda a: f(*a), args)]
)
def test_lanes_give_each_trials_own_numbers(many):
  rates = [1e-3, 1e-2]
  configs = [replace(Config(), {"optimizer.learning_rate": rate}) for rate in rates]
  stack = lambda *trees: jax.tree.map(
    lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *trees
  )
  states = [begin(ON_CART_POLE, settings, seed) for seed, settings in enumerate(configs)]
  run = steps(ON_CART_POLE, 10)
  lanes, metrics = jax.jit(many(run))(stack(*configs), stack(*states))
  for lane, (settings, state) in enumerate(zip(configs, states, strict=True)):
    alone, expected = run(settings, state)
    np.testing.assert_array_equal(lanes.memory.rows.action[lane], alone.memory.rows.action)
    np.testing.assert_allclose(metrics["loss"][lane], expected["loss"], rtol=1e-4, atol=1e-6)


def test_evaluation_episodes_are_the_same_for_every_seed_and_leave_no_trace():
  settings = replace(Config(), {"agent.evaluation_epsilon": 1.0})  # whatever the network says
  evaluate = jax.jit(dqn.dqn(ON_CART_POLE).evaluate)
  batch = {"episode": jnp.arange(10), "weight": jnp.ones(10).at[7:].set(0)}
  means = [evaluate(settings, begin(ON_CART_POLE, settings, seed), batch) for seed in (0, 1)]
  assert means[0]["return"].weight == 7
  assert float(means[0]["return"].total) == float(means[1]["return"].total) > 7 * 8
  # Each episode is its number's, whatever stands beside it.
  alone = jax.jit(dqn.dqn(ON_CART_POLE).evaluate)
  totals = [
    float(
      alone(settings, begin(ON_CART_POLE, settings), {"episode": jnp.array([n])})["return"].total
    )
    for n in range(7)
  ]
  assert sum(totals) == float(means[0]["return"].total)
  assert len(set(totals)) > 2


def test_what_is_watched_is_an_evaluation_episode_up_to_its_last_picture():
  settings = replace(Config(), {"agent.evaluation_epsilon": 0.7})
  state = begin(ON_CATCH, settings)
  evaluate, caught = jax.jit(dqn.dqn(ON_CATCH).evaluate), set()
  for number in range(16):
    played = rollout.play(ON_CATCH, settings, state, max_steps=20, episode=number)
    means = evaluate(settings, state, {"episode": jnp.array([number])})
    assert played.rewards.sum() == means["return"].total and len(played.rewards) == 9
    assert played.pictures.shape == (10, 80, 80, 3) and played.values.shape == (9, 3)
    bottom = played.pictures[-1, -1, ::8, 0]  # ball and paddle, or both in one place
    assert bottom.sum() == (1 if played.rewards[-1] == 1 else 2)
    caught.add(played.rewards[-1])
  assert caught == {-1, 1}
  assert len(rollout.play(ON_CATCH, settings, state, max_steps=4).rewards) == 4


def test_an_agent_whose_weights_are_noisy_is_evaluated_without_random_actions():
  evaluate, returns = jax.jit(dqn.dqn(ON_CART_POLE).evaluate), {}
  for is_noisy in (True, False):
    for epsilon in (0.0, 1.0):
      chosen = {"agent.noisy": is_noisy, "agent.evaluation_epsilon": epsilon}
      settings = replace(Config(), chosen)
      means = evaluate(settings, begin(ON_CART_POLE, settings), {"episode": jnp.arange(10)})
      returns[is_noisy, epsilon] = float(means["return"].total)
  assert returns[True, 0.0] == returns[True, 1.0]
  assert returns[False, 0.0] != returns[False, 1.0]


def test_a_perfect_catcher_scores_one():
  def follow(key, state, action):  # the ball, whatever the agent asks for
    return catch.step(key, state, 1 + jnp.sign(state.column - state.paddle))

  parts = ON_CATCH._replace(environment=lambda _: catch.environment._replace(step=follow))
  state = begin(parts, Config())
  means = dqn.dqn(parts).evaluate(Config(), state, {"episode": jnp.arange(30)})
  assert means["length"].total == 30 * 9  # every episode of Catch has nine steps
  assert means["return"].total == 30


@pytest.mark.parametrize("n_step, least", [(1, 18), (2, 24)])
def test_a_memory_too_small_to_learn_from_is_refused_with_the_least_that_is_not(n_step, least):
  settings = replace(Config(), {"agent.n_step": n_step})
  init = functools.partial(jax.eval_shape, dqn.dqn(ON_CATCH).init)
  with pytest.raises(
    UserError,
    match=rf"agent\.replay_capacity=12 holds 4 time steps of 3 .* give at least {least}\b",
  ):
    init(replace(settings, {"agent.replay_capacity": 12}), jax.random.key(0))
  with pytest.raises(UserError, match="too few"):
    init(replace(settings, {"agent.replay_capacity": least - 1}), jax.random.key(0))
  init(replace(settings, {"agent.replay_capacity": least}), jax.random.key(0))


def test_what_the_environment_gave_is_blamed_where_it_is_not_finite():
  learner = dqn.dqn(ON_CART_POLE)
  state = begin(ON_CART_POLE, Config())
  assert learner.blame(state) is None and learner.blame(begin(ON_CATCH, Config())) is None
  rows, episodes = state.memory.rows, state.episodes
  frame, reward = rows.frame.at[4, 1, 2].set(jnp.nan), rows.reward.at[3, 0].set(-jnp.inf)
  for change, words in (
    ({"memory": state.memory._replace(rows=rows._replace(frame=frame))}, "an observation .* nan"),
    ({"memory": state.memory._replace(rows=rows._replace(reward=reward))}, "a reward .* -inf"),
    (
      {"episodes": episodes._replace(observation=episodes.observation.at[2].set(jnp.inf))},
      "an observation of the environment is inf",
    ),
  ):
    assert re.fullmatch(words, learner.blame(state._replace(**change)))


@pytest.mark.slow
def test_an_environment_that_gives_nan_is_named_in_place_of_the_step_size(tmp_path):
  def step(key, state, action):
    taken = cart_pole.environment.step(key, state, action)
    return taken._replace(observation=taken.observation * jnp.where(taken.reward > 0, jnp.nan, 1))

  broken = cart_pole.environment._replace(step=step)
  agent = ON_CART_POLE._replace(environment=lambda config: broken)
  made = dqn_training(agent, evaluations=1)(Config(), 0)
  with pytest.raises(DivergedError, match=r"an observation of the environment is nan: mend"):
    Lab(tmp_path, seed=0, options=Options()).fit("train", Config(), made)


def test_an_average_of_the_weights_is_played_in_evaluation():
  recipe = ON_CATCH._replace(
    optimizer=lambda config: make_optimizer(config.optimizer, 50, beside=("ema",))
  )
  learner = dqn.dqn(recipe)
  config = Config(optimizer=Optimizer("sgd", 0.1, ema=0.9))
  state = jax.eval_shape(learner.init, config, jax.random.key(0))
  assert jax.tree.structure(state.raw) == jax.tree.structure(state.params)
  after, _ = jax.eval_shape(learner.step, config, state, {})
  assert jax.tree.structure(after) == jax.tree.structure(state)
  with pytest.raises(UserError, match="ema: this learner keeps no average"):
    jax.eval_shape(dqn.dqn(ON_CATCH).init, config, jax.random.key(0))
