"""Gymnasium's environments as values: replayed, they are where they were."""

import functools
import sys
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("gymnasium")
import gymnasium

from research.config import nested, pytree_config
from research.errors import UserError
from research.models.q_network import ConvTorso, DenseTorso
from research.optimizers import Optimizer, make_optimizer
from research.rl import dqn, gymnasium_host
from research.rl.agent import Agent, DQNConfig
from research.rl.environment import advance, begin
from research.rl.gymnasium_host import Host, environment


class Walk(gymnasium.Env):
  """A walk of actions and chance: left or right of where it began, seen as whatever is asked for.

  Terminates at 3 to the right; `made` counts all of them, `steps` and `resets` what they did.
  """

  metadata: ClassVar = {"render_modes": []}
  made = steps = resets = 0

  def __init__(self, sees="vector", actions=None, render_mode=None):
    self.sees, self.render_mode = sees, render_mode
    self.action_space = actions or gymnasium.spaces.Discrete(2, start=1)
    self.observation_space = {
      "vector": gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64),
      "image": gymnasium.spaces.Box(0, 255, (4, 5), np.uint8),
      "number": gymnasium.spaces.Discrete(9, start=-4),
      "text": gymnasium.spaces.Text(4),
    }[sees]
    Walk.made += 1

  def reset(self, *, seed=None, options=None):
    super().reset(seed=seed)
    Walk.resets += 1
    self.at, self.luck = 0, self.np_random.normal()
    return self._see(), {}

  def step(self, action):
    Walk.steps += 1
    self.at = max(-4, self.at + {1: -1, 2: 1}[action])
    self.luck = self.np_random.normal()
    return self._see(), self.at / 10, self.at >= 3, False, {}

  def _see(self):
    if self.sees == "vector":
      return np.array([self.at, self.luck])
    return self.at if self.sees == "number" else np.full((4, 5), self.at + 100, np.uint8)


class OneBuffer(Walk):
  """Shows the same array each time, with other things in it."""

  def _see(self):
    if not hasattr(self, "buffer"):
      self.buffer = super()._see()
    self.buffer[:] = super()._see()
    return self.buffer


ENTRIES = {
  "Walk-v0": {"max_episode_steps": 6},
  "ImageWalk-v0": {"kwargs": {"sees": "image"}},
  "NumberWalk-v0": {"kwargs": {"sees": "number"}},
  "TextWalk-v0": {"kwargs": {"sees": "text"}},
  "VagueWalk-v0": {"nondeterministic": True},
  "BoxWalk-v0": {"kwargs": {"actions": gymnasium.spaces.Box(-1, 1, (1,))}},
  "PairWalk-v0": {"kwargs": {"actions": gymnasium.spaces.MultiDiscrete([2, 2])}},
  "BufferWalk-v0": {"entry_point": OneBuffer, "max_episode_steps": 6},
  "ImageBufferWalk-v0": {
    "entry_point": OneBuffer,
    "max_episode_steps": 6,
    "kwargs": {"sees": "image"},
  },
}


@pytest.fixture(autouse=True, scope="module")
def registered():
  for name, entry in ENTRIES.items():
    gymnasium.register(name, **({"entry_point": Walk} | entry))
  yield
  for name in ENTRIES:
    del gymnasium.registry[name]
  environment.cache_clear()


@pytest.fixture(autouse=True)
def counted():
  environment.cache_clear()
  Walk.made = Walk.steps = Walk.resets = 0


def key(number):
  return jax.random.key(number)


