"""Numerical derivatives and gradients, and how small a step should be (L03, L04, L06).

Saito 2016, sections 4.3 and 4.4: central differences with h = 1e-4 of f(x) = 0.01 x^2 + 0.1 x at 5
and 10; the gradient field of x_0^2 + x_1^2, which points to the steepest increase (the book, like
figure 3.2 here, draws its negative); the gradient of simpleNet, one softmax layer.

    python launch.py --experiment=numerical_differentiation

Expected: 0.1999999999990898 and 0.2999999999986347 to the last digit (float64); gradients (6, 8),
(0, 4), (6, 0); central differences err as h^2, one-sided ones as h, until rounding takes over.
No training; about 5 seconds on two CPU cores.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from matplotlib.figure import Figure

import research as ln
from research.figures.fields import arrow_field

Scalar = Float[Array, ""]


@ln.pytree_config
class Config:
  """The book's step, and the random weights of simpleNet."""

  h: float = ln.traced(1e-4, "half the distance between the two points of a quotient", above=0)
  nets: int = ln.static(100, "random simpleNets", at_least=1)


def central_difference(f: Callable[[Array], Array], x: Array, h: float | Array) -> Array:
  """(f(x + h) - f(x - h)) / 2h: the errors of the two sides cancel to first order."""
  return (f(x + h) - f(x - h)) / (2 * h)


def one_sided_difference(f: Callable[[Array], Array], x: Array, h: float | Array) -> Array:
  """(f(x + h) - f(x)) / h, as the derivative is defined."""
  return (f(x + h) - f(x)) / h


def numerical_gradient(f: Callable[[Array], Scalar], x: Array, h: float | Array) -> Array:
  """All partial derivatives by central differences, one element of `x` moved at a time."""
  directions = jnp.eye(x.size, dtype=x.dtype).reshape(x.size, *x.shape)
  along = lambda direction: central_difference(lambda t: f(x + t * direction), jnp.zeros(()), h)
  return jax.vmap(along)(directions).reshape(x.shape)


def parabola(x: Array) -> Array:
  """0.01 x^2 + 0.1 x, whose derivative is 0.02 x + 0.1."""
  return 0.01 * x**2 + 0.1 * x


def bowl(x: Float[Array, " n"]) -> Scalar:
  """The sum of squares."""
  return jnp.sum(x**2)


SIMPLE_NET_INPUT = (0.6, 0.9)
SIMPLE_NET_TARGET = (0.0, 0.0, 1.0)
BOOK_WEIGHTS = ((0.47355232, 0.9977393, 0.84668094), (0.85557411, 0.03563661, 0.69422093))
BOOK_LOSS = 0.92806853663411326


def simple_net_loss(weights: Float[Array, "2 3"]) -> Scalar:
  """Cross-entropy of softmax(x W); the book's number is without its 1e-7 in the logarithm."""
  log_y = jax.nn.log_softmax(jnp.array(SIMPLE_NET_INPUT) @ weights)
  return -jnp.sum(jnp.array(SIMPLE_NET_TARGET) * log_y)


def steepest_direction(f: Callable[[Array], Scalar], x: Float[Array, "2"], h: float) -> Array:
  """Of 3,600 unit vectors the one along which `f` grows most over a step of length `h`."""
  angles = jnp.arange(3600) * (2 * jnp.pi / 3600)
  directions = jnp.column_stack([jnp.cos(angles), jnp.sin(angles)])
  return directions[jax.vmap(lambda direction: f(x + h * direction))(directions).argmax()]


