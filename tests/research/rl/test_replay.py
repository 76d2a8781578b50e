import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.rl import prioritised, replay, sum_tree
from research.rl.replay import Indices, Rows

GAMMA = 0.9
ENVIRONMENTS = 3


def play(timesteps, seed=0):
  """Rows of a made-up game; frame numbers tell where each came from. [timesteps, environments]."""
  rng = np.random.default_rng(seed)
  shape = (timesteps, ENVIRONMENTS)
  end = rng.choice(3, shape, p=[0.7, 0.15, 0.15])  # goes on, ends by itself, is cut off here
  first, cut, nonterminal = np.zeros(shape, bool), end == 2, end != 1
  cut[0] = False
  nonterminal |= cut
  first[0] = True
  first[1:] = ~nonterminal[:-1] | cut[:-1]
  cut &= ~first  # an episode has at least one step
  frames = (1 + np.arange(timesteps * ENVIRONMENTS)).reshape(*shape, 1)
  rewards = np.where(cut, 0, rng.normal(size=shape)).astype(np.float32)
  return Rows(frames.astype(np.int32), rng.integers(0, 4, shape), rewards, nonterminal, first, cut)


def written(rows, capacity, at_once):
  memory = replay.empty(capacity, ENVIRONMENTS, jax.ShapeDtypeStruct((1,), jnp.int32))
  write = jax.jit(replay.write)
  for at in range(0, len(rows.action), at_once):
    memory = write(
      memory, jax.tree.map(lambda part, at=at: jnp.asarray(part[at : at + at_once]), rows)
    )
  return memory


def slow_transition(rows, row, env, n_step):
  """One transition, step by step: (reward, discount, row bootstrapped from)."""
  reward, discount, at = 0.0, 1.0, row
  for _ in range(n_step):
    if rows.is_truncated[at, env]:
      break
    reward += discount * rows.reward[at, env]
    discount *= GAMMA
    if not rows.nonterminal[at, env]:
      return reward, 0.0, None
    at += 1
  return reward, discount, at


def slow_stack(rows, row, env, stack):
  frames = [int(rows.frame[row, env, 0])]
  while len(frames) < stack:
    if rows.is_first[row, env]:
      return [0] * (stack - len(frames)) + frames
    row -= 1
    frames.insert(0, int(rows.frame[row, env, 0]))
  return frames


def test_large_frames_are_stored_flat_and_come_back_as_they_were():
  shape = (33, 32, 1)
  assert replay.stored_shape(shape) == (1152,)  # nine lines of 128
  assert replay.stored_shape((84, 84, 1)) == (56 * 128,)
  assert replay.stored_shape((10, 10, 4)) == (10, 10, 4)
  images = np.random.default_rng(0).integers(0, 256, (12, ENVIRONMENTS, *shape), np.uint8)
  rows = play(12)._replace(frame=images)
  memory = replay.empty(8, ENVIRONMENTS, jax.ShapeDtypeStruct(shape, jnp.uint8))
  for at in range(0, 12, 4):
    part = jax.tree.map(lambda part, at=at: jnp.asarray(part[at : at + 4]), rows)
    memory = replay.write(memory, part)
  assert memory.rows.frame.shape == (8, ENVIRONMENTS, 1152)
  for env in range(ENVIRONMENTS):
    found = replay.stacked(memory, Indices(jnp.array([11]), jnp.array([env])), shape, 2)
    is_first = rows.is_first[11, env]
    np.testing.assert_array_equal(found[0, ..., 1:], images[11, env])
    np.testing.assert_array_equal(found[0, ..., :1], 0 if is_first else images[10, env])


@pytest.mark.parametrize("n_step", [1, 3])
@pytest.mark.parametrize("timesteps", [20, 52])  # before the ring is full, and after
def test_transitions_equal_a_slow_reference_across_episodes_ends(n_step, timesteps):
  rows, stack = play(timesteps), 3
  memory = written(rows, 24, 4)
  first = int(replay.oldest(memory, stack))
  indices = [(row, env) for row in range(first, timesteps - n_step) for env in range(ENVIRONMENTS)]
  batch = replay.transitions(
    memory,
    Indices(*jnp.asarray(indices).T),
    (1,),
    n_step=n_step,
    frame_stack=stack,
    discount=GAMMA,
  )
  assert len(indices) > 30
  ends = 0
  for number, (row, env) in enumerate(indices):
    reward, discount, after = slow_transition(rows, row, env, n_step)
    assert batch.weight[number] == (not rows.is_truncated[row, env])
    assert batch.r_t[number] == pytest.approx(reward, abs=1e-5)
    assert batch.discount_t[number] == pytest.approx(discount, abs=1e-6)
    assert list(np.asarray(batch.s_tm1[number])) == slow_stack(rows, row, env, stack)
    assert batch.a_tm1[number] == rows.action[row, env]
    if after is not None:
      assert list(np.asarray(batch.s_t[number])) == slow_stack(rows, after, env, stack)
    ends += after is None
  assert ends > 5


