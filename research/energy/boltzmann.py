"""The Boltzmann machine (Ackley, Hinton and Sejnowski 1985): binary units, all coupled in pairs.

A state s in {0, 1}^n has the energy E(s) = -sum_(i<j) w_ij s_i s_j - sum_i b_i s_i and the
probability exp(-E(s) / T) / Z. The first units are visible, the others hidden. A few units can be
enumerated, so that everything which is sampled here can be compared with the exact number.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

States = Float[Array, "*chains unit"]
Keys = Key[Array, " chain"]  # each chain has its own, so that it runs the same in any company

fold_each = jax.vmap(jax.random.fold_in, in_axes=(0, None))


class Couplings(NamedTuple):
  """Parameters; of the matrix only what stands above the diagonal counts (see `symmetric`)."""

  weights: Float[Array, "unit unit"]
  biases: Float[Array, " unit"]


def draw(key: Key[Array, ""], units: int, deviation: float | Float[Array, ""] = 1.0) -> Couplings:
  """Normal couplings and biases."""
  weights_key, biases_key = jax.random.split(key)
  return Couplings(
    deviation * jax.random.normal(weights_key, (units, units)),
    deviation * jax.random.normal(biases_key, (units,)),
  )


def symmetric(weights: Float[Array, "unit unit"]) -> Float[Array, "unit unit"]:
  """The matrix that the machine uses: what is above the diagonal, mirrored; the diagonal is 0."""
  upper = jnp.triu(weights, 1)
  return upper + upper.T


def energy(couplings: Couplings, states: States) -> Float[Array, "*chains"]:
  """E(s)."""
  pairs = jnp.einsum("...i,ij,...j->...", states, jnp.triu(couplings.weights, 1), states)
  return -pairs - states @ couplings.biases


def all_states(units: int) -> Float[np.ndarray, "state unit"]:
  """The 2^units states, as binary numbers from 0 on, the first unit the highest digit."""
  numbers = np.arange(2**units)[:, None]
  return (numbers >> np.arange(units)[::-1] & 1).astype(np.float32)


def completions(
  visible: Float[Array, "batch visible"], units: int
) -> Float[Array, "batch state unit"]:
  """All states of the machine that have the given visible units, for each of the batch."""
  hidden = jnp.asarray(all_states(units - visible.shape[1]))
  one = lambda held: jnp.concatenate([jnp.tile(held, (len(hidden), 1)), hidden], axis=1)
  return jax.vmap(one)(visible)


def log_likelihood(
  couplings: Couplings, visible: Float[Array, "batch visible"]
) -> Float[Array, " batch"]:
  """log P(visible) in nats, by enumeration of all states; the hidden units are summed out."""
  units = len(couplings.biases)
  both = completions(visible, units)
  clamped = jax.nn.logsumexp(-energy(couplings, both), axis=1)
  return clamped - jax.nn.logsumexp(-energy(couplings, jnp.asarray(all_states(units))))


def sweep(
  couplings: Couplings,
  states: Float[Array, "chain unit"],
  keys: Keys,
  *,
  clamped: int = 0,
  temperature: float | Float[Array, ""] = 1.0,
) -> Float[Array, "chain unit"]:
  """Gibbs sampling: all units but the first `clamped`, each drawn given the others.

  P(s_i = 1 | others) = sigmoid((sum_j w_ij s_j + b_i) / T).
  """
  weights = symmetric(couplings.weights)
  noise = jax.vmap(lambda key: jax.random.uniform(key, states.shape[1:]))(keys)

  def update(unit: Array, states: Array) -> Array:
    field = states @ weights[unit] + couplings.biases[unit]
    chance = jax.nn.sigmoid(field / temperature)
    return states.at[:, unit].set((noise[:, unit] < chance).astype(states.dtype))

  return jax.lax.fori_loop(clamped, states.shape[1], update, states)


def sweeps(
  couplings: Couplings,
  states: Float[Array, "chain unit"],
  keys: Keys,
  count: int,
  *,
  clamped: int = 0,
) -> Float[Array, "chain unit"]:
  """Many sweeps at T = 1, one after the other."""
  return anneal(couplings, states, keys, jnp.ones(count), clamped=clamped)


def tempered_sweep(
  couplings: Couplings,
  states: Float[Array, "level chain unit"],
  temperatures: Float[Array, " level"],
  key: Key[Array, ""],
) -> Float[Array, "level chain unit"]:
  """A sweep at every temperature, then exchanges between neighbours (parallel tempering).

  Hot chains cross where cold ones are stuck. States of levels i and j change places with the
  probability min(1, exp((1/T_i - 1/T_j) (E_i - E_j))), which keeps every level's distribution
  (Geyer 1991; for learning, Desjardins et al. 2010).
  """
  sweep_key, even_key, odd_key = jax.random.split(key, 3)
  levels, chains, _ = states.shape
  at = lambda states, keys, temperature: sweep(couplings, states, keys, temperature=temperature)
  states = jax.vmap(at)(states, jax.random.split(sweep_key, (levels, chains)), temperatures)
  for first, exchange_key in ((0, even_key), (1, odd_key)):
    low, high = jnp.arange(first, levels - 1, 2), jnp.arange(first + 1, levels, 2)
    energies = energy(couplings, states)
    gap = 1 / temperatures[low] - 1 / temperatures[high]
    gain = gap[:, None] * (energies[low] - energies[high])
    drawn = jax.random.uniform(exchange_key, (len(low), chains))
    swaps = (jnp.log(drawn) < gain)[..., None]
    lower, higher = states[low], states[high]
    states = states.at[low].set(jnp.where(swaps, higher, lower))
    states = states.at[high].set(jnp.where(swaps, lower, higher))
  return states


def anneal(
  couplings: Couplings,
  states: Float[Array, "chain unit"],
  keys: Keys,
  temperatures: Float[Array, " sweep"],
  *,
  clamped: int = 0,
) -> Float[Array, "chain unit"]:
  """A sweep at each temperature; falling, they lead to low energy (Kirkpatrick et al. 1983)."""

  def one(number: Array, states: Array) -> Array:
    now = fold_each(keys, number)
    return sweep(couplings, states, now, clamped=clamped, temperature=temperatures[number])

  return jax.lax.fori_loop(0, len(temperatures), one, states)


def statistics(states: Float[Array, "state unit"], weight: Float[Array, " state"]) -> Couplings:
  """Weighted sums of s_i s_j and of s_i, in the couplings' form."""
  pairs = jnp.triu(jnp.einsum("k,ki,kj->ij", weight, states, states), 1)
  return Couplings(pairs, weight @ states)


def exact_statistics(couplings: Couplings) -> Couplings:
  """Those of the machine itself, by enumeration."""
  states = jnp.asarray(all_states(len(couplings.biases)))
  return statistics(states, jax.nn.softmax(-energy(couplings, states)))


def exact_clamped_statistics(
  couplings: Couplings, visible: Float[Array, "batch visible"], weight: Float[Array, " batch"]
) -> Couplings:
  """Their weighted sum over the batch while the visible units are held, by enumeration."""
  states = completions(visible, len(couplings.biases))
  chance = weight[:, None] * jax.nn.softmax(-energy(couplings, states), axis=1)
  return statistics(states.reshape(-1, states.shape[-1]), chance.ravel())


def log_likelihood_gradient(held: Couplings, free: Couplings) -> Couplings:
  """d log P / d parameters = <.>_data - <.>_model (Ackley et al. 1985, equation 7)."""
  return jax.tree.map(jnp.subtract, held, free)
