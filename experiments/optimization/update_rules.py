"""Six update rules by hand, each beside optax's; and where epsilon stands (O01).

Saito 2016, section 6.1 (the notes' 5.1), Ng's course 2 week 2, and the papers: momentum 0.9 (Polyak
1964), Nesterov as rewritten by Bengio et al. 2012, AdaGrad (Duchi 2011), RMSProp with 0.99, Adam
with 0.9 and 0.999 (Kingma and Ba 2015). The 2016 code of the book applies Nesterov's formula to a
velocity that was already updated; here it is the paper's.

Where epsilon stands differs, and so does the size of steps along small gradients:

    AdaGrad   book g / (sqrt(h) + 1e-7)          optax g / sqrt(h + eps)
    RMSProp   book g / (sqrt(h) + 1e-7)          optax g / sqrt(h + eps), or outside if asked to
    Adam      book: beside sqrt(v), uncorrected  paper, optax: 1e-8 beside sqrt(v / (1 - beta2^t))

    python launch.py --experiment=update_rules

Expected: equal to optax to 1e-12 over 200 steps where the formula is the same; a few seconds.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

import research as ln

Vector = Float[Array, " n"]


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


class Rule(NamedTuple):
  """The first memory; from config, memory, gradient and t = 1, 2, ... the next and the update."""

  init: Callable[[Vector], Any]
  update: Callable[[Config, Any, Vector, Any], tuple[Any, Vector]]


def sgd(c: Config, memory: None, g: Vector, t: Array) -> tuple[None, Vector]:
  """Down the gradient."""
  return memory, -c.learning_rate * g


def momentum(c: Config, v: Vector, g: Vector, t: Array) -> tuple[Vector, Vector]:
  """A ball with friction: equations 5.1a and 5.1b of the notes."""
  v = c.momentum * v - c.learning_rate * g
  return v, v


def nesterov(c: Config, v: Vector, g: Vector, t: Array) -> tuple[Vector, Vector]:
  """The gradient is taken where momentum will have led; Bengio's equation 7, in those places."""
  update = c.momentum**2 * v - (1 + c.momentum) * c.learning_rate * g
  return c.momentum * v - c.learning_rate * g, update


def adagrad(epsilon: float, *, inside: bool) -> Rule:
  """Every coordinate's rate falls with the squares of its gradients so far."""

  def update(c: Config, h: Vector, g: Vector, t: Array) -> tuple[Vector, Vector]:
    h = h + g**2
    return h, -c.learning_rate * g / divisor(h, epsilon, inside)

  return Rule(jnp.zeros_like, update)


def rmsprop(epsilon: float, *, inside: bool) -> Rule:
  """As AdaGrad, but old gradients are forgotten."""

  def update(c: Config, h: Vector, g: Vector, t: Array) -> tuple[Vector, Vector]:
    h = c.decay * h + (1 - c.decay) * g**2
    return h, -c.learning_rate * g / divisor(h, epsilon, inside)

  return Rule(jnp.zeros_like, update)


def adam(epsilon: float, *, beside_corrected: bool) -> Rule:
  """Means of g and g^2, freed of their start at zero."""

  def update(c: Config, memory: tuple, g: Vector, t: Array) -> tuple[tuple, Vector]:
    m, v = memory
    m = c.beta1 * m + (1 - c.beta1) * g
    v = c.beta2 * v + (1 - c.beta2) * g**2
    m_corrected, correction = m / (1 - c.beta1**t), 1 - c.beta2**t
    if beside_corrected:
      size = jnp.sqrt(v / correction) + epsilon
    else:
      size = (jnp.sqrt(v) + epsilon) / correction**0.5
    return (m, v), -c.learning_rate * m_corrected / size

  return Rule(lambda w: (jnp.zeros_like(w), jnp.zeros_like(w)), update)


