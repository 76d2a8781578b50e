"""Boltzmann machines as learners: the likelihood's gradient, exact or from chains."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from research.batch import Batch
from research.energy import boltzmann, rbm
from research.energy.boltzmann import Couplings
from research.layers.batch_axis import batch_keys, batch_sum
from research.learner import Config, Learner, Metrics
from research.metrics import Mean, batch_means, batch_shares
from research.optimizers import apply_gradients, make_optimizer

CLAMPED_SWEEPS = 8  # from random hidden units, while the visible ones are held


class State(NamedTuple):
  """The couplings, and the free chains at every temperature."""

  step: Int[Array, ""]
  key: Key[Array, ""]
  couplings: Couplings
  opt_state: optax.OptState
  free: Float[Array, "level chain unit"]


def boltzmann_machine(visible: int, patterns: int) -> Learner:
  """The learner of a machine with hidden units (Ackley, Hinton and Sejnowski 1985).

  These fields of the config are read by their names:

    hidden: hidden units.
    phases: how both halves of the gradient are found, "sampled" or "exact" by enumeration.
    levels, hottest, chains: temperatures of the free chains from 1 to `hottest`, and how many
      chains each has. Chains exchange states (parallel tempering); one level is T = 1 alone.
    deviation: of the first couplings.
    optimizer, steps: of the ascent.

  Args:
    visible: visible units; batches hold "pattern" [batch, visible] of zeros and ones.
    patterns: how many equally frequent ones the data have; evaluation gives the Kullback-Leibler
      "divergence" of the machine from them in nats.
  """
  return Learner(
    functools.partial(_init, visible),
    functools.partial(_step, visible),
    functools.partial(_evaluate, patterns),
  )


def _init(visible: int, config: Config, key: Key[Array, ""]) -> State:
  couplings_key, chains_key, run_key = jax.random.split(key, 3)
  units = visible + config.hidden
  couplings = boltzmann.draw(couplings_key, units, config.deviation)
  free = jax.random.bernoulli(chains_key, shape=(config.levels, config.chains, units))
  opt_state = make_optimizer(config.optimizer, config.steps).init(couplings)
  return State(jnp.int32(0), run_key, couplings, opt_state, free.astype(float))


def _step(visible: int, config: Config, state: State, batch: Batch) -> tuple[State, Metrics]:
  hidden_key, clamped_key, free_key = jax.random.split(jax.random.fold_in(state.key, state.step), 3)
  couplings, free, patterns = state.couplings, state.free, batch["pattern"]
  weight = batch_shares(batch)
  if config.phases == "exact":
    held = boltzmann.exact_clamped_statistics(couplings, patterns, weight)
    running = boltzmann.exact_statistics(couplings)
  else:
    size = len(patterns)
    half = jnp.full((size, config.hidden), 0.5)
    start = jnp.concatenate([patterns, rbm.bits(batch_keys(hidden_key, size), half)], axis=1)
    keys = batch_keys(clamped_key, size)
    clamped = boltzmann.sweeps(couplings, start, keys, CLAMPED_SWEEPS, clamped=visible)
    held = boltzmann.statistics(clamped, weight)
    temperatures = jnp.geomspace(1.0, config.hottest, config.levels)
    for key in jax.random.split(free_key):
      free = boltzmann.tempered_sweep(couplings, free, temperatures, key)
    running = boltzmann.statistics(free[0], jnp.full(config.chains, 1 / config.chains))
  ascent = boltzmann.log_likelihood_gradient(batch_sum(held), running)
  loss = batch_sum(-weight @ boltzmann.log_likelihood(couplings, patterns))
  optimizer = make_optimizer(config.optimizer, config.steps)
  descent = jax.tree.map(jnp.negative, ascent)
  couplings, opt_state = apply_gradients(optimizer, descent, state.opt_state, couplings, loss)
  return State(state.step + 1, state.key, couplings, opt_state, free), {"loss": loss}


def _evaluate(patterns: int, config: Config, state: State, batch: Batch) -> dict[str, Mean]:
  del config
  gap = -jnp.log(patterns) - boltzmann.log_likelihood(state.couplings, batch["pattern"])
  return batch_means({"divergence": gap}, batch)
