"""Generative adversarial nets (Goodfellow et al. 2014) as a learner: one state of both players."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key, UInt8

from research.batch import Batch, by_parts, count, inputs_of, weights_of
from research.layers.batch_axis import batch_gather, batch_keys, batch_sum
from research.layers.fast_gradients import with_fast_gradients
from research.learner import Config, Learner, Metrics
from research.metrics import batch_shares
from research.optimizers import apply_gradients, make_optimizer
from research.set_metrics import Gathered
from research.weight_average import following

FRAMES = 30  # of the film
SHOWN = 3  # of each class in a frame
CHUNK = 500  # samples that are drawn at once

Images = Float[Array, "batch height width channel"]


class Players(NamedTuple):
  """Something of both: their networks, weights, or optimizers' states."""

  generator: Any
  discriminator: Any


class State(NamedTuple):
  """State of both players.

  Attributes:
    step: number of updates that each has made.
    key: the run's key; the latents of a step are drawn from `fold_in(key, step)`.
    players: the weights.
    variables: the generator's running statistics. The discriminator has the batch's alone.
    opt_state: the optimizers' states.
    average: of the generator's weights, with which samples are drawn where `optimizer.ema` is on;
      else None.
    film: bytes of the images of fixed latents, of which a frame is taken every so many steps.
  """

  step: Int[Array, ""]
  key: Key[Array, ""]
  players: Players
  variables: Any
  opt_state: Players
  average: Any
  film: UInt8[Array, "*film"]


class Game(NamedTuple):
  """The parts of the learner; every function may read any field of the config.

  Attributes:
    networks: called as `generator(latents, labels, train, mask)`, which gives images in [-1, 1],
      and as `discriminator(images, labels, mask)`, which gives logits.
    shape: of an image.
    classes: of the labels.
    distance: between samples and images, [n, height, width, channel] in [0, 1] each: the metric of
      evaluations, "distance".
  """

  networks: Callable[[Config], Players]
  shape: Callable[[Config], tuple[int, ...]]
  classes: int
  distance: Callable[[np.ndarray, np.ndarray], float]


def gan(game: Game) -> Learner:
  """The learner of a game in which both players update once per step.

  The discriminator goes first, by log D(x) + log(1 - D(G(z))) of the batch and as many samples with
  its labels. The generator then follows the gradient of log D(G(z)) of these samples, the form for
  practice of Goodfellow et al. 2014, section 3. These fields of the config are read by their names:

    latent: numbers that a sample is made of, uniform in [-1, 1].
    conditional: whether both players are told the label.
    optimizer, steps: of each player.
  """
  bound = functools.partial
  return Learner(bound(_init, game), bound(_step, game), bound(_evaluate, game))


def samples(
  network: nn.Module,
  config: Config,
  state: State,
  latents: Float[Array, "sample latent"],
  labels: Int[np.ndarray, " sample"],
  classes: int,
) -> Float[np.ndarray, "sample height width channel"]:
  """Images in [0, 1] of latents and labels, on the host."""
  state = jax.tree.map(jnp.asarray, state._replace(film=jnp.zeros((), jnp.uint8)))
  given = told(config, jnp.asarray(labels), classes)
  drawn = jax.jit(functools.partial(_drawn, network))
  return by_parts(lambda part: drawn(state, *part), (latents, given), CHUNK)


def _drawn(
  network: nn.Module,
  state: State,
  latents: Float[Array, "batch latent"],
  labels: Float[Array, "batch class"],
) -> Images:
  """Images in [0, 1] by the generator's running statistics."""
  weights = state.players.generator if state.average is None else state.average
  variables = {"params": weights, **state.variables}
  return (network.apply(variables, latents, labels) + 1) / 2


def draw_latents(config: Config, key: Key[Array, ""], size: int) -> Float[Array, "batch latent"]:
  """Latents for each of a batch, by its place in the whole batch."""
  return jax.vmap(functools.partial(_latent, config))(batch_keys(key, size))


def _latent(config: Config, key: Key[Array, ""]) -> Float[Array, " latent"]:
  return jax.random.uniform(key, (config.latent,), minval=-1.0)


def told(config: Config, labels: Int[Array, " batch"], classes: int) -> Float[Array, "batch class"]:
  """The labels as both players are told them: one-hot vectors, or zeros."""
  return jax.nn.one_hot(labels, classes) * (1.0 if config.conditional else 0.0)


