"""The bias of contrastive divergence, computed without sampling (U03).

Hinton 2002, "Training products of experts by minimizing contrastive divergence": the likelihood's
gradient needs the machine at rest; k steps from the data are a guess at it, with a bias. A machine
of seven variables has 128 states, so the chain's steps are a matrix, and the bias is computed, not
sampled: it falls with k (Bengio and Delalleau 2009). `rbm_exact` shows what it means for learning.

    python launch.py --experiment=contrastive_bias

Expected: the mean bias falls with every k; a few seconds of one CPU core.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

import research as ln
from research.energy import boltzmann, rbm
from research.energy.rbm import Rbm

FEW = (4, 3)  # visible and hidden units of the machine of seven variables
STEPS = (1, 2, 3, 5, 10, 20)  # k


@ln.pytree_config
class Config:
  """The random machines."""

  machines: int = ln.static(100, "random machines", at_least=1)


def transition(machine: Rbm) -> Float[Array, "state state"]:
  """P(v' | v), one step of the chain, for all states of the visible units."""
  visible, hidden = (jnp.asarray(boltzmann.all_states(len(bias))) for bias in machine[1:])

  def chance(of: Array, means: Array) -> Array:  # [given, state]
    each = of[None] * means[:, None] + (1 - of[None]) * (1 - means[:, None])
    return each.prod(axis=-1)

  up = chance(hidden, rbm.hidden_chance(machine, visible))
  return up @ chance(visible, rbm.visible_chance(machine, hidden))


def random_machine(key: Key[Array, ""]) -> tuple[Rbm, Float[Array, " state"]]:
  """One of seven variables, and a distribution of data over its visible states."""
  weights_key, biases_key, data_key = jax.random.split(key, 3)
  biases = jax.random.normal(biases_key, (sum(FEW),))
  machine = rbm.draw(weights_key, biases[: FEW[0]], FEW[1], deviation=2.0)
  data = jax.nn.softmax(2 * jax.random.normal(data_key, (2 ** FEW[0],)))
  return machine._replace(hidden=biases[FEW[0] :]), data


def bias(key: Key[Array, ""]) -> Float[Array, " k"]:
  """|E[CD-k] - gradient| / |gradient| for each k of STEPS, on a random machine; no sampling."""
  machine, data = random_machine(key)
  states, step = jnp.asarray(boltzmann.all_states(FEW[0])), transition(machine)
  of = lambda chance: jnp.concatenate(
    [leaf.ravel() for leaf in rbm.statistics(machine, states, chance)]
  )
  rest = jax.nn.softmax(-rbm.free_energy(machine, states))
  gradient = of(data) - of(rest)
  after = [of(data @ jnp.linalg.matrix_power(step, k)) for k in STEPS]
  gaps = jnp.stack([jnp.linalg.norm(of(data) - free - gradient) for free in after])
  return gaps / jnp.linalg.norm(gradient)


def sampling_error(key: Key[Array, ""], chains: int = 100_000, k: int = 3) -> float:
  """Frequencies of sampled states against the matrix's, the largest gap in standard errors."""
  machine_key, run_key = jax.random.split(key)
  machine, _ = random_machine(machine_key)
  start = jnp.zeros((chains, FEW[0]))
  found = rbm.gibbs(machine, start, jax.random.split(run_key, chains), k)
  numbers = np.asarray(found, int) @ 2 ** np.arange(FEW[0])[::-1]
  shares = np.bincount(numbers, minlength=2 ** FEW[0]) / chains
  exact = np.asarray(jnp.linalg.matrix_power(transition(machine), k)[0], float)
  return float(np.max(np.abs(shares - exact) / np.sqrt(exact * (1 - exact) / chains)))


def enumeration_error(key: Key[Array, ""]) -> float:
  """log Z over hidden states against all states, by the energy of the whole Boltzmann machine."""
  machine, _ = random_machine(key)
  weights = jnp.zeros((sum(FEW), sum(FEW))).at[: FEW[0], FEW[0] :].set(machine.weights)
  whole = boltzmann.Couplings(weights, jnp.concatenate(machine[1:]))
  energies = boltzmann.energy(whole, jnp.asarray(boltzmann.all_states(sum(FEW))))
  return float(jnp.abs(jax.nn.logsumexp(-energies) - rbm.log_partition(machine)))


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Compares sampled chains and sums with enumeration; then computes the bias of k steps."""
  keys = jax.random.split(lab.key("machines"), config.machines)
  biases = np.asarray(jax.vmap(bias)(keys))
  mean = biases.mean(axis=0)
  sampled = (
    "three steps of the chain, frequencies against the matrix's, largest gap in standard errors"
  )
  rises = (
    f"{config.machines} random machines: k of 1, 2, 3, 5, 10, 20 at which the mean bias of CD-k "
    "rises"
  )
  summed = "seven variables: log Z over the hidden states against all 128, largest difference"
  partition, chains = enumeration_error(lab.key("enumeration")), sampling_error(lab.key("sampling"))
  claim, share = ln.claims("U03"), mean[STEPS.index(10)] / mean[0]
  curve = ln.function_curves(
    [
      ln.Panel(
        "|E[CD-k] - gradient| / |gradient|",
        {"mean": (STEPS, mean), "median": (STEPS, np.median(biases, axis=0))},
        log="xy",
      )
    ],
    title="The bias of contrastive divergence",
    x="k (steps)",
    caption=f"Computed for {len(biases)} random machines of seven variables.",
    file="bias",
  )
  return ln.Report(
    [
      claim(summed, "equal", partition, ln.at_most(1e-5)),
      claim(sampled, "equal", chains, ln.at_most(4)),
      claim(rises, "none: it falls with k", np.sum(np.diff(mean) > 0), ln.equals(0)),
      claim("bias of CD-10 over that of CD-1", "below 1", share, ln.at_most(0.5)),
    ],
    [curve],
  )


experiment = ln.Experiment(Config, run)
