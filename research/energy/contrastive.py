"""Restricted Boltzmann machines as learners: contrastive divergence, from data or persistent."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key

from research.batch import Batch, inputs_of
from research.config import pytree_config, static, traced
from research.data import sampling
from research.energy import rbm
from research.energy.rbm import Rbm
from research.layers.batch_axis import batch_keys, batch_sum
from research.learner import Config, Learner, Metrics
from research.metrics import Mean, batch_means, batch_shares
from research.task import Task
from research.training import Fit, Training


@pytree_config
class Contrastive:
  """Training settings of a machine; the defaults are those of Hinton's guide (2010)."""

  hidden: int = static(500, "hidden units", at_least=1)
  steps: int = static(1, "k, steps of the chains for each update", at_least=1)
  start: str = static(
    "data",
    "where the chains start: contrastive divergence at the data, persistent ones where they were",
    choices=("data", "persistent"),
  )
  chains: int = static(100, "persistent ones", at_least=1)
  learning_rate: float = traced(0.1, "step size at first", at_least=0)
  schedule: str = static(
    "constant", "how the step size falls to zero over the run", choices=("constant", "linear")
  )
  first_momentum: float = traced(0.5, "decay of the velocity at first", at_least=0, below=1)
  momentum: float = traced(0.9, "decay of the velocity later", at_least=0, below=1)
  weight_cost: float = traced(2e-4, "L2 penalty on the weights", at_least=0)
  deviation: float = traced(0.01, "of the first weights", above=0)


class Parts(NamedTuple):
  """The parts of the learner; every function may read any field of the config.

  Attributes:
    machine: its settings.
    biases: of the visible units at first, [visible].
    steps: updates in all.
    steady: updates from which on the momentum is the later one.
  """

  machine: Callable[[Config], Contrastive]
  biases: Callable[[Config], Float[Array, " visible"]]
  steps: Callable[[Config], int]
  steady: Callable[[Config], int]


class State(NamedTuple):
  """The machine, its optimizer, and the persistent chains, [chain, visible], if there are any."""

  step: Int[Array, ""]
  key: Key[Array, ""]
  rbm: Rbm
  opt_state: optax.OptState
  fantasies: Float[Array, "chain visible"]


def contrastive(parts: Parts) -> Learner:
  """The learner; batches hold images, whose values are probabilities of bits.

  Its loss is the mean squared error of a pixel in the reconstruction from sampled hidden units;
  evaluation adds the free energy in nats.
  """
  return Learner(
    functools.partial(_init, parts),
    functools.partial(_step, parts),
    functools.partial(_evaluate, parts),
  )


