"""The gradient by central differences, and where it points (L04).

Saito 2016, section 4.4: partial derivatives and the gradient field of x_0^2 + x_1^2, which points
to the steepest increase. The book, like figure 3.2 here, draws its negative.

    python launch.py --experiment=gradient_field

Expected: gradients (6, 8), (0, 4), (6, 0), and an increase along every one (float64). No training;
about 5 seconds on two CPU cores.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import research as ln
from research.figures.fields import arrow_field

Function = Callable[[Float[Array, " n"]], Float[Array, ""]]
PARTIALS = {(3.0, 4.0): (6.0, 8.0), (0.0, 2.0): (0.0, 4.0), (3.0, 0.0): (6.0, 0.0)}


@ln.pytree_config
class Config:
  """The book's step."""

  h: float = ln.traced(1e-4, "half the distance between the two points of a quotient", above=0)


def bowl(x: Float[Array, " n"]) -> Float[Array, ""]:
  """The sum of squares."""
  return jnp.sum(x**2)


def numerical_gradient(f: Function, x: Float[Array, " n"], h: float | Array) -> Float[Array, " n"]:
  """All partial derivatives by central differences, one element of `x` moved at a time."""
  moves = h * jnp.eye(x.size, dtype=x.dtype)
  return jax.vmap(lambda move: (f(x + move) - f(x - move)) / (2 * h))(moves)


def steepest_direction(f: Function, x: Float[Array, "2"], h: float) -> Float[Array, "2"]:
  """The one of 3,600 unit vectors along which `f` grows most over a step of length `h`."""
  angles = jnp.arange(3600) * (2 * jnp.pi / 3600)
  directions = jnp.column_stack([jnp.cos(angles), jnp.sin(angles)])
  return directions[jax.vmap(lambda direction: f(x + h * direction))(directions).argmax()]


def grid_points() -> Float[np.ndarray, "points 2"]:
  """The book's grid: -2 to 2.25 in steps of 0.25, both ways."""
  ticks = np.arange(-2, 2.5, 0.25)
  return np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The book's points, then small steps along and against the gradient on its grid; in float64."""
  del lab
  claim, claims = ln.claims("L04"), []
  with jax.enable_x64(True):
    gradient = jax.jit(lambda x: numerical_gradient(bowl, x, config.h))
    for (a, b), (first, second) in PARTIALS.items():
      error = jnp.abs(gradient(jnp.array([a, b])) - jnp.array([first, second])).max()
      what = f"gradient of x_0^2 + x_1^2 at ({a:g}, {b:g}), largest error"
      claims.append(claim(what, f"({first:g}, {second:g})", error, ln.at_most(1e-10)))
    points = jnp.array(grid_points())
    field = jax.vmap(gradient)(points)
    away, value = jnp.any(points != 0, axis=1), jax.vmap(bowl)
    uphill = float((value(points + 0.01 * field) - value(points))[away].min())
    downhill = float((value(points - 0.01 * field) - value(points))[away].max())
    steepest = jax.vmap(lambda x: steepest_direction(bowl, x, 1e-4))(points[away])
    cosines = jnp.sum(steepest * field[away], axis=1) / jnp.linalg.norm(field[away], axis=1)
    cosine = float(cosines.min())
  claims += [
    claim(
      "smallest change of f along the gradient, over the grid without 0",
      "increases: the gradient points uphill",
      uphill,
      ln.at_least(1e-6),
    ),
    claim(
      "largest change of f against the gradient, over the grid without 0",
      "decreases",
      downhill,
      ln.at_most(-1e-6),
    ),
    claim(
      "cosine between gradient and steepest of 3,600 directions, smallest",
      "1: steepest",
      cosine,
      ln.at_least(0.99999),
    ),
  ]
  picture = arrow_field(
    points,
    -np.asarray(field),
    title="Minus the gradient of $x_0^2 + x_1^2$",
    axis_names=("$x_0$", "$x_1$"),
    note="arrows point downhill; the gradient itself points uphill",
    caption="Figure 3.2: all arrows lead to the minimum, and are longer the farther they are from "
    "it.",
    file="gradient_field",
  )
  return ln.Report(claims, [picture])


experiment = ln.Experiment(Config, run)
