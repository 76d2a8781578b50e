import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.errors import UserError
from research.rl import agent

pytestmark = pytest.mark.fast


@pytest.mark.parametrize("epsilon, shares", [(0.0, [0, 1, 0]), (0.3, [0.1, 0.8, 0.1])])
def test_epsilon_greedy_draws_all_actions_alike(epsilon, shares):
  values = jnp.tile(jnp.array([[0.0, 2.0, 1.0]]), (6000, 1))
  actions = agent.epsilon_greedy(values, epsilon, jax.random.key(0))
  np.testing.assert_allclose(np.bincount(actions, minlength=3) / 6000, shares, atol=0.02)


@pytest.mark.parametrize("v_min", [5.0, 7.0])
def test_bounds_between_which_there_is_nothing_are_refused_where_they_count(v_min):
  settings = {"v_min": v_min, "v_max": 5.0}
  for other in ("none", "qr"):
    agent.check(agent.DQNConfig(distributional=other, **settings))
  agent.check(agent.DQNConfig(distributional="c51", v_min=4.9, v_max=5.0))
  with pytest.raises(UserError, match=rf"agent\.v_min={v_min:g} is not below agent\.v_max=5,"):
    agent.check(agent.DQNConfig(distributional="c51", **settings))