def contrastive_training(
  task: Callable[[Config, int], Task],
  biases: Callable[[Config], Float[Array, " visible"]],
  *,
  evaluations: int = 1,
  transform: Callable[[Learner], Learner] = lambda learner: learner,
) -> Callable[[Config, int], Training]:
  """Makes the `training(config, seed)` of a restricted Boltzmann machine.

  These fields of the config are read by their names:

    machine: its settings, a `Contrastive`.
    batch_size: examples per step.
    epochs, or steps: how long to learn. With epochs the evaluation sets are looked at after every
      epoch, of as many whole batches as there are; with steps, `evaluations` times.
    steady: epochs from which on the momentum is the later one; 0 where there is no such field.

  Args:
    task: gives the images of a config and a seed.
    biases: of the visible units at first, [visible].
    evaluations: how often the evaluation sets are looked at, where the config has steps.
    transform: changes the learner.
  """
  of_epochs = lambda config, epoch: config.epochs * epoch if hasattr(config, "epochs") else None

  @functools.cache
  def learner(epoch: int) -> Learner:
    parts = Parts(
      machine=lambda config: config.machine,
      biases=biases,
      steps=lambda config: of_epochs(config, epoch) or config.steps,
      steady=lambda config: getattr(config, "steady", 0) * epoch,
    )
    return transform(contrastive(parts))

  def training(config: Config, seed: int) -> Training:
    train, evaluate, best, _ = task(config, seed)
    epoch = max(1, len(train["image"]) // config.batch_size)
    steps = of_epochs(config, epoch)
    every = epoch if steps else max(1, config.steps // evaluations)
    return Training(
      learner(epoch),
      train,
      sampling.by_epoch(config.batch_size),
      steps=steps or config.steps,
      evaluate=evaluate,
      evaluate_every=every,
      log_every=every,
      best=best,
    )

  return training


def learnt(fit: Fit) -> Rbm:
  """The machine at the end of a fit, on the device."""
  machine: Rbm = jax.tree.map(jnp.asarray, fit.state.rbm)
  return machine


def flat(batch: Batch) -> Float[Array, "batch visible"]:
  """The batch's images as rows."""
  images = inputs_of(batch)
  return images.reshape(len(images), -1)


def pixel_log_odds(images: np.ndarray) -> Float[Array, " visible"]:
  """First visible biases for images of bytes, [image, ...]."""
  return rbm.log_odds(jnp.asarray(images.reshape(len(images), -1).mean(axis=0) / 255))


def _optimizer(parts: Parts, config: Config, step: Int[Array, ""]) -> optax.GradientTransformation:
  machine = parts.machine(config)
  momentum = jnp.where(step < parts.steady(config), machine.first_momentum, machine.momentum)
  share = step / parts.steps(config) if machine.schedule == "linear" else 0.0
  return optax.sgd((1 - share) * machine.learning_rate, momentum=momentum)


def _init(parts: Parts, config: Config, key: Key[Array, ""]) -> State:
  machine, biases = parts.machine(config), parts.biases(config)
  draw_key, start_key, run_key = jax.random.split(key, 3)
  first = rbm.draw(draw_key, biases, machine.hidden, machine.deviation)
  chains = machine.chains if machine.start == "persistent" else 0
  chance = jnp.tile(jax.nn.sigmoid(biases)[None], (chains, 1))
  step = jnp.int32(0)
  opt_state = _optimizer(parts, config, step).init(first)
  fantasies = rbm.bits(jax.random.split(start_key, chains), chance)
  return State(step, run_key, first, opt_state, fantasies)


def _step(parts: Parts, config: Config, state: State, batch: Batch) -> tuple[State, Metrics]:
  machine, now = parts.machine(config), state.rbm
  up_key, down_key, chain_key = jax.random.split(jax.random.fold_in(state.key, state.step), 3)
  data, weight = flat(batch), batch_shares(batch)
  reconstruction = rbm.reconstruction(now, data, batch_keys(up_key, len(data)))
  fantasies = state.fantasies
  held = batch_sum(rbm.statistics(now, data, weight))
  if machine.start == "persistent":
    chains = len(fantasies)  # under pmap every device has them all
    fantasies = rbm.gibbs(now, fantasies, jax.random.split(chain_key, chains), machine.steps)
    free = rbm.statistics(now, fantasies, jnp.full(chains, 1 / chains))
  else:
    echo = reconstruction  # by its chances, less noisy than bits (the guide, section 3.2)
    if machine.steps > 1:
      start = rbm.bits(batch_keys(down_key, len(data)), reconstruction)
      echo = rbm.gibbs(now, start, batch_keys(chain_key, len(data)), machine.steps - 1)
    free = batch_sum(rbm.statistics(now, echo, weight))
  descent = jax.tree.map(jnp.subtract, free, held)
  descent = descent._replace(weights=descent.weights + machine.weight_cost * now.weights)
  updates, opt_state = _optimizer(parts, config, state.step).update(descent, state.opt_state)
  after = optax.apply_updates(now, updates)
  loss = batch_sum(weight @ _error(data, reconstruction))
  return State(state.step + 1, state.key, after, opt_state, fantasies), {"loss": loss}


def _evaluate(parts: Parts, config: Config, state: State, batch: Batch) -> dict[str, Mean]:
  del parts, config
  data = flat(batch)
  reconstruction = rbm.visible_chance(state.rbm, rbm.hidden_chance(state.rbm, data))
  values = {"loss": _error(data, reconstruction), "free_energy": rbm.free_energy(state.rbm, data)}
  return batch_means(values, batch)


def _error(
  data: Float[Array, "batch visible"], reconstruction: Float[Array, "batch visible"]
) -> Float[Array, " batch"]:
  """Mean square over the pixels."""
  return jnp.square(data - reconstruction).mean(axis=1)