@pytest.mark.parametrize("name", ["CartPole-v1", "Acrobot-v1", "FrozenLake-v1", "Walk-v0"])
def test_an_episode_equals_gymnasiums_own_step_by_step(name, monkeypatch):
  monkeypatch.setattr(gymnasium_host, "can_draw", lambda name: False)  # needs no pygame
  ours = environment(name)
  theirs = gymnasium.make(name)
  step = jax.jit(ours.step)
  rng = np.random.default_rng(0)
  ends = []
  for number in range(3):
    state, seen = jax.jit(ours.reset)(key(number))
    expected, _ = theirs.reset(seed=int(state.seed))
    while not state.is_over:
      assert_sees(theirs, seen, expected)
      action = int(rng.integers(len(ours.actions)))
      taken = step(key(0), state, jnp.int32(action))
      expected, reward, terminated, truncated, _ = theirs.step(theirs.action_space.start + action)
      assert float(taken.reward) == np.float32(reward)
      assert (float(taken.discount), bool(taken.is_last)) == (
        not terminated,
        terminated or truncated,
      )
      state, seen = taken.state, taken.observation
    assert_sees(theirs, seen, expected)
    ends.append((int(state.time), terminated, truncated))
  if name == "Acrobot-v1":
    assert (500, False, True) in ends  # cut off by the limit
  else:
    assert any(terminated for _, terminated, _ in ends)


def assert_sees(theirs, ours, expected):
  space = theirs.observation_space
  if isinstance(space, gymnasium.spaces.Discrete):
    assert ours.sum() == 255 and int(ours.argmax()) == expected - space.start
  else:
    np.testing.assert_array_equal(ours, np.asarray(expected, np.float32))


def test_what_is_seen_becomes_a_vector_of_floats_or_an_image_of_bytes():
  shown = {name: jax.eval_shape(environment(name).reset, key(0))[1] for name in list(ENTRIES)[:3]}
  assert {name: (seen.shape, str(seen.dtype)) for name, seen in shown.items()} == {
    "Walk-v0": ((2,), "float32"),
    "ImageWalk-v0": ((4, 5, 1), "uint8"),
    "NumberWalk-v0": ((9,), "uint8"),
  }
  assert environment("ImageWalk-v0").max_evaluation_steps == gymnasium_host.MAX_EPISODE_STEPS
  assert environment("Walk-v0").max_evaluation_steps == 6 and environment("Walk-v0").actions == (
    "0",
    "1",
  )


def rows(name, keys):
  """A row of episodes: what plays some actions, and the beginning."""
  step = jax.vmap(functools.partial(advance, environment(name)))

  def timestep(episodes, action):
    following, outcome = step(keys, episodes, action)
    return following, (episodes.is_truncated, following, outcome)

  play = jax.jit(functools.partial(jax.lax.scan, timestep))
  return play, jax.jit(jax.vmap(functools.partial(begin, environment(name))))(keys)


def assert_equal(ours, theirs):
  for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
    np.testing.assert_array_equal(a, b)


KEYS = jax.random.split(jax.random.key(0), 3)
ACTIONS = jax.random.randint(jax.random.key(1), (31, 3), 0, 2)


def test_episodes_in_a_row_are_played_without_a_replay():
  play, start = rows("Walk-v0", KEYS)
  assert (Walk.steps, Walk.resets) == (0, 3)
  _, (is_truncated, following, outcome) = play(start, ACTIONS)
  assert {int(ends) for ends in outcome.discount[outcome.is_over]} == {0, 1}  # of both kinds
  assert Walk.steps == is_truncated.size - is_truncated.sum()
  assert Walk.resets == 3 + following.is_first.sum()
  assert Walk.made <= 3 + 2  # one for each row, one to ask for its spaces, one to ask for pictures


def test_a_row_of_episodes_goes_on_from_its_state_alone_and_in_any_order():
  """As after a resume, when the host knows nothing, and with the rows swapped."""
  play, start = rows("Walk-v0", KEYS)
  half, _ = play(start, ACTIONS[:16])
  assert np.sum(half.length > 0) >= 2  # in the middle of something
  whole, told = play(half, ACTIONS[16:])
  order = np.array([2, 0, 1])
  swapped = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)[order]), half)
  for is_forgotten in (False, True):
    if is_forgotten:
      environment.cache_clear()
    again, _ = rows("Walk-v0", KEYS[order])
    after, retold = again(swapped, ACTIONS[16:, order])
    assert_equal(after, jax.tree.map(lambda leaf: leaf[order], whole))
    assert_equal(retold, jax.tree.map(lambda leaf: leaf[:, order], told))


