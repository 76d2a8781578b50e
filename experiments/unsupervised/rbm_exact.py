"""Contrastive divergence beside the exact gradient of the likelihood (U03).

Hinton 2002, "Training products of experts by minimizing contrastive divergence": the likelihood's
gradient needs the machine at rest; k steps from the data are a guess at it, with a bias. A machine
of seven variables has 128 states, so the chain's steps are a matrix, and the bias is computed, not
sampled: it falls with k (Bengio and Delalleau 2009). A machine of 64 visible and 16 hidden units
has 65,536 hidden states, few enough for log Z, so that learning can be judged by the likelihood of
test images: contrastive divergence with one and ten steps, and persistent chains (Tieleman 2008),
on the 8 by 8 digits, whose pixels become bits with their grey value's chance. Annealed importance
sampling (Salakhutdinov and Murray 2008) estimates the same log Z.

    python launch.py --experiment=rbm_exact

Expected: 1.05 nats more with ten steps than with one, 1.06 with persistent chains; a minute
of one CPU core.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from matplotlib.figure import Figure

import research as ln
from research.energy import boltzmann, contrastive, rbm
from research.energy.contrastive import Contrastive, Parts
from research.energy.rbm import Rbm
from research.learner import State

FEW = (4, 3)  # visible and hidden units of the machine of seven variables
STEPS = (1, 2, 3, 5, 10, 20)  # k


@ln.pytree_config
class Config:
  """The machine on the digits."""

  machine: Contrastive = ln.nested(
    Contrastive(hidden=16, learning_rate=0.1, schedule="linear", momentum=0.5, weight_cost=0.0)
  )
  batch_size: int = ln.static(50, "examples per step", at_least=1)
  steps: int = ln.static(20_000, "updates", at_least=1)
  repeats: int = ln.static(3, "machines of each kind", at_least=2)


def digits(split: str) -> dict[str, np.ndarray]:
  """The 8 by 8 digits as bits, drawn once: a grey value is the chance of a one."""
  images = getattr(ln.sets.load("digits"), split)["image"]
  drawn = np.random.default_rng(0).random(images.shape) < images / 255
  return {"image": drawn.astype(np.float32)}


machine = contrastive.contrastive(
  Parts(
    machine=lambda config: config.machine,
    biases=lambda config: rbm.log_odds(jnp.asarray(digits("train")["image"].mean(axis=0)).ravel()),
    steps=lambda config: config.steps,
    steady=lambda config: 0,
  )
)


def log_likelihood(config: Config, state: State, batch: dict[str, Array]) -> dict[str, ln.Mean]:
  """Evaluation: the exact one in nats."""
  means = machine.evaluate(config, state, batch)
  total, weight = means["free_energy"]
  return {"log_likelihood": ln.Mean(-total - weight * rbm.log_partition(state.rbm), weight)}


learner = ln.Learner(machine.init, machine.step, log_likelihood)


def training(config: Config, seed: int) -> ln.Training:
  """1,437 digits to learn from, 360 to be judged by."""
  every = max(1, config.steps // 20)
  return ln.Training(
    learner,
    digits("train"),
    ln.sampling.by_epoch(config.batch_size),
    steps=config.steps,
    evaluate={"test": digits("test")},
    evaluate_every=every,
    log_every=every,
  )


def members(config: Config) -> dict[str, Config]:
  """Ways to find the gradient's second half."""
  return {
    "CD-1": config,
    "CD-10": ln.replace(config, {"machine.steps": 10}),
    "persistent": ln.replace(config, {"machine.start": "persistent"}),
  }


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


def annealing_error(learnt: Rbm, key: Key[Array, ""]) -> float:
  """|estimated - exact log Z| in nats, of 200 chains over 2,000 temperatures."""
  estimate = jax.jit(rbm.annealed_importance, static_argnums=3)(
    learnt, learnt.visible, key, 200, jnp.linspace(0, 1, 2001)
  )
  return float(jnp.abs(estimate.value - rbm.log_partition(learnt)))


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Small machines exactly, then three ways to learn."""
  biases = np.asarray(jax.vmap(bias)(jax.random.split(lab.key("machines"), 100)))
  fits = lab.compare("learning", members(config), training, repeats=config.repeats)
  reached = {
    name: np.array([fit.last("test/log_likelihood") for fit in each]) for name, each in fits.items()
  }
  learnt: Rbm = jax.tree.map(jnp.asarray, fits["persistent"][0].state.rbm)
  mean = biases.mean(axis=0)
  row = functools.partial(ln.Claim, "U03")
  return ln.Report(
    [
      row(
        "seven variables: log Z over the hidden states against all 128, largest difference",
        "equal",
        enumeration_error(lab.key("enumeration")),
        ln.at_most(1e-5),
      ),
      row(
        "three steps of the chain, frequencies against the matrix's, largest gap in standard "
        "errors",
        "equal",
        sampling_error(lab.key("sampling")),
        ln.at_most(4),
      ),
      row(
        "100 random machines: k of 1, 2, 3, 5, 10, 20 at which the mean bias of CD-k rises",
        "none: it falls with k",
        np.sum(np.diff(mean) > 0),
        ln.equals(0),
      ),
      row(
        "bias of CD-10 over that of CD-1",
        "below 1",
        mean[STEPS.index(10)] / mean[0],
        ln.at_most(0.5),
      ),
      row(
        "digits: test log-likelihood, CD-10 less CD-1 (nats)",
        "above 0",
        (reached["CD-10"] - reached["CD-1"]).mean(),
        ln.above(0),
        repeats=reached["CD-10"] - reached["CD-1"],
      ),
      row(
        "persistent chains less CD-1 (nats)",
        "above 0 (Tieleman 2008)",
        (reached["persistent"] - reached["CD-1"]).mean(),
        ln.above(0),
        repeats=reached["persistent"] - reached["CD-1"],
      ),
      row(
        "log Z of the digits' machine by annealed importance sampling, error (nats)",
        "near 0",
        annealing_error(learnt, lab.key("annealing")),
        ln.at_most(0.1),
      ),
    ],
    [
      ln.compare_curves(
        fits,
        "test/log_likelihood",
        title="Machines of 16 hidden units on the digits",
        y="log-likelihood of a test image (nats)",
        caption=(
          "Exact, by log Z over 65,536 hidden states. One step from the data is cheapest, "
          "and learns "
          "another thing than the likelihood."
        ),
        file="likelihood",
      ),
      ln.Picture(
        "bias", bias_figure(biases), "Computed for 100 random machines of seven variables."
      ),
    ],
  )


def bias_figure(biases: Float[np.ndarray, "machine k"]) -> Figure:
  """Bias against k."""
  curves = {
    "mean": (np.array(STEPS), biases.mean(axis=0)),
    "median": (np.array(STEPS), np.median(biases, axis=0)),
  }
  panel = ln.Panel("|E[CD-k] - gradient| / |gradient|", curves, log="xy")
  return ln.function_curves(
    [panel], title="The bias of contrastive divergence", x="k (steps)", caption=""
  ).figure


experiment = ln.Experiment(Config, run, training, takes=("lanes",))
