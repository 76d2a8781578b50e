import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.vision.segnet import WIDTHS
from research.models.segnet import SegNet

pytestmark = pytest.mark.fast


def shapes(decoder):
  model = SegNet(WIDTHS[decoder], 6, decoder)
  outputs, variables = jax.eval_shape(
    lambda: model.init_with_output(jax.random.key(0), jnp.zeros((1, 16, 24, 3)))
  )
  return outputs.shape, sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def test_decoders_have_equal_parameters_or_nearly():
  found = {decoder: shapes(decoder) for decoder in WIDTHS}
  assert {shape for shape, _ in found.values()} == {(1, 16, 24, 6)}
  assert found["indices"] == found["bilinear"]
  assert found["unet"][1] / found["indices"][1] == pytest.approx(1, abs=1e-3)


def test_only_places_tell_the_decoder_which_pixel_of_a_window_it_was():
  """A bright pixel in a window moves the logits with it where places are kept."""
  model = SegNet((2,), 2, "indices")
  x = jnp.zeros((2, 8, 8, 1)).at[0, 3, 3].set(1.0).at[1, 2, 2].set(1.0)
  variables = model.init(jax.random.key(0), x)
  kernel = variables["params"]["Conv_0"]["kernel"]
  params = {**variables["params"], "Conv_0": {"kernel": jnp.zeros_like(kernel).at[1, 1].set(1.0)}}
  centre = lambda decoder: model.clone(decoder=decoder).apply({**variables, "params": params}, x)
  first, second = centre("indices")
  np.testing.assert_allclose(first[1:, 1:], second[:-1, :-1], atol=1e-5)
  assert jnp.abs(first - second).max() > 1e-3
  first, second = centre("bilinear")
  np.testing.assert_allclose(first, second, atol=1e-6)
