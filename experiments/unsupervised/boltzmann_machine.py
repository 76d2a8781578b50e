"""The Boltzmann machine of three visible and three hidden units (U02).

Ackley, Hinton and Sejnowski 1985, "A learning algorithm for Boltzmann machines": the likelihood's
gradient for a coupling is how often its two units are on together while data are held at the
visible units, less how often when the machine runs free. Six units have 64 states, so all that is
sampled stands beside the exact number. The machine learns which triples of bits have an even number
of ones: no two bits depend on each other there, so that without hidden units nothing can be learnt.

As couplings grow, free chains stay where they are, and learning with them goes astray. The paper
anneals anew for every estimate; here warmer chains stand beside and exchange states (parallel
tempering). Annealing is shown on random machines.

    python launch.py --experiment=boltzmann_machine

Expected: divergences of at most 0.02 nats, 0.69 without hidden units; 35 seconds of one CPU core.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key
from matplotlib.figure import Figure

import research as ln
from research.energy import boltzmann, rbm
from research.energy.boltzmann import Couplings
from research.layers.batch_axis import batch_keys, batch_sum
from research.metrics import batch_shares

VISIBLE = 3
EVEN = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]], np.float32)
CLAMPED_SWEEPS = 8  # from random hidden units, while the visible ones are held


@ln.pytree_config
class Config:
  """The machine, and how the gradient's second half is found."""

  hidden: int = ln.static(3, "hidden units", at_least=0)
  phases: str = ln.static(
    "sampled", "how both halves of the gradient are found", choices=("sampled", "exact")
  )
  levels: int = ln.static(5, "temperatures of the free chains; 1: only T = 1", at_least=1)
  hottest: float = ln.traced(5.0, "the highest temperature", above=1)
  chains: int = ln.static(128, "chains of each temperature", at_least=1)
  deviation: float = ln.traced(0.3, "of the first couplings", above=0)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 0.1, "linear"))
  steps: int = ln.static(6000, "updates", at_least=1)
  repeats: int = ln.static(5, "machines of each kind", at_least=2)
  units: int = ln.static(16, "units of the random machines that are annealed", at_least=2)
  machines: int = ln.static(20, "of them", at_least=1)


class State(NamedTuple):
  """The couplings, and the free chains at every temperature."""

  step: Int[Array, ""]
  key: Key[Array, ""]
  couplings: Couplings
  opt_state: optax.OptState
  free: Float[Array, "level chain unit"]


def init(config: Config, key: Key[Array, ""]) -> State:
  """Small couplings, random chains."""
  couplings_key, chains_key, run_key = jax.random.split(key, 3)
  units = VISIBLE + config.hidden
  couplings = boltzmann.draw(couplings_key, units, config.deviation)
  free = jax.random.bernoulli(chains_key, shape=(config.levels, config.chains, units))
  opt_state = ln.make_optimizer(config.optimizer, config.steps).init(couplings)
  return State(jnp.int32(0), run_key, couplings, opt_state, free.astype(float))


def step(config: Config, state: State, batch: ln.Batch) -> tuple[State, ln.Metrics]:
  """One step up the log-likelihood of the patterns."""
  hidden_key, clamped_key, free_key = jax.random.split(jax.random.fold_in(state.key, state.step), 3)
  couplings, free, visible = state.couplings, state.free, batch["pattern"]
  weight = batch_shares(batch)
  if config.phases == "exact":
    held = boltzmann.exact_clamped_statistics(couplings, visible, weight)
    running = boltzmann.exact_statistics(couplings)
  else:
    size = len(visible)
    half = jnp.full((size, config.hidden), 0.5)
    start = jnp.concatenate([visible, rbm.bits(batch_keys(hidden_key, size), half)], axis=1)
    keys = batch_keys(clamped_key, size)
    clamped = boltzmann.sweeps(couplings, start, keys, CLAMPED_SWEEPS, clamped=VISIBLE)
    held = boltzmann.statistics(clamped, weight)
    temperatures = jnp.geomspace(1.0, config.hottest, config.levels)
    for key in jax.random.split(free_key):
      free = boltzmann.tempered_sweep(couplings, free, temperatures, key)
    running = boltzmann.statistics(free[0], jnp.full(config.chains, 1 / config.chains))
  ascent = boltzmann.log_likelihood_gradient(batch_sum(held), running)
  loss = batch_sum(-weight @ boltzmann.log_likelihood(couplings, visible))
  updates, opt_state = ln.make_optimizer(config.optimizer, config.steps).update(
    jax.tree.map(jnp.negative, ascent), state.opt_state, couplings
  )
  couplings = optax.apply_updates(couplings, updates)
  return State(state.step + 1, state.key, couplings, opt_state, free), {"loss": loss}


