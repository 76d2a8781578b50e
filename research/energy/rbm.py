"""The restricted Boltzmann machine: no couplings inside a layer, so that a layer is drawn at once.

Smolensky 1986; Hinton 2002 and 2010 ("A practical guide to training restricted Boltzmann machines",
below: the guide). E(v, h) = -v'Wh - b'v - c'h with v and h in {0, 1}; visible values between 0 and
1 are taken for probabilities.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from research.energy.boltzmann import Keys, all_states, fold_each

Visible = Float[Array, "batch visible"]
Hidden = Float[Array, "batch hidden"]
MOST_ENUMERATED = 2**10  # hidden states at once


class Rbm(NamedTuple):
  """Parameters: W, b and c."""

  weights: Float[Array, "visible hidden"]
  visible: Float[Array, " visible"]
  hidden: Float[Array, " hidden"]


def draw(
  key: Key[Array, ""],
  visible: Float[Array, " visible"],
  hidden: int,
  deviation: float | Float[Array, ""] = 0.01,
) -> Rbm:
  """Small normal weights, the given biases of the visible units, none of the hidden ones."""
  weights = deviation * jax.random.normal(key, (len(visible), hidden))
  return Rbm(weights, visible, jnp.zeros(hidden))


def log_odds(means: Float[Array, " visible"], least: float = 1e-3) -> Float[Array, " visible"]:
  """log p / (1 - p), the guide's first visible biases (section 8.1), for means of the data."""
  means = jnp.clip(means, least, 1 - least)
  return jnp.log(means / (1 - means))


def hidden_chance(rbm: Rbm, visible: Visible) -> Hidden:
  """P(h = 1 | v)."""
  return jax.nn.sigmoid(visible @ rbm.weights + rbm.hidden[None])


def visible_chance(rbm: Rbm, hidden: Hidden) -> Visible:
  """P(v = 1 | h)."""
  return jax.nn.sigmoid(hidden @ rbm.weights.T + rbm.visible[None])


def bits(keys: Keys, chance: Float[Array, "batch unit"]) -> Float[Array, "batch unit"]:
  """Each unit 1 with its chance, else 0; every row has its own key."""
  return jax.vmap(jax.random.bernoulli)(keys, chance).astype(chance.dtype)


def reconstruction(rbm: Rbm, visible: Visible, keys: Keys) -> Visible:
  """P(v = 1 | h) for hidden units sampled from P(h = 1 | v); every row has its own key."""
  return visible_chance(rbm, bits(keys, hidden_chance(rbm, visible)))


def free_energy(rbm: Rbm, visible: Visible) -> Float[Array, " batch"]:
  """F(v) = -b'v - sum_j log(1 + exp(c_j + (W'v)_j)), so that P(v) = exp(-F(v)) / Z."""
  return -visible @ rbm.visible - jax.nn.softplus(visible @ rbm.weights + rbm.hidden[None]).sum(
    axis=1
  )


def gibbs(rbm: Rbm, visible: Visible, keys: Keys, steps: int) -> Visible:
  """Alternates `steps` times: hidden units given the visible ones, then visible given hidden."""

  def one(step: Array, visible: Array) -> Array:
    hidden = bits(fold_each(keys, 2 * step), hidden_chance(rbm, visible))
    return bits(fold_each(keys, 2 * step + 1), visible_chance(rbm, hidden))

  return jax.lax.fori_loop(0, steps, one, visible)


def statistics(rbm: Rbm, visible: Visible, weight: Float[Array, " batch"]) -> Rbm:
  """Weighted sums of v h', v and h, the hidden units by their chances."""
  hidden = hidden_chance(rbm, visible)
  held = weight[:, None] * visible
  return Rbm(held.T @ hidden, held.sum(axis=0), weight @ hidden)


def log_partition(rbm: Rbm) -> Float[Array, ""]:
  """log Z in nats, by enumeration of the hidden states: 2^hidden of them, at most some millions."""
  hidden = len(rbm.hidden)
  states = jnp.asarray(all_states(hidden)).reshape(-1, min(2**hidden, MOST_ENUMERATED), hidden)

  def block(states: Array) -> Array:
    summed_out = jax.nn.softplus(states @ rbm.weights.T + rbm.visible[None]).sum(axis=1)
    return jax.nn.logsumexp(states @ rbm.hidden + summed_out)

  return jax.nn.logsumexp(jax.lax.map(block, states))


class Estimate(NamedTuple):
  """An estimate of log Z in nats, and its standard error as the chains' spread tells it."""

  value: Float[Array, ""]
  error: Float[Array, ""]


def annealed_importance(
  rbm: Rbm,
  base: Float[Array, " visible"],
  key: Key[Array, ""],
  chains: int,
  shares: Float[Array, " temperature"],
) -> Estimate:
  """log Z by annealed importance sampling (Salakhutdinov and Murray 2008, section 4).

  The way leads from independent visible units with the biases `base` to the machine, over

    log p_s(v) = (1 - s) base'v + s b'v + sum_j log(1 + exp(s (c_j + (W'v)_j))) + constant.

  Args:
    rbm: the machine.
    base: best the log odds of the data.
    key: of the chains.
    chains: independent ones, which the estimate averages.
    shares: s from 0 to 1, rising.
  """

  def log_weight(visible: Array, share: Array) -> Array:
    inputs = visible @ rbm.weights + rbm.hidden[None]
    biases = (1 - share) * base + share * rbm.visible
    return visible @ biases + jax.nn.softplus(share * inputs).sum(axis=1)

  def one(carry: tuple[Array, Array], now: tuple[Array, Array, Array]) -> tuple[Any, None]:
    visible, total = carry
    key, before, share = now
    total += log_weight(visible, share) - log_weight(visible, before)
    up, down = jax.random.split(key, (2, chains))
    hidden = bits(up, jax.nn.sigmoid(share * (visible @ rbm.weights + rbm.hidden[None])))
    inputs = share * (hidden @ rbm.weights.T + rbm.visible[None]) + (1 - share) * base[None]
    return (bits(down, jax.nn.sigmoid(inputs)), total), None

  start_key, run_key = jax.random.split(key)
  chance = jnp.tile(jax.nn.sigmoid(base)[None], (chains, 1))
  keys = jax.random.split(run_key, len(shares) - 1)
  start = bits(jax.random.split(start_key, chains), chance), jnp.zeros(chains)
  (_, total), _ = jax.lax.scan(one, start, (keys, shares[:-1], shares[1:]))
  first = jax.nn.softplus(base).sum() + len(rbm.hidden) * jnp.log(2.0)
  # Of the weights, not of their logarithms: so the estimate of Z has no bias.
  top = total.max()
  weights = jnp.exp(total - top)
  mean, error = weights.mean(), weights.std(ddof=1) / jnp.sqrt(chains)
  return Estimate(first + top + jnp.log(mean), error / mean)
