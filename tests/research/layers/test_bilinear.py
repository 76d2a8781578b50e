import jax
import numpy as np
import pytest

from research.layers.bilinear import Upsample, bilinear_kernel

pytestmark = pytest.mark.fast


@pytest.mark.parametrize("factor", [2, 4])
def test_it_begins_as_a_bilinear_resize(factor):
  x = jax.random.normal(jax.random.key(0), (2, 5, 6, 3))
  layer = Upsample(factor)
  params = layer.init(jax.random.key(1), x)
  found = layer.apply(params, x)
  wanted = jax.image.resize(x, (2, 5 * factor, 6 * factor, 3), "bilinear")
  inner = (slice(None), slice(factor, -factor), slice(factor, -factor))
  assert found.shape == wanted.shape
  np.testing.assert_allclose(found[inner], wanted[inner], atol=1e-6)


def test_a_channel_takes_nothing_from_the_others():
  kernel = bilinear_kernel(None, (4, 4, 3, 3))
  np.testing.assert_array_equal(kernel[..., 0, 1], 0)
  np.testing.assert_allclose(kernel[..., 2, 2].sum(), 4, rtol=1e-6)