def grid_points() -> Float[np.ndarray, "points 2"]:
  """The book's grid: -2 to 2.25 in steps of 0.25, both ways."""
  ticks = np.arange(-2, 2.5, 0.25)
  return np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """All in float64."""
  with jax.enable_x64(True):
    # Not compiled as a whole: a compiler may fuse a product with a sum and skip a rounding, and the
    # golden values are made of roundings.
    derivatives = {
      x: float(central_difference(parabola, jnp.array(x), config.h)) for x in (5.0, 10.0)
    }
    gradient = jax.jit(lambda x: numerical_gradient(bowl, x, config.h))
    at = {point: gradient(jnp.array(point)) for point in ((3.0, 4.0), (0.0, 2.0), (3.0, 0.0))}
    partials = {(3.0, 4.0): (6.0, 8.0), (0.0, 2.0): (0.0, 4.0), (3.0, 0.0): (6.0, 0.0)}
    points = jnp.array(grid_points())
    field = jax.vmap(gradient)(points)
    away = jnp.any(points != 0, axis=1)
    value = jax.vmap(bowl)
    uphill = (value(points + 0.01 * field) - value(points))[away]
    downhill = (value(points - 0.01 * field) - value(points))[away]
    steepest = jax.vmap(lambda x: steepest_direction(bowl, x, 1e-4))(points[away])
    cosine = jnp.sum(steepest * field[away], axis=1) / jnp.linalg.norm(field[away], axis=1)

    book_weights = jnp.array(BOOK_WEIGHTS)
    nets = jax.random.normal(lab.key("simpleNet"), (config.nets, 2, 3))
    numeric = jax.vmap(lambda w: numerical_gradient(simple_net_loss, w, config.h))(nets)
    exact = jax.vmap(jax.grad(simple_net_loss))(nets)
    off = lambda error: float(jnp.abs(error).max())

    errors = step_errors()
    orders = {name: order(errors["h"], errors[name]) for name in ("one-sided", "central")}
    tiny = float(central_difference(jnp.sin, jnp.array(1.0), 1e-50))
    claims = [
      *(
        ln.Claim(
          "L03", f"derivative of 0.01 x^2 + 0.1 x at {x:g}", f"{golden}", ours, ln.equals(golden)
        )
        for (x, ours), golden in zip(
          derivatives.items(), (0.1999999999990898, 0.2999999999986347), strict=True
        )
      ),
      *(
        ln.Claim(
          "L03", f"order of the {name} error in h", f"{order}", orders[name], ln.within(order, 0.05)
        )
        for name, order in (("one-sided", 1), ("central", 2))
      ),
      ln.Claim(
        "L03", "derivative of sin at 1 with h = 1e-50 (it is 0.54)", "0", tiny, ln.equals(0)
      ),
      *(
        ln.Claim(
          "L04",
          f"gradient of x_0^2 + x_1^2 at ({point[0]:g}, {point[1]:g}), largest error",
          f"({wanted[0]:g}, {wanted[1]:g})",
          off(at[point] - jnp.array(wanted)),
          ln.at_most(1e-10),
        )
        for point, wanted in partials.items()
      ),
      ln.Claim(
        "L04",
        "smallest change of f along the gradient, over the grid without 0",
        "increases (the notes say: decreases)",
        float(uphill.min()),
        ln.at_least(1e-6),
      ),
      ln.Claim(
        "L04",
        "largest change of f against the gradient, over the grid without 0",
        "decreases",
        float(downhill.max()),
        ln.at_most(-1e-6),
      ),
      ln.Claim(
        "L04",
        "cosine between gradient and steepest of 3,600 directions, smallest",
        "1: steepest",
        float(cosine.min()),
        ln.at_least(0.99999),
      ),
      ln.Claim(
        "L06",
        "simpleNet, loss at the book's weights",
        f"{BOOK_LOSS:.8f}",
        float(simple_net_loss(book_weights)),
        ln.within(BOOK_LOSS, 1e-8),  # the weights are printed to 8 digits
      ),
      # Central differences with h are wrong by the order of h^2, which is 1e-8.
      ln.Claim(
        "L06",
        f"{config.nets} random simpleNets: gradient's rows against 0.6 : 0.9, largest error",
        "proportional",
        off(numeric[:, 0] / 0.6 - numeric[:, 1] / 0.9),
        ln.at_most(1e-8),
      ),
      ln.Claim(
        "L06", "sums of the rows, largest", "0", off(numeric.sum(axis=-1)), ln.at_most(1e-8)
      ),
      ln.Claim(
        "L06", "by differences against jax.grad", "equal", off(numeric - exact), ln.at_most(1e-8)
      ),
    ]
  return ln.Report(
    claims,
    [
      ln.Picture(
        "tangents", tangents(derivatives), "The numerical derivatives as slopes of lines."
      ),
      arrow_field(
        points,
        -np.asarray(field),
        title="Minus the gradient of $x_0^2 + x_1^2$",
        axis_names=("$x_0$", "$x_1$"),
        note="arrows point downhill; the gradient itself points uphill",
        caption=(
          "Figure 3.2: all arrows lead to the minimum, and are longer the farther they are from it."
        ),
        file="gradient_field",
      ),
      ln.function_curves(
        [
          ln.Panel(
            "|error| of the derivative",
            {name: (errors["h"], errors[name]) for name in orders},
            "sin at 1, float64",
            log="xy",
          )
        ],
        title="How small a step?",
        x="h",
        caption=(
          "From the right, the error falls as h or h squared; then the rounding of f, "
          "divided by an "
          "ever smaller h, takes over. The central quotient is at its best near 1e-5."
        ),
        file="error_over_h",
      ),
    ],
  )


def step_errors() -> dict[str, np.ndarray]:
  """Errors of both quotients of sin at 1, for h from 1e-15 to 1; [h] each."""
  h = 10.0 ** (np.arange(-60, 1) / 4)
  one = jnp.array(1.0)
  quotients = {"one-sided": one_sided_difference, "central": central_difference}
  error = lambda quotient: np.abs(np.asarray(quotient(jnp.sin, one, jnp.array(h))) - np.cos(1.0))
  return {"h": h} | {name: error(quotient) for name, quotient in quotients.items()}


def order(h: np.ndarray, error: np.ndarray) -> float:
  """The power of h that the error follows between 1e-3 and 1e-1, where rounding is no matter."""
  is_smooth = (h > 0.99e-3) & (h < 1.01e-1)
  return float(np.polyfit(np.log(h[is_smooth]), np.log(error[is_smooth]), 1)[0])


def tangents(derivatives: dict[float, float]) -> Figure:
  """The parabola from 0 to 20 with its tangent at each of the points."""
  x = np.linspace(0, 20, 201)
  value = lambda x: np.asarray(parabola(jnp.asarray(x)))
  panels = [
    ln.Panel(
      "f(x)",
      {"f(x) = 0.01 x² + 0.1 x": (x, value(x)), "tangent": (x, value(at) + slope * (x - at))},
      f"slope {slope:.4f} at x = {at:g}",
      dot=(at, float(value(at))),
    )
    for at, slope in derivatives.items()
  ]
  return ln.function_curves(
    panels, title="Numerical derivatives as tangents", x="x", caption=""
  ).figure


experiment = ln.Experiment(Config, run)
