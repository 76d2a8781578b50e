"""Contrastive divergence beside the exact likelihood, on the digits (U03).

A machine of 64 visible and 16 hidden units has 65,536 hidden states, few enough for log Z, so that
learning can be judged by the likelihood of test images: contrastive divergence with one and ten
steps (Hinton 2002), and persistent chains (Tieleman 2008), on the 8 by 8 digits, whose pixels
become bits with their grey value's chance (as bits, one of the 360 test images equals a training
image at seed 0). Annealed importance sampling (Salakhutdinov and Murray 2008) estimates the same
log Z. `contrastive_bias` computes how far k steps are from the gradient.

    python launch.py --experiment=rbm_exact

Expected: 1.05 nats more with ten steps than with one, 1.06 with persistent chains; a minute
of one CPU core.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

import research as ln
from research.energy import contrastive, rbm
from research.energy.contrastive import Contrastive
from research.energy.rbm import Rbm
from research.learner import State


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


def with_log_likelihood(learner: ln.Learner) -> ln.Learner:
  """The learner that is evaluated by the exact log-likelihood in nats."""

  def evaluate(config: Config, state: State, batch: dict[str, Array]) -> dict[str, ln.Mean]:
    total, weight = learner.evaluate(config, state, batch)["free_energy"]
    return {"log_likelihood": ln.Mean(-total - weight * rbm.log_partition(state.rbm), weight)}

  return learner._replace(evaluate=evaluate)


training = contrastive.contrastive_training(
  lambda config, seed: ln.Task(digits("train"), {"test": digits("test")}),
  lambda config: rbm.log_odds(jnp.asarray(digits("train")["image"].mean(axis=0)).ravel()),
  evaluations=20,
  transform=with_log_likelihood,
)


def members(config: Config) -> dict[str, Config]:
  """Ways to find the gradient's second half."""
  return {
    "CD-1": config,
    "CD-10": ln.replace(config, {"machine.steps": 10}),
    "persistent": ln.replace(config, {"machine.start": "persistent"}),
  }


def annealing_error(learnt: Rbm, key: Key[Array, ""]) -> float:
  """|estimated - exact log Z| in nats, of 200 chains over 2,000 temperatures."""
  estimate = jax.jit(rbm.annealed_importance, static_argnums=3)(
    learnt, learnt.visible, key, 200, jnp.linspace(0, 1, 2001)
  )
  return float(jnp.abs(estimate.value - rbm.log_partition(learnt)))


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Three ways to learn."""
  fits = lab.compare("learning", members(config), training, repeats=config.repeats)
  reached = {
    name: np.array([fit.last("test/log_likelihood") for fit in each]) for name, each in fits.items()
  }
  longer, persistent = (reached[name] - reached["CD-1"] for name in ("CD-10", "persistent"))
  error = annealing_error(contrastive.learnt(fits["persistent"][0]), lab.key("annealing"))
  claim, more = ln.claims("U03"), ln.above(0)
  ten = "digits: test log-likelihood, CD-10 less CD-1 (nats)"
  chains, tieleman = "persistent chains less CD-1 (nats)", "above 0 (Tieleman 2008)"
  log_z = "log Z of the digits' machine by annealed importance sampling, error (nats)"
  return ln.Report(
    [
      claim(ten, "above 0", longer.mean(), more, repeats=longer),
      claim(chains, tieleman, persistent.mean(), more, repeats=persistent),
      claim(log_z, "near 0", error, ln.at_most(0.1)),
    ],
    [
      ln.compare_curves(
        fits,
        "test/log_likelihood",
        title="Machines of 16 hidden units on the digits",
        y="log-likelihood of a test image (nats)",
        caption="Exact, by log Z over all states of the hidden units.",
        file="likelihood",
      ),
    ],
  )


experiment = ln.Experiment(Config, run, training, takes=("lanes",))
