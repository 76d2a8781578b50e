"""The Boltzmann machine of three visible and three hidden units (U02).

Ackley, Hinton and Sejnowski 1985, "A learning algorithm for Boltzmann machines": the likelihood's
gradient for a coupling is how often its two units are on together while data are held at the
visible units, less how often when the machine runs free. Six units have 64 states, so all that is
sampled stands beside the exact number. The machine learns which triples of bits have an even number
of ones: no two bits depend on each other there, so that without hidden units nothing can be learnt.

As couplings grow, free chains stay where they are, and learning with them goes astray. The paper
anneals anew for every estimate; here warmer chains stand beside and exchange states (parallel
tempering). `simulated_annealing` anneals random machines.

    python launch.py --experiment=boltzmann_machine

Expected: divergences of at most 0.02 nats, 0.69 without hidden units; 35 seconds of one CPU core.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

import research as ln
from research.energy import boltzmann
from research.energy.boltzmann_learner import boltzmann_machine

VISIBLE = 3
EVEN = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]], np.float32)


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


learner = boltzmann_machine(VISIBLE, len(EVEN))


def training(config: Config, seed: int) -> ln.Training:
  """The four patterns, each as often as the others in every batch."""
  data, test = {"pattern": np.tile(EVEN, (32, 1))}, {"test": {"pattern": EVEN}}
  sampler, every = ln.sampling.in_order(len(data["pattern"])), max(1, config.steps // 40)
  return ln.Training(learner, data, sampler, config.steps, test, every, every)


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
  """The largest difference between the rule and the derivative of the enumerated likelihood."""
  couplings, even = boltzmann.draw(key, 2 * VISIBLE), jnp.asarray(EVEN)
  held = boltzmann.exact_clamped_statistics(couplings, even, jnp.full(len(even), 0.25))
  rule = boltzmann.log_likelihood_gradient(held, boltzmann.exact_statistics(couplings))
  likelihood = lambda couplings: boltzmann.log_likelihood(couplings, even).mean()
  return ln.largest_difference(rule, jax.grad(likelihood)(couplings))


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Sampling, gradient, and learning."""
  members = {
    "tempered chains": config,
    "chains at T = 1": ln.replace(config, {"levels": 1}),
    "exact gradient": ln.replace(config, {"phases": "exact"}),
    "no hidden units": ln.replace(config, {"phases": "exact", "hidden": 0}),
  }
  fits = lab.compare("learning", members, training, repeats=config.repeats)
  found = {name: [fit.last("test/divergence") for fit in each] for name, each in fits.items()}
  tempered, hot = found["tempered chains"], found["chains at T = 1"]
  claim, log_2 = ln.claims("U02"), f"log 2 = {np.log(2):.3f} (theory)"
  means, gradient = sampling_error(lab.key("means")), gradient_error(lab.key("gradient"))
  sampled = (
    "random machines, sampled means of their units against enumeration: root mean square of the "
    "error in standard errors"
  )
  rule = "learning rule against the derivative of log P, largest difference"
  parity = "even parity of three bits, three hidden units: worst divergence (nats)"
  without, least = "without hidden units: least divergence (nats)", min(found["no hidden units"])
  what = "chains at T = 1 only: mean divergence over that of tempered ones"
  claims = [
    claim(sampled, "1 (chance)", means, ln.at_most(1.3)),
    claim(rule, "equal", gradient, ln.at_most(1e-6)),
    claim(parity, "0", max(tempered), ln.at_most(0.02)),
    claim(without, log_2, least, ln.at_least(0.69)),
    claim(what, "above 1", np.mean(hot) / np.mean(tempered), ln.at_least(1)),
  ]
  learning = ln.compare_curves(
    fits,
    "test/divergence",
    title="A Boltzmann machine learns even parity",
    y="divergence from the data (nats)",
    log=True,
    caption=f"Means of {config.repeats} machines, bands one standard deviation. Warmer chains "
    "and enumeration differ in how the second half of the gradient is found.",
    file="learning",
  )
  return ln.Report(claims, [learning, pattern_probabilities(fits)])


def pattern_probabilities(fits: dict[str, list[ln.Fit]]) -> ln.Picture:
  """Probabilities of the eight patterns by the first machine of two kinds."""
  patterns = jnp.asarray(boltzmann.all_states(VISIBLE))
  chance = lambda fit: np.exp(boltzmann.log_likelihood(fit.state.couplings, patterns))
  return ln.grouped_bars(
    {name: chance(fits[name][0]) for name in ("tempered chains", "no hidden units")},
    ["".join(str(int(bit)) for bit in pattern) for pattern in patterns],
    title="What the machines give",
    x="visible units",
    y="probability",
    caption="Probabilities of all triples of bits: in the data the even ones have a quarter each.",
    file="patterns",
  )


experiment = ln.Experiment(Config, run, training, takes=("lanes",))
