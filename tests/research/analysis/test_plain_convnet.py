"""Gradients by loops and by NumPy, against the network's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import research as ln
from research.analysis import plain_convnet
from research.layers.convolution import convolve
from research.models.simple_convnet import SimpleConvNet

RNG = np.random.default_rng(2)
IMAGES = RNG.normal(size=(3, 8, 8, 1)).astype(np.float32)
LABELS = np.array([1, 0, 2])


@pytest.fixture(scope="module")
def net():
  """A small net with biases, and its gradient by JAX."""
  model = SimpleConvNet(filters=4, filter_size=3, hidden=5, classes=3)
  x = jnp.asarray(IMAGES)
  params = model.init(jax.random.key(0), x)["params"]
  leaves, structure = jax.tree.flatten(params)
  moved = [leaf + 0.3 * RNG.normal(size=leaf.shape).astype(np.float32) for leaf in leaves]
  params = jax.tree.unflatten(structure, moved)

  def loss(params):
    logits = model.apply({"params": params}, x)
    return ln.softmax_cross_entropy(logits, {"label": jnp.asarray(LABELS)}).mean()

  return jax.tree.map(np.asarray, params), jax.jit(jax.grad(loss))(params)


@pytest.mark.parametrize("form", [plain_convnet.by_loops, plain_convnet.by_numpy])
def test_gradients_are_the_networks(net, form):
  params, expected = net
  found = form(params, IMAGES, LABELS)
  assert jax.tree.structure(found) == jax.tree.structure(expected)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), found, expected)
  assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(found)) > 0.05


@pytest.mark.parametrize(
  "form", [plain_convnet.convolution_by_loops, plain_convnet.convolution_by_numpy]
)
def test_the_convolution_by_itself(form):
  kernel = RNG.normal(size=(3, 3, 1, 2)).astype(np.float32)
  squares = lambda k: 0.5 * jnp.sum(jnp.square(convolve(jnp.asarray(IMAGES), k, (1, 1), "VALID")))
  expected = jax.grad(squares)(jnp.asarray(kernel))
  np.testing.assert_allclose(form(kernel, IMAGES), expected, rtol=1e-4, atol=1e-4)
