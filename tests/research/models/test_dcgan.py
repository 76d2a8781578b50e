"""Fractionally strided convolutions, and the guidelines' parts where they belong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from research.models import dcgan
from research.models.dcgan import Discriminator, Generator, Style

SHAPE = (8, 8, 1)
LABELS = jnp.eye(3)[jnp.array([0, 2])]


def test_each_pixel_of_the_larger_image_has_the_taps_of_its_place():
  x = np.random.default_rng(0).normal(size=(1, 3, 4, 2)).astype(np.float32)
  layer = linen.ConvTranspose(5, dcgan.KERNEL, (2, 2), "SAME", use_bias=False)
  found, variables = layer.init_with_output(jax.random.key(0), x)
  kernel = np.asarray(variables["params"]["kernel"])
  assert found.shape == (1, 6, 8, 5)
  # A pixel (r, c) adds its taps (i, j) to the pixels (2 r + i - 1, 2 c + j - 1).
  expected, turned = np.zeros((8, 10, 5)), kernel[::-1, ::-1]
  for row, column in np.ndindex(3, 4):
    window = (slice(2 * row, 2 * row + 4), slice(2 * column, 2 * column + 4))
    expected[window] += np.einsum("c,ijcf->ijf", x[0, row, column], turned)
  np.testing.assert_allclose(found[0], expected[1:-1, 1:-1], atol=1e-5)


def parts(style):
  generator = Generator(SHAPE, 2, style).init(jax.random.key(0), jnp.zeros((2, 5)), LABELS)
  discriminator = Discriminator(2, style).init(jax.random.key(0), jnp.zeros((2, *SHAPE)), LABELS)
  return generator["params"], discriminator["params"]


def norms(params):
  return sum(name.startswith("BatchNorm") for name in params)


def test_normalisation_stands_in_hidden_layers_alone():
  generator, discriminator = parts(Style())
  assert (norms(generator), norms(discriminator)) == (2, 1)
  assert sorted(name for name in generator if name.startswith("Conv")) == [
    "ConvTranspose_0",
    "ConvTranspose_1",
  ]
  assert list(map(norms, parts(Style(batch_norm=False)))) == [0, 0]


@pytest.mark.parametrize("style", [Style(), Style(is_strided=False), Style(batch_norm=False)])
def test_images_have_their_size_and_range(style):
  style = style._replace(kernel_init=linen.initializers.normal(1.0))
  generator = Generator(SHAPE, 2, style)
  images, _ = generator.init_with_output(jax.random.key(0), jnp.ones((2, 5)), LABELS)
  assert images.shape == (2, *SHAPE) and float(jnp.abs(images).max()) <= 1
  logits, _ = Discriminator(2, style).init_with_output(jax.random.key(0), images, LABELS)
  assert logits.shape == (2,)
  assert float(jnp.abs(images[0] - images[1]).max()) > 0  # the labels differ


def test_pooling_and_no_leak_are_what_they_say():
  images = jax.random.normal(jax.random.key(1), (2, *SHAPE))
  strided, pooled, cut = (
    Discriminator(2, style._replace(kernel_init=linen.initializers.normal(1.0)))
    for style in (Style(), Style(is_strided=False), Style(slope=0.0))
  )
  variables = strided.init(jax.random.key(0), images, LABELS)
  answers = [
    model.apply(variables, images, LABELS, mutable=["batch_stats"])[0]
    for model in (strided, pooled, cut)
  ]
  assert len({tuple(np.round(answer, 3).tolist()) for answer in answers}) == 3
