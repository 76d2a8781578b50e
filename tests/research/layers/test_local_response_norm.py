import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.layers.local_response_norm import local_response_norm


@pytest.mark.parametrize("channels, neighbours", [(7, 5), (3, 5), (6, 3), (1, 5)])
def test_equals_the_papers_sum(channels, neighbours):
  a = np.random.default_rng(0).normal(size=(2, 3, channels))
  expected = np.empty_like(a)
  for i in range(channels):
    first, last = max(0, i - neighbours // 2), min(channels - 1, i + neighbours // 2)
    sums = (a[..., first : last + 1] ** 2).sum(-1)
    expected[..., i] = a[..., i] / (2 + 0.5 * sums) ** 0.75
  with jax.enable_x64(True):
    y = local_response_norm(jnp.asarray(a), neighbours=neighbours, strength=0.5)
    np.testing.assert_allclose(y, expected, rtol=1e-12)


def test_the_papers_constants():
  y = local_response_norm(jnp.full((1, 9), 100.0))
  np.testing.assert_allclose(y[0, 4], 100 / (2 + 1e-4 * 5e4) ** 0.75, rtol=1e-6)
  np.testing.assert_allclose(y[0, 0], 100 / (2 + 1e-4 * 3e4) ** 0.75, rtol=1e-6)
