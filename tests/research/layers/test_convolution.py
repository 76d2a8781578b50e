import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen
from jax import lax

from research.layers import convolution
from research.layers.convolution import convolve, convolve_banded
from research.target_platform import compiling_for

LAYOUT = ("NHWC", "HWIO", "NHWC")
# (input, kernel, strides, padding)
CASES = {
  "lenet": ((2, 8, 8, 1), (5, 5, 1, 6), (1, 1), ((2, 2), (2, 2))),
  "few channels": ((2, 7, 6, 3), (3, 3, 3, 4), (1, 1), "VALID"),
  "few channels, strided": ((2, 9, 8, 2), (4, 2, 2, 3), (2, 3), ((2, 0), (1, 3))),
  "same": ((2, 6, 7, 8), (3, 3, 8, 9), (1, 1), "SAME"),
  "strided": ((2, 8, 8, 8), (3, 3, 8, 16), (2, 2), ((1, 1), (1, 1))),
  "unused rows": ((2, 9, 10, 8), (2, 3, 8, 4), (3, 4), "VALID"),
  "larger than the image": ((2, 4, 5, 8), (3, 2, 8, 4), (1, 1), ((2, 3), (0, 2))),
  "wide padding": ((1, 3, 4, 8), (2, 2, 8, 4), (1, 2), ((3, 2), (0, 2))),
  "many features of few channels": ((2, 12, 24, 1), (5, 5, 1, 30), (1, 1), "VALID"),
  "coloured stem": ((2, 15, 12, 3), (7, 7, 3, 24), (2, 2), ((3, 3), (3, 3))),
  "windows apart": ((2, 9, 13, 8), (2, 3, 8, 4), (2, 3), ((1, 0), (2, 3))),
  "one tap": ((2, 4, 5, 9), (1, 1, 9, 4), (1, 1), "VALID"),
  "one tap, strided and padded": ((2, 5, 6, 3), (1, 1, 3, 4), (2, 3), ((1, 0), (0, 2))),
}


@pytest.fixture(params=CASES)
def case(request):
  return CASES[request.param]


def draw(shape, dtype, number):
  return jax.random.normal(jax.random.key(number), shape, dtype)


def reference(x, kernel, strides, padding):
  return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=LAYOUT)


@pytest.mark.parametrize("dtype, tolerance", [(jnp.float32, 1e-5), (jnp.float64, 1e-13)])
def test_values_and_gradients_equal_those_of_lax(case, dtype, tolerance):
  with jax.enable_x64(True):
    x_shape, kernel_shape, strides, padding = case
    x, kernel = draw(x_shape, dtype, 0), draw(kernel_shape, dtype, 1)
    ours, our_gradient = jax.vjp(
      lambda x, k: convolve(x, k, strides, padding, dimension_numbers=LAYOUT), x, kernel
    )
    theirs, their_gradient = jax.vjp(lambda x, k: reference(x, k, strides, padding), x, kernel)
    cotangent = draw(theirs.shape, dtype, 2)
    for a, b in zip(
      (ours, *our_gradient(cotangent)), (theirs, *their_gradient(cotangent)), strict=True
    ):
      assert a.dtype == dtype
      scale = float(jnp.abs(b).max())
      np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize(
  "form, expected",
  [
    (
      "convolve_banded",
      {"lenet", "few channels", "many features of few channels", "coloured stem"},
    ),
    ("tensordot", {"one tap", "one tap, strided and padded"}),
  ],
)
def test_which_cases_take_which_form(monkeypatch, form, expected):
  seen = set()
  module = jnp if form == "tensordot" else convolution
  original = getattr(module, form)
  for name, (x_shape, kernel_shape, strides, padding) in CASES.items():

    def spy(*arguments, name=name, **options):
      seen.add(name)
      return original(*arguments, **options)

    monkeypatch.setattr(module, form, spy)
    convolve(jnp.ones(x_shape), jnp.ones(kernel_shape), strides, padding, dimension_numbers=LAYOUT)
  assert seen == expected