def test_uniform_replay_draws_every_whole_place_alike_and_no_other():
  rows, stack, n_step = play(52), 3, 3
  memory = written(rows, 24, 4)
  indices = replay.uniform(memory, jax.random.key(0), 6000, n_step=n_step, frame_stack=stack)
  assert (int(indices.row.min()), int(indices.row.max())) == (52 - 24 + 2, 52 - 3 - 1)
  numbers = np.asarray((indices.row - 30) * ENVIRONMENTS + indices.env)
  counts = np.bincount(numbers, minlength=19 * ENVIRONMENTS)
  assert counts.min() > 60 and counts.max() < 155  # 105 each is even


def test_without_replay_the_newest_are_taken_once_each():
  memory = written(play(52), 24, 4)
  indices = replay.latest(memory, 2 * ENVIRONMENTS, n_step=1)
  assert sorted(zip(indices.row.tolist(), indices.env.tolist(), strict=True)) == [
    (row, env) for row in (49, 50) for env in range(ENVIRONMENTS)
  ]


def backwards(monkeypatch):
  """The sum tree's scatters in the other order, which an accelerator may take."""
  update = sum_tree.update
  monkeypatch.setattr(
    sum_tree, "update", lambda tree, leaves, values: update(tree, leaves[::-1], values[::-1])
  )


def admitted(rows, timesteps, n_step, stack):
  """Memory and priorities after four rows at a time."""
  memory = written(Rows(*(part[:0] for part in rows)), 24, 4)
  priorities = prioritised.empty(memory)
  add = jax.jit(lambda *of: prioritised.add(*of, 4, n_step=n_step, frame_stack=stack))
  for at in range(0, timesteps, 4):
    memory = replay.write(
      memory, jax.tree.map(lambda part, at=at: jnp.asarray(part[at : at + 4]), rows)
    )
    priorities = add(priorities, memory)
  return memory, priorities


@pytest.mark.parametrize("timesteps", [20, 52])
@pytest.mark.parametrize(("n_step", "stack"), [(1, 1), (1, 4), (3, 1), (3, 4), (4, 1)])
@pytest.mark.parametrize("order", ["forwards", "backwards"])
def test_exactly_the_whole_transitions_have_a_priority(
  monkeypatch, order, n_step, stack, timesteps
):
  if order == "backwards":
    backwards(monkeypatch)
  rows = play(timesteps)
  memory, priorities = admitted(rows, timesteps, n_step, stack)
  expected = np.zeros((24, ENVIRONMENTS))
  for row in range(int(replay.oldest(memory, stack)), timesteps - n_step):
    expected[row % 24] = ~rows.is_truncated[row]
  leaves = np.asarray(priorities.tree[-1]).reshape(-1)[: 24 * ENVIRONMENTS]
  np.testing.assert_array_equal(leaves.reshape(24, -1), expected)


def test_a_place_drawn_twice_has_the_priority_of_the_last_in_any_order(monkeypatch):
  rows = play(20)
  memory, priorities = admitted(rows, 20, 1, 1)
  row = int(np.flatnonzero(~rows.is_truncated[:19, 1])[0])
  indices = Indices(jnp.array([row, row + 1, row]), jnp.array([1, 1, 1]))
  for _ in range(2):
    revised = prioritised.update(
      priorities, memory, indices, jnp.array([1.0, 2.0, 3.0]), 1.0, jnp.bool_(True)
    )
    leaves = np.asarray(revised.tree[-1]).reshape(-1)
    assert leaves[row * ENVIRONMENTS + 1] == pytest.approx(3)
    backwards(monkeypatch)


@pytest.mark.parametrize("timesteps", [20, 52])
def test_larger_priorities_are_drawn_more_and_weigh_less(timesteps):
  rows = play(timesteps)
  memory, priorities = admitted(rows, timesteps, 3, 3)
  indices = prioritised.sample(priorities, memory, jax.random.key(0), 30)
  np.testing.assert_array_equal(np.asarray(rows.is_truncated)[indices.row, indices.env], False)
  priority = jnp.where(indices.env == 0, 4.0, 1.0)
  revise = lambda is_learnt: prioritised.update(
    priorities, memory, indices, priority, 0.5, jnp.bool_(is_learnt)
  )
  for ours, before in zip(jax.tree.leaves(revise(False)), jax.tree.leaves(priorities), strict=True):
    np.testing.assert_allclose(ours, before, rtol=1e-6)
  revised = revise(True)
  assert revised.max_priority == pytest.approx(2, rel=1e-3)
  weight = prioritised.importance_weights(revised, memory, indices, 1.0)
  np.testing.assert_allclose(weight, jnp.where(indices.env == 0, 0.5, 1.0), rtol=1e-3)


def test_the_agent_sees_frames_of_one_episode_only():
  stack = jnp.array([1, 2, 3])
  np.testing.assert_array_equal(replay.push(stack, jnp.array([4]), jnp.bool_(False)), [2, 3, 4])
  np.testing.assert_array_equal(replay.push(stack, jnp.array([4]), jnp.bool_(True)), [0, 0, 4])
