import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.rl import agent


@pytest.mark.parametrize("epsilon, shares", [(0.0, [0, 1, 0]), (0.3, [0.1, 0.8, 0.1])])
def test_epsilon_greedy_draws_all_actions_alike(epsilon, shares):
  values = jnp.tile(jnp.array([[0.0, 2.0, 1.0]]), (6000, 1))
  actions = agent.epsilon_greedy(values, epsilon, jax.random.key(0))
  np.testing.assert_allclose(np.bincount(actions, minlength=3) / 6000, shares, atol=0.02)
