"""Simulated annealing of random Boltzmann machines (U02).

Ackley, Hinton and Sejnowski 1985, "A learning algorithm for Boltzmann machines", after Kirkpatrick,
Gelatt and Vecchi 1983: units that turn on and off at random with odds by their energy's change over
a temperature. Cooled slowly, a machine ends in a state of low energy; cooled at once (quenched), in
the first valley. The machines are small enough that the least energy is found by enumeration.

    python launch.py --experiment=simulated_annealing

Expected: some annealed run finds the least energy of every machine. a few seconds of one CPU core.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

import research as ln
from research.energy import boltzmann

COLDEST = 0.05


@ln.pytree_config
class Config:
  """The machines, and how long they cool."""

  units: int = ln.static(16, "units of the random machines that are annealed", at_least=2)
  machines: int = ln.static(20, "of them", at_least=1)
  runs: int = ln.static(200, "of each machine, from random states", at_least=1)
  sweeps: int = ln.static(300, "over all units of a run", at_least=1)


class Descent(NamedTuple):
  """Energy above the least one, [machine, run, sweep], of annealed and of quenched runs."""

  annealed: np.ndarray
  quenched: np.ndarray


def descents(config: Config, key: Key[Array, ""]) -> Descent:
  """Random machines, cooled slowly or at once, from random states."""
  states = jnp.asarray(boltzmann.all_states(config.units))

  def one(key: Array, temperatures: Array) -> Array:
    draw_key, start_key, run_key = jax.random.split(key, 3)
    couplings = boltzmann.draw(draw_key, config.units)
    start = jax.random.bernoulli(start_key, shape=(config.runs, config.units)).astype(float)

    def go(states: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
      states = boltzmann.sweep(couplings, states, now[0], temperature=now[1])
      return states, boltzmann.energy(couplings, states)

    _, energies = jax.lax.scan(
      go, start, (jax.random.split(run_key, (config.sweeps, config.runs)), temperatures)
    )
    return energies.T - boltzmann.energy(couplings, states).min()

  keys = jax.random.split(key, config.machines)
  many = jax.jit(lambda temperatures: jax.lax.map(lambda key: one(key, temperatures), keys))
  slowly, at_once = (
    jnp.geomspace(10.0, COLDEST, config.sweeps),
    jnp.full(config.sweeps, COLDEST),
  )
  return Descent(np.asarray(many(slowly)), np.asarray(many(at_once)))


def reached(energies: np.ndarray) -> np.ndarray:
  """True for runs that end in a state of the least energy, [machine, run]."""
  return energies[..., -1] < 1e-3


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Cools the same machines slowly and at once."""
  descent = descents(config, lab.key("descents"))
  annealed, quenched = reached(descent.annealed), reached(descent.quenched)
  claim = ln.claims("U02", unit="%")
  what = "random machines whose state of least energy some annealed run finds"
  more = ln.at_least(quenched.mean())
  return ln.Report(
    [
      claim(what, "all", annealed.any(axis=1).mean(), ln.equals(1)),
      claim("annealed runs that find it", "more than quenched ones", annealed.mean(), more),
    ],
    [mean_energies(descent)],
  )


def mean_energies(descent: Descent) -> ln.Picture:
  """Mean energies over the sweeps."""
  sweeps = np.arange(1, descent.annealed.shape[-1] + 1)
  curves = {
    name: (sweeps, energies.mean(axis=(0, 1))) for name, energies in descent._asdict().items()
  }
  return ln.function_curves(
    [ln.Panel("energy above the least", curves, log="y")],
    title="Random machines, cooled slowly and at once",
    x="sweep",
    caption="Mean over runs and machines of the energy above the least one.",
    file="annealing",
  )


experiment = ln.Experiment(Config, run)
