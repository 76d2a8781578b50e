"""Layers of flax and lax under `with_fast_gradients`: the same numbers, by other operations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from research.layers.fast_gradients import with_fast_gradients
from research.learner import supervised
from research.losses import softmax_cross_entropy

FLAT, WIDE, DEEP = (2, 9, 8), (2, 9, 8, 8), (2, 5, 4, 3, 8)  # inputs of one to three axes
plane = functools.partial(nn.Conv, 8, (3, 3))
back = functools.partial(nn.ConvTranspose, 4, (3, 2))


class Pool(nn.Module):
  """A pooling with ties: its inputs are a few whole numbers."""

  pool: str
  window: tuple[int, int]
  strides: tuple[int, int]
  padding: object

  def __call__(self, x):
    x = x + jax.lax.stop_gradient(jnp.round(x) - x)  # ties, each with a gradient of its own
    return getattr(nn, self.pool)(x, self.window, self.strides, self.padding)


class Inside(nn.Module):
  """A convolution that stands in a compiled function, behind a random number."""

  @nn.compact
  def __call__(self, x):
    x = x * jax.random.bernoulli(jax.random.key(3), 0.5, x.shape)
    return nn.relu(nn.jit(nn.Conv)(4, (3, 3))(x))


# name: layer, shape of its input, whether it is put in other words
LAYERS = {
  "same": (plane(), WIDE, True),
  "valid, strided, no bias": (plane(strides=2, padding="VALID", use_bias=False), WIDE, True),
  "circular": (plane(padding="CIRCULAR"), WIDE, True),
  "reflected": (plane(padding="REFLECT", strides=(1, 2)), WIDE, True),
  "uneven": (plane(padding=[(2, 0), (1, 3)], strides=(2, 3)), WIDE, True),
  "cropped": (plane(padding=[(-1, 0), (1, -2)]), WIDE, True),
  "dilated": (plane(kernel_dilation=2), WIDE, True),
  "dilated, strided": (plane(kernel_dilation=(1, 3), strides=2), WIDE, True),
  "inputs dilated": (plane(input_dilation=(2, 3), padding=1), WIDE, True),
  "both dilated": (plane(input_dilation=2, kernel_dilation=2, padding=2), WIDE, False),
  "two groups": (plane(feature_group_count=2, strides=2), WIDE, True),
  "many groups": (nn.Conv(16, (3, 3), feature_group_count=8), (2, 9, 8, 16), False),
  "depthwise": (
    plane(feature_group_count=8, strides=(2, 1), padding=[(2, 0), (-1, 1)]),
    WIDE,
    True,
  ),
  "depthwise, two each": (
    nn.Conv(16, (3, 2), feature_group_count=8, kernel_dilation=(1, 2)),
    WIDE,
    True,
  ),
  "depthwise signal": (nn.Conv(8, (3,), feature_group_count=8), FLAT, True),
  "masked": (plane(mask=jnp.arange(576.0).reshape(3, 3, 8, 8) % 2), WIDE, True),
  "one tap": (nn.Conv(3, (1, 1), strides=2), WIDE, True),
  "few channels": (plane(), (2, 7, 6, 3), True),
  "batches of batches": (plane(), (2, 3, 6, 5, 3), True),
  "one image": (plane(), (6, 5, 3), True),
  "half precision": (plane(dtype=jnp.bfloat16), WIDE, True),
  "given precision": (plane(precision="highest"), WIDE, False),
  "local": (nn.ConvLocal(3, (3, 3)), WIDE, None),
  "signal": (nn.Conv(4, (3,), strides=2), FLAT, True),
  "causal signal": (nn.Conv(4, (3,), padding="CAUSAL", kernel_dilation=2), FLAT, True),
  "volume": (nn.Conv(4, (2, 2, 2), strides=2), DEEP, False),
  "back": (back(), WIDE, True),
  "back, apart": (back(strides=(2, 3)), WIDE, True),
  "back, valid, turned": (back(strides=(2, 2), padding="VALID", transpose_kernel=True), WIDE, True),
  "back, tiles": (back(strides=(3, 2)), WIDE, True),
  "back, far": (back(strides=(4, 3), padding="VALID"), WIDE, True),
  "back, circular": (back(strides=(2, 2), padding="CIRCULAR"), WIDE, True),
  "back, padded": (back(strides=(2, 1), padding=[(1, 4), (3, 0)]), WIDE, True),
  "back, dilated": (back(strides=(2, 2), kernel_dilation=(2, 2)), WIDE, False),
  "back, signal": (nn.ConvTranspose(3, (3,), strides=(2,)), FLAT, True),
  "maxima": (Pool("max_pool", (2, 2), (2, 2), "VALID"), WIDE, True),
  "maxima, overlapping": (Pool("max_pool", (3, 2), (2, 1), "SAME"), WIDE, True),
  "maxima, padded": (Pool("max_pool", (3, 3), (2, 3), ((1, 0), (1, 2))), WIDE, True),
  "means": (Pool("avg_pool", (2, 3), (2, 3), "VALID"), WIDE, True),
  "means, overlapping": (Pool("avg_pool", (3, 3), (2, 2), "SAME"), WIDE, False),
  "inside": (Inside(), WIDE, True),
}


def draw(shape, dtype, number):
  return jax.random.normal(jax.random.key(number), shape).astype(dtype)


def value_and_gradients(transform, layer, variables, x):
  value, pull = jax.vjp(transform(layer.apply), variables, x)
  return value, *jax.tree.leaves(pull(draw(value.shape, value.dtype, 2)))


def arguments(name):
  layer, shape, _ = LAYERS[name]
  x = draw(shape, jnp.float32, 0)
  variables = jax.eval_shape(layer.init, jax.random.key(1), x)
  return layer, jax.tree.map(lambda leaf: draw(leaf.shape, leaf.dtype, 1), variables), x


# One of each kind by default; the others take seconds each to compile.
QUICK = ("uneven", "back, apart", "maxima, overlapping")


@pytest.mark.parametrize(
  "name",
  [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in LAYERS],
)
def test_values_and_gradients_are_those_of_flax(name):
  layer, variables, x = arguments(name)
  tolerance = 2e-2 if getattr(layer, "dtype", None) == jnp.bfloat16 else 1e-5

  @jax.jit
  def both(variables, x):
    transforms = (lambda function: function, with_fast_gradients)
    return [value_and_gradients(each, layer, variables, x) for each in transforms]

  for theirs, ours in zip(*both(variables, x), strict=True):
    assert ours.dtype == theirs.dtype
    largest = float(jnp.abs(theirs).max())
    difference = ours.astype(float) - theirs.astype(float)
    np.testing.assert_allclose(difference, 0, rtol=0, atol=tolerance * largest)


@pytest.mark.parametrize("name", [name for name in LAYERS if LAYERS[name][2] is not None])
def test_only_what_has_a_faster_form_is_put_in_other_words(name):
  layer, variables, x = arguments(name)
  plain = str(jax.make_jaxpr(layer.apply)(variables, x))
  other = str(jax.make_jaxpr(with_fast_gradients(layer.apply))(variables, x))
  # a form with no gradient of its own, such as a product, has no convolution left
  is_other = "custom_vjp" in other or ("conv_general" in plain and "conv_general" not in other)
  assert is_other == LAYERS[name][2]
  assert is_other or other == plain


def test_a_supervised_learner_has_the_faster_gradients_whatever_its_model():
  class Network(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
      x = nn.max_pool(nn.Conv(3, (3, 3))(x), (2, 2), (2, 2))
      return nn.Dense(2)(x.reshape(len(x), -1))

  learner = supervised(
    lambda config: Network(),
    softmax_cross_entropy,
    lambda config: (4, 4, 1),
    lambda config: optax.sgd(0.1),
  )
  batch = {"image": jnp.zeros((2, 4, 4, 1)), "label": jnp.zeros(2, int)}
  state = jax.eval_shape(learner.init, None, jax.random.key(0))
  step = str(jax.make_jaxpr(learner.step)(None, state, batch))
  assert "conv_general_dilated" not in step  # few channels: a product
  assert "select_and_scatter" not in step


def test_a_function_without_slow_operations_is_computed_as_it_stands():
  calls = []

  def function(tree):
    calls.append(tree)
    return {"sum": tree["a"] @ tree["b"]}

  plain = {"a": jnp.ones((2, 3)), "b": jnp.ones((3, 2))}
  assert with_fast_gradients(function)(plain)["sum"].tolist() == [[3, 3], [3, 3]]
  assert calls[-1] is plain