@pytest.mark.parametrize("name", ["BufferWalk-v0", "ImageBufferWalk-v0"])
def test_what_was_seen_is_kept_from_an_environment_that_shows_one_buffer(name):
  """Resumed, the second row is replayed by the environment whose episode the first just ended."""
  one = lambda state, action: environment(name).step(key(0), state, action)
  rows = []
  for number, length in ((0, 2), (1, 1)):
    state, _ = environment(name).reset(key(number))
    for _ in range(length):
      state = one(state, jnp.int32(1)).state
    rows.append((state, one(state, jnp.int32(1))))
  states, expected = jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows)
  assert list(expected.is_last) == [True, False]
  environment.cache_clear()
  assert_equal(jax.vmap(one)(states, jnp.ones(2, int)), expected)


def test_devices_that_call_at_once_do_not_disturb_each_other():
  play, start = rows("Walk-v0", KEYS)
  alone, _ = play(start, ACTIONS)
  copies = jax.tree.map(lambda leaf: jnp.stack([leaf] * 4), (start, ACTIONS))
  together, _ = jax.pmap(play)(*copies)
  for device in range(4):
    assert_equal(jax.tree.map(lambda leaf, device=device: leaf[device], together), alone)


def test_rows_in_one_place_and_rows_beyond_those_that_are_kept():
  """Equal episodes do not disturb each other, and a host that keeps too few only works more."""
  make = functools.partial(gymnasium.make, "Walk-v0", disable_env_checker=True)
  host = Host(make, np.dtype(np.uint8), 1)
  few = Host(make, np.dtype(np.uint8), 1)
  few.expect(1)
  few._max_made = 2
  for each in (host, few):
    assert len({each.reset(7)[1] for _ in range(4)}) == 1
    assert each.reset(8)[1] != each.reset(7)[1]
  paths = [b"\1\0", b"\1\0", b"\1\1", b"\0\1"]
  seen = {}
  for each in (host, few):
    Walk.steps = 0
    for time in range(2):
      for lane, path in enumerate(paths):
        observation, *_ = each.step((7, path[:time]), path[time])
        seen.setdefault((time, lane), []).append(tuple(observation))
    assert (Walk.steps == 8) == (each is host) and each._made <= (6 if each is host else 2)
  assert all(ours == theirs for ours, theirs in seen.values())
  assert [seen[1, lane][0][0] for lane in range(4)] == [0, 0, 2, 0]


def test_a_step_from_where_it_is_over_does_nothing():
  world = environment("Walk-v0")
  state, _ = world.reset(key(0))
  for _ in range(3):
    state = world.step(key(0), state, jnp.int32(1)).state
  assert state.is_over and state.time == 3
  before = Walk.steps
  taken = world.step(key(0), state, jnp.int32(0))
  assert taken.is_last and Walk.steps == before
  assert_equal(taken.state, state._replace(actions=taken.state.actions))


def test_seeds_differ_and_decide():
  world = environment("Walk-v0")
  states, seen = jax.vmap(world.reset)(jax.random.split(key(0), 20))
  assert len(set(np.asarray(states.seed))) == len(set(np.asarray(seen[:, 1]))) == 20
  _, again = jax.vmap(world.reset)(jax.random.split(key(0), 20))
  np.testing.assert_array_equal(seen, again)
  state, _ = world.reset(key(0))
  chance = lambda number: world.step(key(number), state, jnp.int32(1)).observation
  np.testing.assert_array_equal(chance(0), chance(1))


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


def parts(name, torso):
  return Agent(
    environment=lambda config: environment(name),
    torso=lambda config: torso,
    hidden=lambda config: 8,
    steps=lambda config: 50,
    optimizer=lambda config: make_optimizer(config.optimizer, 50),
  )