@pytest.mark.parametrize(
  ("numbers", "x_axes", "kernel_axes", "y_axes"),
  [
    (("NCHW", "OIHW", "NCHW"), (0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2)),
    (("NHWC", "OIHW", "NHWC"), (0, 1, 2, 3), (3, 2, 0, 1), (0, 1, 2, 3)),
    (("NHWC", "HWIO", "NCHW"), (0, 1, 2, 3), (0, 1, 2, 3), (0, 3, 1, 2)),
    (("NWHC", "WHIO", "NWHC"), (0, 2, 1, 3), (1, 0, 2, 3), (0, 2, 1, 3)),
    (None, (0, 1, 2, 3), (0, 1, 2, 3), (0, 1, 2, 3)),
  ],
)
def test_every_layout_is_honoured_and_channels_last_is_the_default(
  numbers, x_axes, kernel_axes, y_axes
):
  """Square in all that may be, so that a wrong layout would run."""
  x, kernel = draw((4, 4, 4, 4), jnp.float32, 0), draw((3, 3, 4, 4), jnp.float32, 1)
  expected = reference(x, kernel, (1, 1), "SAME").transpose(y_axes)
  turned = x.transpose(x_axes), kernel.transpose(kernel_axes)
  found = convolve(*turned, (1, 1), "SAME", dimension_numbers=numbers)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_precision_and_the_layout_reach_lax(monkeypatch):
  """Also where another backend takes all: there the default is channels last as well."""
  seen, plain = [], lax.conv_general_dilated

  def spy(*arguments, precision=None, **options):
    seen.append((arguments[6], precision))
    return plain(*arguments, precision=precision, **options)

  numbers = lax.ConvDimensionNumbers((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
  x, kernel = draw((2, 5, 6, 8), jnp.float32, 0), draw((3, 3, 8, 4), jnp.float32, 1)
  on_cpu = convolve(x, kernel, (1, 1), "SAME")
  monkeypatch.setattr(lax, "conv_general_dilated", spy)
  convolve(x, kernel, (1, 1), "SAME", precision="highest")
  with compiling_for("gpu"):
    elsewhere = convolve(x, kernel, (1, 1), "SAME")
  np.testing.assert_allclose(elsewhere, on_cpu, rtol=1e-4, atol=1e-5)
  assert seen == [(numbers, "highest"), (numbers, None)]


def test_second_derivative():
  with jax.enable_x64(True):
    x, kernel = draw((1, 4, 4, 8), jnp.float64, 0), draw((3, 3, 8, 2), jnp.float64, 1)

    def curvature(function):
      loss = lambda x, k: jnp.sum(jnp.sin(function(x, k, (1, 1), "SAME")))
      return jax.grad(lambda x, k: jnp.sum(jax.grad(loss)(x, k) ** 2), argnums=(0, 1))(x, kernel)

    ours = curvature(lambda *a: convolve(*a, dimension_numbers=LAYOUT))
    for a, b in zip(ours, curvature(reference), strict=True):
      np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def test_banded_form_of_one_row_by_hand():
  x = jnp.array([1.0, 2.0, 4.0]).reshape(1, 1, 3, 1)
  kernel = jnp.array([10.0, 1.0]).reshape(1, 2, 1, 1)
  y = convolve_banded(x, kernel, (1, 1), ((0, 0), (0, 1)))
  np.testing.assert_array_equal(y.ravel(), [12.0, 24.0, 40.0])


@pytest.mark.parametrize(
  "layer, shape",
  [
    (dict(features=4, kernel_size=(3, 3), feature_group_count=2), (2, 5, 5, 4)),
    (dict(features=4, kernel_size=(3, 3), kernel_dilation=2), (2, 7, 7, 8)),
    (dict(features=4, kernel_size=(3, 3), input_dilation=2, padding=1), (2, 4, 4, 8)),
    (dict(features=4, kernel_size=(3,)), (2, 5, 3)),
    (dict(features=4, kernel_size=(3, 3), padding="CIRCULAR", strides=2), (2, 5, 5, 8)),
    (dict(features=4, kernel_size=(5, 5), padding=2, strides=2), (6, 6, 1)),
  ],
)
def test_layer_equals_linen(layer, shape):
  x = draw(shape, jnp.float32, 0)
  ours, theirs = convolution.Conv(**layer), linen.Conv(**layer)
  variables = theirs.init(jax.random.key(1), x)
  np.testing.assert_allclose(
    ours.apply(variables, x), theirs.apply(variables, x), rtol=1e-5, atol=1e-5
  )


def test_gradients_are_canonical_convolutions(monkeypatch):
  """The form that XLA's CPU backend runs fast inside of loops; any other is 10 times slower there."""
  seen = []
  plain = lax.conv_general_dilated

  def spy(*arguments, **options):
    seen.append(options["dimension_numbers"])
    return plain(*arguments, **options)

  monkeypatch.setattr(lax, "conv_general_dilated", spy)
  x, kernel = jnp.ones((1, 4, 4, 8)), jnp.ones((3, 3, 8, 8))
  jax.grad(lambda x, k: convolve(x, k, (1, 1), "SAME").sum(), argnums=(0, 1))(x, kernel)
  assert seen == [LAYOUT] * 3
