"""The place of epsilon in AdaGrad, RMSProp and Adam, and the gradients that it makes small (O01).

The formulas differ, and so does the size of steps along small gradients:

    AdaGrad   Saito 2016: g / (sqrt(h) + 1e-7)        optax: g / sqrt(h + eps)
    RMSProp   Saito 2016: g / (sqrt(h) + 1e-7)        optax: g / sqrt(h + eps), or as Saito
    Adam      Saito 2016: beside sqrt(v), uncorrected  Kingma and Ba 2015, optax: 1e-8 beside
                                                      sqrt(v / (1 - beta2^t))

    python launch.py --experiment=epsilon

Expected: inside of the root 1e-7 halves the steps of gradients a thousand times larger than
outside of it; a few seconds.
"""

import jax
import jax.numpy as jnp
import numpy as np

import research as ln
from research.analysis.update_rules import Rule, Vector, adagrad, adam, rmsprop, updates


@ln.pytree_config
class Config:
  """The rules' knobs."""

  learning_rate: float = ln.traced(0.01, "step size", above=0)
  decay: float = ln.traced(0.99, "RMSProp's share of the old mean square", at_least=0, below=1)
  beta1: float = ln.traced(0.9, "Adam's share of the old mean", at_least=0, below=1)
  beta2: float = ln.traced(0.999, "Adam's share of the old mean square", at_least=0, below=1)


# The half-way size is the |g| at which epsilon halves the first step, by the formula above.
PLACEMENTS = {
  "AdaGrad, book: 1e-7 outside": (adagrad(1e-7, inside=False), 1e-7),
  "AdaGrad, optax: 1e-7 inside": (adagrad(1e-7, inside=True), (1e-7 / 3) ** 0.5),
  "RMSProp, book: 1e-7 outside": (rmsprop(1e-7, inside=False), 1e-6),
  "RMSProp, optax: 1e-7 inside": (rmsprop(1e-7, inside=True), (1e-5 / 3) ** 0.5),
  "Adam, book: 1e-7 beside the raw root": (adam(1e-7, beside_corrected=False), 1e-7 / 0.001**0.5),
  "Adam, paper: 1e-8 beside the corrected": (adam(1e-8, beside_corrected=True), 1e-8),
}


def first_steps(rule: Rule, config: Config, sizes: Vector) -> Vector:
  """Length of the first step along gradients of these sizes, as a share of the longest possible."""
  steps = -updates(rule, config, sizes[None])[0]
  return steps / steps[-1]


def half_way(rule: Rule, config: Config) -> float:
  """The size of a gradient whose first step epsilon halves."""
  sizes = jnp.logspace(-11, 6, 17_001)
  return float(sizes[jnp.argmin(jnp.abs(first_steps(rule, config, sizes) - 0.5))])


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Measures the length of first steps along gradients of many sizes, in float64."""
  claim, what = ln.claims("O01"), "|g| at which epsilon halves the first step"
  sizes, half, steps = np.logspace(-10, 0, 201), {}, {}
  with jax.enable_x64(True):
    all_sizes = jnp.asarray(np.append(sizes, 1e6))
    for name, (rule, _) in PLACEMENTS.items():
      half[name] = half_way(rule, config)
      steps[name] = (sizes, first_steps(rule, config, all_sizes)[:-1])
  return ln.Report(
    [
      claim(f"{name}: {what}", f"{due:.3g} (formula)", half[name], ln.within_ratio(due, 0.01))
      for name, (_, due) in PLACEMENTS.items()
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
