import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.layers.transformer import FeedForward, LayerNorm, Residual
from research.models.transformer import Decoder, Encoder

pytestmark = pytest.mark.fast

X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 16)), jnp.float32)


def norm(x):
  """In float64."""
  x = np.asarray(x, np.float64)
  return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


@pytest.mark.parametrize("pre_norm", [False, True])
def test_the_residual_adds_to_what_came_in(pre_norm):
  x, double = 3 * X + 1, lambda x: 2 * x
  layer = Residual(pre_norm, 0.0)
  variables = layer.init(jax.random.key(0), x, double, False)
  expected = x + 2 * norm(x) if pre_norm else norm(x + 2 * x)
  np.testing.assert_allclose(layer.apply(variables, x, double, False), expected, atol=1e-5)


def test_dropout_is_on_the_sublayer_alone_and_in_training_alone():
  layer, x = Residual(True, 0.5), jnp.zeros((1, 100, 16))
  run = lambda train: layer.apply(
    {"params": {"LayerNorm_0": {"scale": jnp.ones(16), "bias": jnp.zeros(16)}}},
    x + 5,
    jnp.ones_like,
    train,
    rngs={"dropout": jax.random.key(0)},
  )
  np.testing.assert_array_equal(run(False), 6)
  seen, counts = np.unique(run(True), return_counts=True)
  np.testing.assert_array_equal(seen, [5, 7])
  assert 600 < counts[0] < 1000


def test_the_feed_forward_net_is_two_layers_with_a_relu_between():
  layer = FeedForward(16, 5)
  params = layer.init(jax.random.key(0), X)["params"]
  first, second = (jax.tree.map(np.asarray, params[f"Dense_{i}"]) for i in range(2))
  hidden = np.maximum(X @ first["kernel"], 0)
  np.testing.assert_allclose(
    layer.apply({"params": params}, X), hidden @ second["kernel"], atol=1e-5
  )


NORMS = {
  "of a layer": lambda x: LayerNorm().init_with_output(jax.random.key(0), x)[0],
  "of the encoder": lambda x: Encoder(0, 16, 1, 1, pre_norm=True).init_with_output(
    jax.random.key(0), x, jnp.ones(x.shape[:2], bool)
  )[0],
  "of the decoder": lambda x: Decoder(0, 16, 1, 1, pre_norm=True).init_with_output(
    jax.random.key(0), x, [], jnp.ones(x.shape[:2], bool)
  )[0][0],
}


@pytest.mark.parametrize("where", NORMS)
def test_a_large_mean_costs_the_norm_no_digits(where):
  for mean in (0, 1000):
    x = mean + X
    # The numbers themselves have a last digit of 6e-5 at 1000.
    np.testing.assert_allclose(NORMS[where](x), norm(x), atol=1e-6 + mean * 5e-7)
