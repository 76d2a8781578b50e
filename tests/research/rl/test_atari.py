import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.errors import UserError

pytest.importorskip("ale_py")
import ale_py

from research.rl import atari
from research.rl.environment import advance, begin


def play(keys, actions):
  """Rows of pong: (how they start, a program that plays actions from there, these actions).

  The program gives the episodes after the actions, and the screens and rewards on the way.
  """
  environment = atari.environment("pong")

  def timestep(episodes, action):
    step = jax.vmap(functools.partial(advance, environment))
    episodes, outcome = step(keys, episodes, action)
    return episodes, (episodes.observation, outcome.reward)

  @jax.jit
  def run(episodes, actions):
    return jax.lax.scan(timestep, episodes, actions)

  start = jax.jit(jax.vmap(functools.partial(begin, environment)))(keys)
  return start, run, actions


def test_the_emulator_is_a_pure_function_of_the_state_that_is_carried():
  keys = jax.random.split(jax.random.key(0), 2)
  actions = jax.random.randint(jax.random.key(1), (40, 2), 0, 6)
  start, run, actions = play(keys, actions)
  whole, (screens, rewards) = run(start, actions)
  half, _ = run(start, actions[:20])
  run(start, actions[::-1][:20])  # the host's emulators are elsewhere now
  again, (later, _) = run(jax.tree.map(jnp.asarray, jax.device_get(half)), actions[20:])
  np.testing.assert_array_equal(later, screens[20:])
  for ours, theirs in zip(jax.tree.leaves(again), jax.tree.leaves(whole), strict=True):
    np.testing.assert_array_equal(ours, theirs)
  assert screens.shape == (40, 2, 84, 84, 1) and screens.dtype == jnp.uint8
  assert np.any(screens[0] != screens[-1])
  assert set(np.unique(rewards)) <= {-1.0, 0.0, 1.0}


def test_devices_that_play_at_once_do_not_disturb_each_other():
  keys = jax.random.split(jax.random.key(0), 2)
  actions = jax.random.randint(jax.random.key(1), (10, 2), 0, 6)
  start, run, actions = play(keys, actions)
  alone, _ = run(start, actions)
  copies = jax.tree.map(lambda leaf: jnp.stack([leaf] * 4), (start, actions))
  together, _ = jax.pmap(run)(*copies)
  for ours, theirs in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
    np.testing.assert_array_equal(ours, np.stack([theirs] * 4))


def test_episodes_begin_after_different_idle_frames():
  environment = atari.environment("pong")
  states, _ = jax.vmap(environment.reset)(jax.random.split(jax.random.key(0), 64))
  kinds = {bytes(np.asarray(state)) for state in states.emulator}
  assert 20 < len(kinds) <= atari.MAX_NOOPS


def test_one_game_alone_is_the_first_of_two():
  environment = atari.environment("pong")
  state, _ = environment.reset(jax.random.key(0))
  one = environment.step(jax.random.key(0), state, jnp.int32(2))
  two = jax.vmap(environment.step, in_axes=(None, None, 0))(
    jax.random.key(0), state, jnp.array([2, 3])
  )
  for ours, theirs in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
    np.testing.assert_array_equal(ours, theirs[0])


def test_the_screen_is_luminance_of_84_by_84():
  screen = np.zeros((210, 160, 3), np.uint8)
  screen[:, 80:, 1] = 200  # half green
  small = atari.preprocess(screen)
  assert small.shape == (84, 84, 1) and small.dtype == np.uint8
  assert (small[0, 0, 0], small[0, -1, 0]) == (0, round(0.587 * 200))


def test_an_unknown_game_is_refused_with_the_nearest():
  with pytest.raises(UserError, match="did you mean pong"):
    atari.environment("pnog")


@pytest.mark.parametrize("game", atari.TWO_PLAYER)
def test_a_game_for_two_is_refused_before_it_ends_the_process(game):
  with pytest.raises(UserError, match=f"{game} is a game for two"):
    atari.environment(game)


def test_a_step_is_four_frames_and_shows_the_brightest_of_the_last_two():
  """Frame by frame beside a bare emulator, over a whole game."""
  ours, bare = atari.Emulator("breakout"), ale_py.ALEInterface()
  bare.setFloat("repeat_action_probability", 0.0)
  bare.setInt("random_seed", 0)
  bare.loadROM(ale_py.roms.get_rom_path("breakout"))
  bare.reset_game()
  bare.act(0)  # one idle frame
  state, actions = ours.starts()[0][0], bare.getMinimalActionSet()
  rng = np.random.default_rng(0)
  flickers, total, lives, is_over = 0, 0.0, {5}, False
  while not is_over:
    action = int(rng.integers(len(actions)))
    reward, screens = 0, []
    for _ in range(4):
      reward += bare.act(actions[action])
      screens.append(bare.getScreenRGB())
    state, frame, brought, left, is_over = ours.step(state, action)
    np.testing.assert_array_equal(frame, atari.preprocess(np.maximum(screens[2], screens[3])))
    assert (brought, left, is_over) == (reward, bare.lives(), bare.game_over())
    flickers += np.any(screens[2] != screens[3])
    total += reward
    lives.add(left)
  assert flickers > 20 and total > 0 and lives >= {1, 2, 3, 4, 5}


def test_a_lost_life_ends_the_return_and_the_games_end_the_episode():
  environment = atari.environment("breakout")
  state, _ = environment.reset(jax.random.key(0))
  step, told, is_last = jax.jit(environment.step), [], False
  while not is_last:
    before = int(state.lives)
    taken = step(jax.random.key(0), state, jnp.int32(1 + len(told) % 3))
    state, is_last = taken.state, bool(taken.is_last)
    told.append((before > state.lives, float(taken.discount), is_last))
  assert (True, 0.0, False) in told  # the game goes on
  assert all(discount == 1 for is_lost, discount, is_last in told if not (is_lost or is_last))
  assert told[-1][1:] == (0.0, True)
  nearly = environment.reset(jax.random.key(0))[0]._replace(
    time=jnp.int32(atari.MAX_EPISODE_STEPS - 1)
  )
  cut = step(jax.random.key(0), nearly, jnp.int32(0))
  assert cut.is_last and cut.discount == 1
  assert environment.max_evaluation_steps == 4_500  # of an evaluation