@pytest.mark.parametrize(
  "name, torso", [("Walk-v0", DenseTorso((8,))), ("ImageWalk-v0", ConvTorso(((2, 3, 1),)))]
)
def test_an_agent_that_is_stopped_and_continued_equals_an_uninterrupted_one(name, torso):
  settings, learner = Config(), dqn.dqn(parts(name, torso))
  run = jax.jit(
    lambda config, state: jax.lax.scan(
      lambda state, _: learner.step(config, state, {}), state, None, length=5
    )
  )
  half, _ = run(settings, jax.jit(learner.init)(settings, key(0)))
  assert np.any(half.episodes.state.time > 0)
  saved, before = jax.device_get(half), Walk.steps
  whole, metrics = jax.block_until_ready(run(settings, half))
  work, before = Walk.steps - before, Walk.steps
  again, repeated = run(settings, jax.tree.map(jnp.asarray, saved))  # no game is there any more
  plain = lambda state: state._replace(key=jax.random.key_data(state.key))
  assert_equal(plain(again), plain(whole))
  assert_equal(repeated, metrics)
  assert Walk.steps - before > work  # the replays
  assert np.all(np.isfinite(metrics["loss"])) and np.all(metrics["loss"] > 0)
  means = jax.jit(learner.evaluate)(settings, whole, {"episode": jnp.arange(4)})
  assert 4 * 3 <= means["length"].total <= 4 * environment(name).max_evaluation_steps


def test_pictures_are_gymnasiums_at_a_moderate_size():
  pytest.importorskip("pygame")
  world = environment("CartPole-v1")
  assert gymnasium_host.can_draw("CartPole-v1")
  state, _ = world.reset(key(0))
  theirs = gymnasium.make("CartPole-v1", render_mode="rgb_array")
  theirs.reset(seed=int(state.seed))
  for action in (1, 1, 0):
    picture = np.asarray(world.draw(state))
    expected = theirs.render()
    assert expected.shape == (400, 600, 3) and picture.shape == (150, 225, 3)
    assert abs(picture.mean() - expected.mean() / 255) < 0.005
    assert picture.min() < 0.2 and picture.max() > 0.9
    state = world.step(key(0), state, jnp.int32(action)).state
    theirs.step(action)


def test_an_environment_without_pictures_is_drawn_black():
  assert not gymnasium_host.can_draw("Walk-v0")
  world = environment("Walk-v0")
  assert not np.any(world.draw(world.reset(key(0))[0]))


REFUSED = {
  "Acrobt-v1": "unknown gymnasium environment 'Acrobt-v1'; did you mean Acrobot-v1",
  "CartPole": "did you mean CartPole-v1",
  "ALE/Pong-v9": r"unknown .* \(those of other packages: package:name\)",
  "no_such_module:Walk-v0": "No module named 'no_such_module'",
  "BoxWalk-v0": r"BoxWalk-v0 has the actions Box\(-1\.0, 1\.0.*must be Discrete",
  "PairWalk-v0": r"has the actions MultiDiscrete\(\[2 2\]\)",
  "TextWalk-v0": r"TextWalk-v0 shows Text\(.*agent sees",
  "VagueWalk-v0": "VagueWalk-v0 is registered as nondeterministic",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_played_is_refused_in_one_line(name):
  with pytest.raises(UserError, match=REFUSED[name]) as refusal:
    environment(name)
  assert "\n" not in str(refusal.value)


def test_missing_packages_are_named_with_the_way_out(monkeypatch):
  def unable(self):
    raise gymnasium.error.DependencyNotInstalled("pygame is not installed")

  cart_pole = gymnasium.make("CartPole-v1").unwrapped
  with monkeypatch.context() as patched:
    patched.setattr(type(cart_pole), "render", unable)
    with pytest.raises(UserError, match=r"cannot be drawn: pygame is .*\.\[rl\]"):
      environment("CartPole-v1")
    patched.setattr(type(cart_pole), "__init__", unable)
    with pytest.raises(UserError, match="CartPole-v1 cannot be made: pygame is not installed"):
      environment("CartPole-v1")
  monkeypatch.setitem(sys.modules, "gymnasium", None)
  with pytest.raises(UserError, match=r"needs the package gymnasium .*\.\[rl\]"):
    environment("CartPole-v1")
