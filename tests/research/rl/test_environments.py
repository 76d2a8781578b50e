import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.errors import UserError
from research.rl import cart_pole, catch, grid_world, minatar
from research.rl.environment import Environment, Transition, advance, begin

# Action, state and next state of gymnasium 1.3.0's CartPole-v1.
GOLDEN = [
  (1, [0.01, -0.02, 0.03, 0.04], [0.0096, 0.1746792, 0.0308, -0.2430687]),
  (0, [2.39, 1.5, -0.2, -0.7], [2.42, 1.3081296, -0.214, -0.4763402]),
]


def test_cart_pole_has_gymnasiums_physics():
  gymnasium = pytest.importorskip("gymnasium")
  theirs = gymnasium.make("CartPole-v1").unwrapped
  step = jax.jit(cart_pole.step)
  rng = np.random.default_rng(0)
  has_failed = []
  for _ in range(300):
    physics = rng.uniform(-1, 1, 4) * [2.5, 2, 0.22, 2]
    action = int(rng.integers(2))
    theirs.reset()
    theirs.state = physics
    seen, reward, terminated, _, _ = theirs.step(action)
    state = cart_pole.State(jnp.asarray(physics, jnp.float32), jnp.int32(0))
    ours = step(jax.random.key(0), state, jnp.int32(action))
    np.testing.assert_allclose(ours.observation, seen, atol=1e-5)
    assert (ours.reward, ours.discount == 0, bool(ours.is_last)) == (reward, terminated, terminated)
    has_failed.append(terminated)
  assert 20 < sum(has_failed) < 280


@pytest.mark.parametrize("action, before, after", GOLDEN)
def test_cart_pole_by_golden_values(action, before, after):
  taken = cart_pole.step(
    jax.random.key(0), cart_pole.State(jnp.array(before), jnp.int32(499)), jnp.int32(action)
  )
  np.testing.assert_allclose(taken.observation, after, atol=1e-6)
  # Step 500 ends the episode, but not the returns: those end where the pole or the cart does.
  assert taken.is_last and taken.discount == (abs(after[0]) <= 2.4)


def test_catch_rewards_the_paddle_under_the_ball():
  def play(ball, moves):
    state = catch.State(jnp.int32(0), jnp.int32(ball), jnp.int32(5))
    for move in moves:
      taken = catch.step(jax.random.key(0), state, jnp.int32(move))
      state = taken.state
    return float(taken.reward), float(taken.discount), bool(taken.is_last)

  assert play(7, [2, 2] + [1] * 7) == (1, 0, True)
  assert play(7, [1] * 9) == (-1, 0, True)
  assert play(7, [1] * 8) == (0, 1, False)
  assert play(9, [2] * 9) == (1, 0, True)  # the wall holds the paddle
  pixels = catch.observe(catch.State(jnp.int32(2), jnp.int32(7), jnp.int32(5)))
  assert sorted(map(tuple, np.argwhere(pixels[..., 0] == 255))) == [(2, 7), (9, 5)]


def counter(longest, ends_at):
  """Counts its steps; ends by itself at `ends_at`, is cut off after `longest`."""

  def step(key, state, action):
    state = state + 1
    ends = state == ends_at
    return Transition(
      state, state, jnp.float32(1), jnp.where(ends, 0.0, 1.0), ends | (state >= longest)
    )

  return Environment(
    lambda key: (jnp.int32(0), jnp.int32(0)), step, lambda state: None, (), longest
  )


def trace(environment, timesteps):
  episode = begin(environment, jax.random.key(0))
  step = jax.jit(functools.partial(advance, environment))
  seen, told, lengths = [], [], []
  for _ in range(timesteps):
    seen.append((int(episode.observation), bool(episode.is_first), bool(episode.is_truncated)))
    episode, outcome = step(jax.random.key(1), episode, jnp.int32(0))
    told.append((float(outcome.reward), float(outcome.discount), bool(outcome.is_over)))
    if outcome.is_over:
      lengths.append((int(episode.last_length), float(episode.last_return)))
  assert set(lengths) == {(2, 2.0)}
  return seen, told


def test_an_episode_that_ends_by_itself_is_followed_at_once():
  seen, told = trace(counter(longest=9, ends_at=2), 4)
  assert seen == [(0, True, False), (1, False, False), (0, True, False), (1, False, False)]
  assert told == [(1, 1, False), (1, 0, True)] * 2


