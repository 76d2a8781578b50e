"""Both players in one state: their gradients, what they are told, and the film."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import gan
from research.config import nested, pytree_config, replace, static, traced
from research.data import sampling
from research.gan import Game, Players
from research.models.dcgan import (
  DenseDiscriminator,
  DenseGenerator,
  Discriminator,
  Generator,
  Style,
)
from research.optimizers import Optimizer
from research.training import Training
from tests.fixtures.equivalence import assert_devices_agree

SHAPE, CLASSES, SIZE = (8, 8, 1), 3, 12
RNG = np.random.default_rng(0)
DATA = {
  "image": RNG.integers(0, 256, (SIZE, *SHAPE)).astype(np.uint8),
  "label": (np.arange(SIZE) % CLASSES).astype(np.int32),
}


@pytree_config
class Config:
  """A game of small nets."""

  network: str = static("convolutional", "kind")
  conditional: bool = static(True, "labels")
  latent: int = static(5, "latents")
  steps: int = static(4, "updates")
  slope: float = traced(0.2, "leak")
  optimizer: Optimizer = nested(Optimizer("sgd", 0.5))


def networks(config):
  style = Style(slope=config.slope, kernel_init=nn.initializers.normal(0.3))
  if config.network == "dense":
    return Players(DenseGenerator(SHAPE, (4,), style), DenseDiscriminator((4, 4), style))
  return Players(Generator(SHAPE, 2, style), Discriminator(2, style))


def apart(samples, images):
  return float(np.abs(samples.mean() - images.mean()))


LEARNER = gan.gan(Game(networks, lambda config: SHAPE, CLASSES, apart))
STEP = jax.jit(LEARNER.step)


@functools.cache
def one_step(config_changes=()):
  config = replace(Config(), dict(config_changes))
  state = jax.jit(LEARNER.init)(config, jax.random.key(0))
  batch = {name: jnp.asarray(array) for name, array in DATA.items()}
  return config, state, batch, *STEP(config, state, batch)


def test_each_player_follows_the_gradient_of_its_own_loss():
  config, before, batch, after, metrics = one_step()
  generator, discriminator = networks(config)
  labels = gan.told(config, batch["label"], CLASSES)
  key = jax.random.fold_in(before.key, before.step)
  latents = gan.draw_latents(config, key, SIZE)
  generate = lambda weights: generator.apply(
    {"params": weights, **before.variables}, latents, labels, True, mutable=["batch_stats"]
  )[0]
  chance = lambda weights, images: nn.sigmoid(
    discriminator.apply({"params": weights}, images, labels, mutable=["batch_stats"])[0]
  )
  real = batch["image"] / 127.5 - 1

  def value(first, second):
    """V(D, G) of Goodfellow et al. 2014."""
    known = jnp.log(chance(second, real)).mean()
    return known + jnp.log(1 - chance(second, generate(first))).mean()

  first, second = before.players
  lost, up = jax.jit(jax.value_and_grad(value, argnums=1))(first, second)
  expected = jax.tree.map(lambda w, g: w + 0.5 * g, second, up)
  close = functools.partial(np.testing.assert_allclose, atol=2e-5)
  jax.tree.map(close, after.players.discriminator, expected)
  close(metrics["loss"], -lost)
  fooled = lambda first, second: jnp.log(chance(second, generate(first))).mean()
  up = jax.jit(jax.grad(fooled))(first, expected)
  expected = jax.tree.map(lambda w, g: w + 0.5 * g, first, up)
  jax.tree.map(close, after.players.generator, expected)
  moved = jax.tree.map(lambda a, b: float(abs(a - b).max()), after.players, before.players)
  assert min(jax.tree.leaves(moved)) > 1e-4


def test_without_labels_none_is_heard():
  config, state, batch, after, _ = one_step((("network", "dense"), ("conditional", False)))
  other = batch | {"label": (batch["label"] + 1) % CLASSES}
  same, _ = STEP(config, state, other)
  jax.tree.map(np.testing.assert_array_equal, same.players, after.players)
  config, state, batch, after, _ = one_step((("network", "dense"),))
  differs, _ = STEP(config, state, other)
  pairs = zip(jax.tree.leaves(differs.players), jax.tree.leaves(after.players), strict=True)
  assert any(np.any(a != b) for a, b in pairs)


def test_the_film_shows_the_samples_of_its_steps():
  config, state, batch, *_ = one_step()
  assert state.film.shape == (4, gan.SHOWN * CLASSES, *SHAPE)
  states = [state := STEP(config, state, batch)[0] for _ in range(4)]
  keys = jax.random.split(jax.random.key(0), gan.SHOWN * CLASSES)
  latents = jnp.stack([jax.random.uniform(key, (config.latent,), minval=-1.0) for key in keys])
  labels = np.arange(len(keys)) % CLASSES
  for number, one in enumerate(states):
    images = gan.samples(networks(config).generator, config, one, latents, labels, CLASSES)
    shown = states[-1].film[number] / 255.0
    np.testing.assert_allclose(shown, images, atol=0.51 / 255)
  assert np.ptp(states[-1].film[0].astype(int) - states[-1].film[3]) > 0


def test_samples_do_not_depend_on_what_is_drawn_beside_them(monkeypatch):
  config, _, _, state, _ = one_step()
  latents = gan.draw_latents(config, jax.random.key(1), 7)
  draw = lambda: gan.samples(
    networks(config).generator, config, state, latents, np.arange(7) % CLASSES, CLASSES
  )
  whole = draw()
  monkeypatch.setattr(gan, "CHUNK", 3)
  np.testing.assert_allclose(draw(), whole, atol=1e-6)
  assert whole.shape == (7, *SHAPE) and whole.min() >= 0 and whole.max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("network", ["convolutional", "dense"])
def test_devices_agree(network):
  unpadded = {name: np.resize(array, (16, *array.shape[1:])) for name, array in DATA.items()}
  training = Training(LEARNER, DATA, sampling.in_order(SIZE), 4, {"test": unpadded}, 4, 4)
  assert_devices_agree(replace(Config(), {"network": network}), training, steps=2)