def evaluate(config: Config, state: State, batch: ln.Batch) -> dict[str, ln.Mean]:
  """Kullback-Leibler divergence in nats of the machine from the even patterns."""
  gap = -jnp.log(len(EVEN)) - boltzmann.log_likelihood(state.couplings, batch["pattern"])
  return ln.batch_means({"divergence": gap}, batch)


learner = ln.Learner(init, step, evaluate)


def training(config: Config, seed: int) -> ln.Training:
  """The four patterns, each as often as the others in every batch."""
  patterns = np.tile(EVEN, (32, 1))
  every = max(1, config.steps // 40)
  return ln.Training(
    learner,
    {"pattern": patterns},
    ln.sampling.in_order(len(patterns)),
    steps=config.steps,
    evaluate={"test": {"pattern": EVEN}},
    evaluate_every=every,
    log_every=every,
  )


def members(config: Config) -> dict[str, Config]:
  """The machine, and what is to be compared with it."""
  return {
    "tempered chains": config,
    "chains at T = 1": ln.replace(config, {"levels": 1}),
    "exact gradient": ln.replace(config, {"phases": "exact"}),
    "no hidden units": ln.replace(config, {"phases": "exact", "hidden": 0}),
  }


def sampling_error(
  key: Key[Array, ""], machines: int = 20, chains: int = 2_000, count: int = 200
) -> float:
  """Root mean square, in standard errors, by which the sampled means of units differ from exact.

  Each of the random machines has chains of its own, so that chance alone gives 1.
  """

  def one(key: Array) -> Array:
    draw_key, start_key, run_key = jax.random.split(key, 3)
    couplings = boltzmann.draw(draw_key, 2 * VISIBLE)
    start = jax.random.bernoulli(start_key, shape=(chains, 2 * VISIBLE)).astype(float)
    keys = jax.random.split(run_key, chains)
    sampled = boltzmann.sweeps(couplings, start, keys, count).mean(axis=0)
    exact = boltzmann.exact_statistics(couplings).biases
    return (sampled - exact) ** 2 / (exact * (1 - exact) / chains)

  return float(jnp.sqrt(jax.vmap(one)(jax.random.split(key, machines)).mean()))


def gradient_error(key: Key[Array, ""]) -> float:
  """Of the rule from the derivative of the enumerated log-likelihood; the largest element."""
  couplings = boltzmann.draw(key, 2 * VISIBLE)
  likelihood = lambda couplings: boltzmann.log_likelihood(couplings, jnp.asarray(EVEN)).mean()
  rule = boltzmann.log_likelihood_gradient(
    boltzmann.exact_clamped_statistics(couplings, jnp.asarray(EVEN), jnp.full(len(EVEN), 0.25)),
    boltzmann.exact_statistics(couplings),
  )
  gaps = jax.tree.map(lambda a, b: jnp.abs(a - b).max(), rule, jax.grad(likelihood)(couplings))
  return float(max(gaps))


class Descent(NamedTuple):
  """Energy above the least one, [machine, run, sweep], of annealed and of quenched runs."""

  annealed: np.ndarray
  quenched: np.ndarray


def descents(config: Config, key: Key[Array, ""], runs: int = 200, sweeps: int = 300) -> Descent:
  """Random machines, cooled slowly or at once, from random states."""
  states = jnp.asarray(boltzmann.all_states(config.units))

  def one(key: Array, temperatures: Array) -> Array:
    draw_key, start_key, run_key = jax.random.split(key, 3)
    couplings = boltzmann.draw(draw_key, config.units)
    start = jax.random.bernoulli(start_key, shape=(runs, config.units)).astype(float)

    def go(states: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
      states = boltzmann.sweep(couplings, states, now[0], temperature=now[1])
      return states, boltzmann.energy(couplings, states)

    _, energies = jax.lax.scan(go, start, (jax.random.split(run_key, (sweeps, runs)), temperatures))
    return energies.T - boltzmann.energy(couplings, states).min()

  keys = jax.random.split(key, config.machines)
  many = jax.jit(lambda temperatures: jax.lax.map(lambda key: one(key, temperatures), keys))
  cold = 0.05
  annealed, quenched = many(jnp.geomspace(10.0, cold, sweeps)), many(jnp.full(sweeps, cold))
  return Descent(np.asarray(annealed), np.asarray(quenched))


def reached(energies: np.ndarray) -> np.ndarray:
  """Which runs end in a state of the least energy, [machine, run]."""
  return energies[..., -1] < 1e-3


def learnt(fits: list[ln.Fit]) -> Couplings:
  """The couplings of the first machine."""
  return jax.tree.map(jnp.asarray, fits[0].state.couplings)


def divergences(fits: list[ln.Fit]) -> np.ndarray:
  """Returns the divergences of the finished machines."""
  return np.array([fit.last("test/divergence") for fit in fits])


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Sampling, gradient, learning, and annealing."""
  descent = descents(config, lab.key("descents"))
  fits = lab.compare("learning", members(config), training, repeats=config.repeats)
  found = {name: divergences(each) for name, each in fits.items()}
  row = lambda what, source, ours, bar, unit="": ln.Claim("U02", what, source, ours, bar, unit)
  return ln.Report(
    [
      row(
        "random machines, sampled means of their units against enumeration: root mean square "
        "of the error in standard errors",
        "1 (chance)",
        sampling_error(lab.key("means")),
        ln.at_most(1.3),
      ),
      row(
        "learning rule against the derivative of log P, largest difference",
        "equal",
        gradient_error(lab.key("gradient")),
        ln.at_most(1e-6),
      ),
      row(
        "even parity of three bits, three hidden units: worst divergence (nats)",
        "0",
        found["tempered chains"].max(),
        ln.at_most(0.02),
      ),
      row(
        "without hidden units: least divergence (nats)",
        f"log 2 = {np.log(2):.3f} (theory)",
        found["no hidden units"].min(),
        ln.at_least(0.69),
      ),
      row(
        "chains at T = 1 only: mean divergence over that of tempered ones",
        "above 1",
        found["chains at T = 1"].mean() / found["tempered chains"].mean(),
        ln.at_least(1),
      ),
      row(
        "random machines whose state of least energy some annealed run finds",
        "all",
        reached(descent.annealed).any(axis=1).mean(),
        ln.equals(1),
        "%",
      ),
      row(
        "annealed runs that find it",
        "more than quenched ones",
        reached(descent.annealed).mean(),
        ln.at_least(reached(descent.quenched).mean()),
        "%",
      ),
    ],
    [
      ln.compare_curves(
        fits,
        "test/divergence",
        title="A Boltzmann machine learns even parity",
        y="divergence from the data (nats)",
        log=True,
        caption=f"Means of {config.repeats} machines, bands one standard deviation. Without hidden "
        "units "
        "nothing is learnt; with chains at T = 1 only the gradient's second half is stale.",
        file="learning",
      ),
      ln.Picture(
        "patterns",
        pattern_figure(fits),
        "Probabilities of all triples of bits: the even ones should have a quarter each.",
      ),
      ln.Picture(
        "annealing",
        annealing_figure(descent),
        "Mean over runs and machines of the energy above the least one. Quenched runs stop in the "
        "first valley; annealed ones leave it while it is warm.",
      ),
    ],
  )


def pattern_figure(fits: dict[str, list[ln.Fit]]) -> Figure:
  """What the first machine of each kind says of the eight patterns."""
  patterns = boltzmann.all_states(VISIBLE)
  figure, grid = ln.new_figure("What the machines give", panel_inches=(6.4, 3.4))
  names = ["tempered chains", "no hidden units"]
  for number, name in enumerate(names):
    chance = np.exp(boltzmann.log_likelihood(learnt(fits[name]), jnp.asarray(patterns)))
    places = np.arange(len(patterns)) + 0.4 * (number - 0.5)
    hatch = "//" if number else ""
    grid[0, 0].bar(
      places,
      chance,
      0.38,
      color=ln.stroke(number).colour,
      hatch=hatch,
      label=name,
      edgecolor="white",
    )
  labels = ["".join(str(int(bit)) for bit in pattern) for pattern in patterns]
  grid[0, 0].set_xticks(range(len(labels)), labels)
  ln.label_axes(grid[0, 0], "visible units", "probability")
  ln.legend_below(figure)
  return figure


def annealing_figure(descent: Descent) -> Figure:
  """Mean energies over the sweeps."""
  sweeps = np.arange(1, descent.annealed.shape[-1] + 1)
  curves = {
    name: (sweeps, energies.mean(axis=(0, 1))) for name, energies in descent._asdict().items()
  }
  panel = ln.Panel("energy above the least", curves, log="y")
  return ln.function_curves(
    [panel], title="Cooling slowly finds lower energies", x="sweep", caption=""
  ).figure


experiment = ln.Experiment(Config, run, training, takes=("lanes",))
