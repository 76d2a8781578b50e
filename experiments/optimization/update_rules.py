"""Six update rules by hand, each beside optax's (O01).

Saito 2016, section 6.1, Ng's course 2 week 2, and the papers: momentum 0.9 (Polyak 1964), Nesterov
as rewritten by Bengio et al. 2012, AdaGrad (Duchi 2011), RMSProp with 0.99, Adam with 0.9 and 0.999
(Kingma and Ba 2015). The formulas stand in `research.analysis.update_rules`. The book's AdaGrad and
Adam place epsilon elsewhere and are other formulas; what that does is the experiment `epsilon`.
The 2016 code of the book applies Nesterov's formula to a velocity that was already updated; here it
is the paper's.

    python launch.py --experiment=update_rules

Expected: equal to optax to 1e-12 over 200 steps where the formula is the same; a few seconds.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

import research as ln
from research.analysis.update_rules import (
  Rule,
  Vector,
  adagrad,
  adam,
  momentum,
  nesterov,
  rmsprop,
  sgd,
  updates,
)


@ln.pytree_config
class Config:
  """The rules' knobs, and how long they are compared."""

  steps: int = ln.static(200, "updates that are compared", at_least=1)
  size: int = ln.static(50, "parameters", at_least=1)
  learning_rate: float = ln.traced(0.01, "step size", above=0)
  momentum: float = ln.traced(0.9, "share of the velocity that is kept", at_least=0, below=1)
  decay: float = ln.traced(0.99, "RMSProp's share of the old mean square", at_least=0, below=1)
  beta1: float = ln.traced(0.9, "Adam's share of the old mean", at_least=0, below=1)
  beta2: float = ln.traced(0.999, "Adam's share of the old mean square", at_least=0, below=1)


Optax = Callable[[Config], optax.GradientTransformation]
PAIRS: dict[str, tuple[Rule, Optax]] = {  # by hand and optax's, of one formula
  "SGD": (Rule(lambda w: None, sgd), lambda c: optax.sgd(c.learning_rate)),
  "Momentum": (
    Rule(jnp.zeros_like, momentum),
    lambda c: optax.sgd(c.learning_rate, momentum=c.momentum),
  ),
  "Nesterov": (
    Rule(jnp.zeros_like, nesterov),
    lambda c: optax.sgd(c.learning_rate, momentum=c.momentum, nesterov=True),
  ),
  "AdaGrad, epsilon inside": (
    adagrad(1e-7, inside=True),
    lambda c: optax.adagrad(c.learning_rate, initial_accumulator_value=0.0, eps=1e-7),
  ),
  "RMSProp, epsilon inside": (
    rmsprop(1e-7, inside=True),
    lambda c: optax.rmsprop(c.learning_rate, decay=c.decay, eps=1e-7),
  ),
  "RMSProp, epsilon outside": (
    rmsprop(1e-7, inside=False),
    lambda c: optax.rmsprop(c.learning_rate, decay=c.decay, eps=1e-7, eps_in_sqrt=False),
  ),
  "Adam": (
    adam(1e-8, beside_corrected=True),
    lambda c: optax.adam(c.learning_rate, b1=c.beta1, b2=c.beta2, eps=1e-8),
  ),
}
UNLIKE = {  # the book's own formulas, which optax does not have
  "the book's Adam": (adam(1e-7, beside_corrected=False), PAIRS["Adam"][1]),
  "the book's AdaGrad": (adagrad(1e-7, inside=False), PAIRS["AdaGrad, epsilon inside"][1]),
}


def draw(config: Config, seed: int) -> Float[Array, "steps n"]:
  """Gradients of sizes from 1e-6 to 1, in float64."""
  rng = np.random.default_rng(seed)
  sizes = 10.0 ** rng.uniform(-6, 0, config.size)
  return jnp.asarray(sizes * rng.normal(size=(config.steps, config.size)))


def worst_difference(
  rule: Rule, of_optax: Optax, config: Config, gradients: Float[Array, "steps n"]
) -> float:
  """Largest difference between two updates, as a share of the learning rate."""
  optimizer = of_optax(config)

  def one(state: Any, g: Vector) -> tuple[Any, Vector]:
    update, state = optimizer.update(g, state)
    return state, update

  theirs = jax.jit(lambda g: jax.lax.scan(one, optimizer.init(g[0]), g)[1])(gradients)
  ours = jax.jit(updates, static_argnums=0)(rule, config, gradients)
  return float(jnp.max(jnp.abs(ours - theirs))) / config.learning_rate


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Compares every rule with optax's, step by step, in float64."""
  claim = ln.claims("O01")
  worst = f"{config.steps} updates against optax, worst difference / rate"
  with jax.enable_x64(True):
    given = draw(config, lab.seed)
    off = {name: worst_difference(*pair, config, given) for name, pair in (PAIRS | UNLIKE).items()}
  same, other = ln.at_most(1e-12), ln.at_least(0.1)
  return ln.Report(
    [
      *(claim(f"{name}: {worst}, float64", "same formula", off[name], same) for name in PAIRS),
      *(claim(f"{name}: {worst}", "another formula", off[name], other) for name in UNLIKE),
    ],
    [picture(config)],
  )


def picture(config: Config) -> ln.Picture:
  """The steps of every rule where the gradient is 1 all the time."""
  with jax.enable_x64(True):
    ones = jnp.ones((config.steps, 1))
    steps = {name: -updates(rule, config, ones)[:, 0] for name, (rule, _) in PAIRS.items()}
  times = np.arange(1, config.steps + 1)
  shown = {name: (times, np.asarray(s) / config.learning_rate) for name, s in steps.items()}
  return ln.function_curves(
    [ln.Panel("step / learning rate", shown, log="xy")],
    title="Seven rules, one gradient that stays 1",
    x="update",
    panel_inches=(7.4, 4.0),
    caption=f"Momentum adds up to 1 / (1 - {config.momentum:g}), AdaGrad falls by the root of the "
    f"count, RMSProp begins at 1 / sqrt(1 - {config.decay:g}), and Adam, corrected, at 1.",
    file="steps",
  )


experiment = ln.Experiment(Config, run)