def divisor(h: Vector, epsilon: float, inside: bool) -> Vector:
  """The root of h, kept from zero on one side or the other."""
  return jnp.sqrt(h + epsilon) if inside else jnp.sqrt(h) + epsilon


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
# The half-way size is the |g| at which epsilon halves the first step, by the formula above.
PLACEMENTS = {
  "AdaGrad, book: 1e-7 outside": (adagrad(1e-7, inside=False), 1e-7),
  "AdaGrad, optax: 1e-7 inside": (adagrad(1e-7, inside=True), (1e-7 / 3) ** 0.5),
  "RMSProp, book: 1e-7 outside": (rmsprop(1e-7, inside=False), 1e-6),
  "RMSProp, optax: 1e-7 inside": (rmsprop(1e-7, inside=True), (1e-5 / 3) ** 0.5),
  "Adam, book: 1e-7 beside the raw root": (adam(1e-7, beside_corrected=False), 1e-7 / 0.001**0.5),
  "Adam, paper: 1e-8 beside the corrected": (adam(1e-8, beside_corrected=True), 1e-8),
}


def updates_by_hand(rule: Rule, config: Config, gradients: Float[Array, "steps n"]) -> Array:
  """Every update [steps, n], for gradients that do not depend on them."""

  def one(memory: Any, step: tuple[Vector, Array]) -> tuple[Any, Vector]:
    return rule.update(config, memory, *step)

  times = jnp.arange(1, len(gradients) + 1, dtype=gradients.dtype)
  return jax.lax.scan(one, rule.init(gradients[0]), (gradients, times))[1]


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
  ours = jax.jit(updates_by_hand, static_argnums=0)(rule, config, gradients)
  return float(jnp.max(jnp.abs(ours - theirs))) / config.learning_rate


def first_steps(rule: Rule, config: Config, sizes: Vector) -> Vector:
  """Length of the first step along gradients of these sizes, as a share of the longest possible."""
  steps = -updates_by_hand(rule, config, sizes[None])[0]
  return steps / steps[-1]


def half_way(rule: Rule, config: Config) -> float:
  """The size of a gradient whose first step epsilon halves."""
  sizes = jnp.logspace(-11, 6, 17_001)
  return float(sizes[jnp.argmin(jnp.abs(first_steps(rule, config, sizes) - 0.5))])


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Step by step against optax, and the length of first steps, in float64."""
  claim = ln.claims("O01")
  worst = f"{config.steps} updates against optax, worst difference / rate"
  with jax.enable_x64(True):
    gradients = draw(config, lab.seed)
    off = {
      name: worst_difference(*pair, config, gradients) for name, pair in (PAIRS | UNLIKE).items()
    }
    half = {name: half_way(rule, config) for name, (rule, _) in PLACEMENTS.items()}
    sizes = np.logspace(-10, 0, 201)
    all_sizes = jnp.asarray(np.append(sizes, 1e6))
    steps = {
      name: (sizes, first_steps(rule, config, all_sizes)[:-1])
      for name, (rule, _) in PLACEMENTS.items()
    }
  return ln.Report(
    [
      *(
        claim(f"{name}: {worst}, float64", "same formula", off[name], ln.at_most(1e-12))
        for name in PAIRS
      ),
      *(
        claim(f"{name}: {worst}", "another formula", off[name], ln.at_least(0.1)) for name in UNLIKE
      ),
      *(
        claim(
          f"{name}: |g| at which epsilon halves the first step",
          f"{due:.3g} (formula)",
          half[name],
          ln.within_ratio(due, 0.01),
        )
        for name, (_, due) in PLACEMENTS.items()
      ),
    ],
    [
      ln.function_curves(
        [ln.Panel("first step / longest first step", steps, log="x")],
        title="Where epsilon stands",
        x="size of the gradient",
        panel_inches=(7.0, 4.0),
        caption="Steps along large gradients have one length. Epsilon decides which are small.",
        file="epsilon",
      )
    ],
  )


experiment = ln.Experiment(Config, run)