def _init(game: Game, config: Config, key: Key[Array, ""]) -> State:
  generator_key, discriminator_key, run_key = jax.random.split(key, 3)
  networks, label = game.networks(config), jnp.zeros((1, game.classes))
  variables = dict(networks.generator.init(generator_key, jnp.zeros((1, config.latent)), label))
  image = jnp.zeros((1, *game.shape(config)))
  players = Players(
    variables.pop("params"),
    networks.discriminator.init(discriminator_key, image, label)["params"],
  )
  opt_state = Players(*map(_optimizer(config).init, players))
  average = None if config.optimizer.ema is None else jax.tree.map(jnp.copy, players.generator)
  frames = min(FRAMES, config.steps)
  film = jnp.zeros((frames, SHOWN * game.classes, *image.shape[1:]), jnp.uint8)
  return State(jnp.int32(0), run_key, players, variables, opt_state, average, film)


def _step(game: Game, config: Config, state: State, batch: Batch) -> tuple[State, Metrics]:
  networks, share, size = game.networks(config), batch_shares(batch), count(batch)
  labels, mask = told(config, batch["label"], game.classes), batch.get("weight")
  latents = draw_latents(config, jax.random.fold_in(state.key, state.step), size)
  (generator, discriminator) = state.players
  optimizer = _optimizer(config)

  def generate(params: Any) -> tuple[Images, Any]:
    given = {"params": params, **state.variables}
    collections = list(state.variables)
    return networks.generator.apply(given, latents, labels, True, mask, mutable=collections)

  def logits(params: Any, images: Images) -> Float[Array, " batch"]:
    given, model = {"params": params}, networks.discriminator
    return with_fast_gradients(
      lambda given, images: model.apply(given, images, labels, mask, mutable=["batch_stats"])[0]
    )(given, images)

  def loss(params: Any) -> tuple[Float[Array, ""], Metrics]:
    real, fake = logits(params, 2 * inputs_of(batch) - 1), logits(params, made)
    believed = {"real": share @ jax.nn.sigmoid(real), "fake": share @ jax.nn.sigmoid(fake)}
    return share @ (jax.nn.softplus(-real) + jax.nn.softplus(fake)), believed

  made, pull_back, variables = jax.vjp(with_fast_gradients(generate), generator, has_aux=True)
  (found, believed), change = jax.value_and_grad(loss, has_aux=True)(discriminator)
  change, metrics = batch_sum((change, {"loss": found, **believed}))
  discriminator, second = apply_gradients(
    optimizer, change, state.opt_state.discriminator, discriminator, metrics["loss"]
  )
  disbelieved = lambda images: share @ jax.nn.softplus(-logits(discriminator, images))
  found, upstream = jax.value_and_grad(disbelieved)(made)
  change, generator_loss = batch_sum((pull_back(upstream)[0], found))
  generator, first = apply_gradients(
    optimizer, change, state.opt_state.generator, generator, generator_loss
  )
  after = state._replace(
    step=state.step + 1,
    players=Players(generator, discriminator),
    variables=dict(variables),
    opt_state=Players(first, second),
    average=_average(config, state, generator),
  )
  return _filmed(game, config, after), metrics | {"generator_loss": generator_loss}


def _optimizer(config: Config) -> optax.GradientTransformation:
  return make_optimizer(config.optimizer, config.steps, beside=("ema",))


def _average(config: Config, state: State, generator: Any) -> Any:
  """The average of the generator's weights with these new ones; None where it is off."""
  decay = config.optimizer.ema
  return None if decay is None else following(state.average, generator, decay, state.step + 1)


def _filmed(game: Game, config: Config, state: State) -> State:
  """Takes a frame after the first step, and then every so many."""
  frames, shown = state.film.shape[:2]
  every = config.steps // frames
  number = (state.step - 1) // every

  def taken(film: Array) -> Array:
    labels = told(config, jnp.arange(shown) % game.classes, game.classes)
    keys = jax.random.split(jax.random.key(0), shown)
    latents = jax.vmap(functools.partial(_latent, config))(keys)
    images = _drawn(game.networks(config).generator, state, latents, labels)
    return film.at[number].set(jnp.round(255 * images).astype(jnp.uint8))

  is_due = ((state.step - 1) % every == 0) & (number < frames)
  return state._replace(film=jax.lax.cond(is_due, taken, lambda film: film, state.film))


def _evaluate(game: Game, config: Config, state: State, batch: Batch) -> dict[str, Any]:
  labels = told(config, batch["label"], game.classes)
  latents = draw_latents(config, jax.random.key(0), count(batch))
  samples = _drawn(game.networks(config).generator, state, latents, labels)
  kept = batch_gather((samples, inputs_of(batch), weights_of(batch)))
  return {"distance": Gathered(*kept, game.distance)}