def test_the_last_observation_of_a_truncated_episode_is_seen():
  seen, told = trace(counter(longest=2, ends_at=-1), 6)
  assert seen == [(0, True, False), (1, False, False), (2, False, True)] * 2
  assert told == [(1, 1, False), (1, 1, True), (0, 1, False)] * 2


def test_the_grid_worlds_tables_are_those_of_its_steps():
  world = grid_world.world(("S.#", "X.G"), slip=0.2)
  assert world.start == 0 and world.shape == (2, 3)
  np.testing.assert_allclose(world.chance.sum(axis=-1), 1)
  # Right from the start: on in 0.8; up is the edge (stays), down is the pit.
  np.testing.assert_allclose(world.chance[0, 1], [0.1, 0.8, 0, 0.1, 0, 0])
  np.testing.assert_allclose(world.chance[1, 1, [1, 4]], [0.9, 0.1])  # the wall, the edge; down
  environment = grid_world.environment(world, max_episode_steps=20)
  state, _ = environment.reset(jax.random.key(0))
  keys = jax.random.split(jax.random.key(1), 4000)
  taken = jax.vmap(environment.step, in_axes=(0, None, None))(keys, state, jnp.int32(1))
  shares = np.bincount(taken.observation, minlength=6) / 4000
  np.testing.assert_allclose(shares, world.chance[0, 1], atol=0.03)
  in_pit = np.asarray(taken.observation) == 3
  np.testing.assert_array_equal(taken.reward, np.where(in_pit, -1, 0))
  np.testing.assert_array_equal(taken.discount, np.where(in_pit, 0, 1))


def test_value_iteration_finds_values_known_by_hand():
  world = grid_world.world(("S.G",), slip=0.0)
  q = grid_world.optimal_values(world, 0.5)
  right, left = grid_world.ACTIONS.index("right"), grid_world.ACTIONS.index("left")
  assert q[1, right] == 1 and q[0, right] == 0.5 and q[0, left] == 0.25
  assert not q[2].any()


def test_a_map_without_a_start_is_refused():
  with pytest.raises(ValueError, match="one start"):
    grid_world.world(("..G",), slip=0.0)


def test_minatar_has_the_papers_rules():
  pytest.importorskip("pgx")
  environment = minatar.environment("breakout")
  assert len(environment.actions) == 6
  state, frame = environment.reset(jax.random.key(0))
  assert frame.dtype == jnp.uint8 and frame.shape == (10, 10, 4)
  # After a step to the left, "none" still moves the paddle left with probability 0.1.
  one = jax.jit(environment.step)
  taken = one(jax.random.key(0), state, jnp.int32(1))
  at = lambda seen: np.argmax(np.asarray(seen)[..., 9, :, 0], axis=-1)
  before = at(taken.observation)
  step = jax.jit(jax.vmap(environment.step, in_axes=(0, None, None)))
  after = at(step(jax.random.split(jax.random.key(2), 4000), taken.state, jnp.int32(0)).observation)
  assert set(after) == {before, before - 1}
  assert np.mean(after == before - 1) == pytest.approx(0.1, abs=0.02)
  # The missed ball ends the episode, and with it all that can be earned.
  discounts = [float(taken.discount)]
  while not taken.is_last:
    taken = one(jax.random.key(len(discounts)), taken.state, jnp.int32(1))
    discounts.append(float(taken.discount))
    assert len(discounts) < 100
  assert discounts == [1.0] * (len(discounts) - 1) + [0.0]


def test_a_game_that_minatar_has_not_is_refused_with_the_nearest():
  with pytest.raises(UserError, match="unknown MinAtar game 'brakeout'; did you mean breakout"):
    minatar.environment("brakeout")


def test_minatar_without_its_package_is_refused_in_one_line(monkeypatch):
  monkeypatch.setitem(__import__("sys").modules, "pgx.minatar", None)
  minatar.environment.cache_clear()
  with pytest.raises(UserError, match=r"needs the package pgx .*\.\[rl\]"):
    minatar.environment("asterix")


def test_every_world_can_be_drawn():
  for environment in (
    cart_pole.environment,
    catch.environment,
    grid_world.environment(grid_world.world(("S.G",), slip=0.0), 5),
  ):
    picture = np.asarray(environment.draw(environment.reset(jax.random.key(0))[0]))
    assert picture.ndim == 3 and picture.shape[-1] == 3
    assert 0 <= picture.min() < picture.max() <= 1
