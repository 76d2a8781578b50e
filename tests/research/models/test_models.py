import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from research.initializers import initializer
from research.layers.pooling import max_pool
from research.models.lenet import LeNet
from research.models.mlp import MLP
from research.models.resnet import BasicBlock, CifarResNet, padded_identity, relu_of_sum
from research.models.simple_convnet import SimpleConvNet


def count(model, shape):
  variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *shape)))
  return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


@pytest.mark.parametrize(
  "model, shape, parameters",
  [
    (MLP((50, 10)), (28, 28, 1), 39_760),
    (SimpleConvNet(), (28, 28, 1), 433_890),
    (LeNet(), (28, 28, 1), 61_706),
    (LeNet(batch_norm=True), (28, 28, 1), 61_706 + 2 * (6 + 16 + 120 + 84)),
    (CifarResNet(20), (32, 32, 3), 269_722),
    (CifarResNet(32), (32, 32, 3), 464_154),
    (CifarResNet(110), (32, 32, 3), 1_727_962),
  ],
)
def test_parameter_counts(model, shape, parameters):
  assert count(model, shape) == parameters


@pytest.mark.parametrize(
  "model, shape",
  [
    (MLP((7, 5), batch_norm=True, dropout_rate=0.5), (4, 4, 1)),
    (SimpleConvNet(filters=3, hidden=4, classes=5), (12, 12, 1)),
    (LeNet(classes=5, activation=linen.relu, pool=max_pool, batch_norm=True), (28, 28, 1)),
    (CifarResNet(8, width=4, classes=5), (8, 8, 3)),
  ],
)
def test_trains_and_evaluates_to_logits(model, shape):
  x = jax.random.normal(jax.random.key(0), (2, *shape))
  variables = model.init(jax.random.key(1), x)
  rngs = {"dropout": jax.random.key(2)}
  logits, _ = model.apply(variables, x, train=True, mutable="batch_stats", rngs=rngs)
  assert logits.shape == model.apply(variables, x).shape == (2, 5)


@pytest.mark.parametrize(
  "model, shape",
  [
    (MLP((7, 5), kernel_init=initializer("constant", 3.0)), (4, 4, 1)),
    (SimpleConvNet(3, hidden=4, kernel_init=initializer("constant", 3.0)), (12, 12, 1)),
    (LeNet(kernel_init=initializer("constant", 3.0)), (28, 28, 1)),
    (CifarResNet(8, width=4, kernel_init=initializer("constant", 3.0)), (8, 8, 3)),
  ],
  ids=lambda value: type(value).__name__,
)
def test_every_weight_comes_from_the_given_initializer(model, shape):
  params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, *shape)))["params"]
  for path, leaf in jax.tree_util.tree_leaves_with_path(params):
    if path[-1].key == "kernel":
      np.testing.assert_array_equal(leaf, 3, err_msg=str(path))


def test_an_impossible_depth_is_refused():
  with pytest.raises(ValueError, match="21 is not 6n"):
    count(CifarResNet(21), (8, 8, 3))


def test_option_a_subsamples_and_pads_channels():
  x = jnp.arange(16.0).reshape(1, 4, 4, 1)
  y = padded_identity(x, 3, 2)
  np.testing.assert_array_equal(y[0, :, :, 1], [[0, 2], [8, 10]])
  assert float(jnp.abs(y[..., jnp.array([0, 2])]).sum()) == 0


def test_a_block_of_zero_kernels_is_the_relu_of_its_input():
  x = jax.random.normal(jax.random.key(0), (2, 4, 4, 8))
  block = BasicBlock(8)
  variables = jax.tree.map(jnp.zeros_like, block.init(jax.random.key(1), x))
  np.testing.assert_array_equal(block.apply(variables, x), linen.relu(x))


def test_the_end_of_a_block_has_relus_values_and_gradient():
  y, x, weights = jax.random.normal(jax.random.key(0), (3, 2, 5, 5, 4))
  y = y.at[0, 0, 0].set(-x[0, 0, 0])  # where the sum is 0, relu's gradient is 0
  ours = jax.value_and_grad(lambda *a: jnp.sum(relu_of_sum(*a) * weights), argnums=(0, 1))
  relus = jax.value_and_grad(lambda y, x: jnp.sum(jax.nn.relu(y + x) * weights), argnums=(0, 1))
  (value, slopes), (expected, expected_slopes) = ours(y, x), relus(y, x)
  np.testing.assert_allclose(value, expected, rtol=1e-6)
  np.testing.assert_array_equal(slopes, expected_slopes)
