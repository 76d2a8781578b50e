"""Gradient descent, and what becomes of it when the learning rate is wrong (L05).

Saito 2016, section 4.4.1: x_0^2 + x_1^2 from (-3, 4) by numerical gradients. Learning rate 0.1
shrinks x by 0.8 a step, 1e-10 hardly moves it, and 10 throws it out, each step 19 times as far and
to the other side. The book's run does not go on to 3 * 19^100 = 2e128 but stands still at 2.6e13:
out there x + h is x, and the numerical gradient is lost in rounding. Figure 3.3 shows 20 steps.

The rates are a traced argument, so that all descents are lanes of one program: `vmap` of a `scan`.

    python launch.py --experiment=gradient_descent

Expected: the book's end points (float64); with rate 0.1, (-3, 4) * 0.8^n after each step n.
About 3 seconds on two CPU cores.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

import research as ln
from research.figures.fields import contour_paths

Function = Callable[[Float[Array, " n"]], Float[Array, ""]]
START = (-3.0, 4.0)


@ln.pytree_config
class Config:
  """The book's settings."""

  learning_rate: float = ln.traced(0.1, "the rate that works", above=0)
  too_large: float = ln.traced(10.0, "one that diverges", above=0)
  too_small: float = ln.traced(1e-10, "one that stands still", above=0)
  steps: int = ln.static(100, "steps of each", at_least=1)
  drawn_steps: int = ln.static(20, "steps of the path in the figure", at_least=1)
  h: float = ln.traced(1e-4, "half the distance of the difference quotients", above=0)


class Lanes(NamedTuple):
  """One descent each: its rate, and the number of steps after which it stops."""

  learning_rate: Float[Array, "..."]
  steps: Int[Array, "..."]


def bowl(x: Float[Array, " n"]) -> Float[Array, ""]:
  """The sum of squares, whose gradient is 2x."""
  return jnp.sum(x**2)


def numerical_gradient(f: Function, x: Float[Array, " n"], h: float) -> Float[Array, " n"]:
  """Central differences, one element moved at a time."""
  moves = h * jnp.eye(x.size, dtype=x.dtype)
  return jax.vmap(lambda move: (f(x + move) - f(x - move)) / (2 * h))(moves)


def descend(
  gradient: Callable[[Array], Array], lane: Lanes, most_steps: int
) -> Float[Array, "step n"]:
  """The points of one descent, the start included; after its last step it stays where it is."""

  def step(x: Array, number: Array) -> tuple[Array, Array]:
    moved = x - lane.learning_rate * gradient(x)
    x = jnp.where(number < lane.steps, moved, x)
    return x, x

  start = jnp.array(START)
  _, points = jax.lax.scan(step, start, jnp.arange(most_steps))
  return jnp.concatenate([start[None], points])


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Four lanes by numerical gradients, and the diverging one by exact gradients beside them."""
  del lab
  with jax.enable_x64(True):
    lanes = Lanes(
      jnp.array([config.learning_rate, config.too_large, config.too_small, config.learning_rate]),
      jnp.array([config.steps, config.steps, config.steps, config.drawn_steps]),
    )
    most = max(config.steps, config.drawn_steps)
    by = lambda gradient: np.asarray(
      jax.jit(jax.vmap(lambda lane: descend(gradient, lane, most)))(lanes)
    )
    numeric = by(lambda x: numerical_gradient(bowl, x, config.h))
    exact = by(jax.grad(bowl))
  works, diverges, stands, drawn = numeric[:, -1]
  factor = 1 - 2 * config.learning_rate
  analytic = np.array(START) * factor ** np.arange(config.steps + 1)[:, None]
  error = np.abs(numeric[0, : config.steps + 1] / analytic - 1)
  golden = [
    ("rate 0.1, 100 steps", works, (-6.11e-10, 8.15e-10), lambda x: ln.within_ratio(x, 0.001)),
    # Where it stops is made of roundings, and they depend on what a compiler fuses.
    ("rate 10, 100 steps", diverges, (-2.59e13, -1.29e12), lambda x: ln.within_ratio(x, 0.01)),
    ("rate 1e-10, 100 steps", stands, (-2.99999994, 3.99999992), lambda x: ln.within(x, 5e-9)),
    ("rate 0.1, 20 steps", drawn, (-0.03459, 0.04612), lambda x: ln.within(x, 5e-6)),
  ]
  ticks = np.linspace(-4.5, 4.5, 181)
  heights = ticks[None] ** 2 + ticks[:, None] ** 2
  distances = {
    f"rate {rate:g}": (np.arange(most + 1), np.linalg.norm(points, axis=1))
    for rate, points in zip(np.asarray(lanes.learning_rate)[:3], numeric[:3], strict=True)
  }
  distances["rate 10, exact"] = (np.arange(most + 1), np.linalg.norm(exact[1], axis=1))
  return ln.Report(
    [
      *(
        ln.Claim("L05", f"{what}: x{place}", f"{value:g}", end[place], bar(value))
        for what, end, values, bar in golden
        for place, value in enumerate(values)
      ),
      ln.Claim(
        "L05",
        "rate 0.1, all steps: against (-3, 4) * 0.8^n, largest relative error",
        "equal",
        error.max(),
        ln.at_most(1e-9),
      ),
      ln.Claim(
        "L05",
        "rate 10 by exact gradients: log10 of |x0|",
        "log10(3 * 19^100) = 128.35",
        np.log10(abs(exact[1, -1, 0])),
        ln.within(128.35, 0.01),
      ),
    ],
    [
      contour_paths(
        ticks,
        ticks,
        heights,
        {f"rate {config.learning_rate:g}": numeric[3, : config.drawn_steps + 1]},
        title="Gradient descent on $x_0^2 + x_1^2$",
        axis_names=("$x_0$", "$x_1$"),
        levels=(1, 4, 9, 16, 25),
        note=f"{config.drawn_steps} steps from (-3, 4)",
        caption=(
          "Figure 3.3: the steps lead straight to the minimum, each 0.8 times as long as the last."
        ),
        file="descent",
      ),
      ln.function_curves(
        [ln.Panel("distance from the minimum", distances, log="y")],
        title="Three learning rates",
        x="step",
        caption=(
          "A rate that is too large multiplies the distance by 19 at every step, until the "
          "numerical "
          "gradient is lost in rounding (the exact one goes on); a rate that is too small changes "
          "nothing."
        ),
        file="learning_rates",
      ),
    ],
  )


experiment = ln.Experiment(Config, run)
