"""Numerical derivatives, and how small a step should be (L03).

Saito 2016, section 4.3: central differences with h = 1e-4 of f(x) = 0.01 x^2 + 0.1 x at 5 and 10.

    python launch.py --experiment=numerical_differentiation

Expected: 0.1999999999990898 and 0.2999999999986347 to the last digit (float64); central differences
err as h^2, one-sided ones as h, until rounding takes over. No training; about 5 seconds on two CPU
cores.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import research as ln

GOLDEN = {5.0: 0.1999999999990898, 10.0: 0.2999999999986347}


@ln.pytree_config
class Config:
  """The book's step."""

  h: float = ln.traced(1e-4, "half the distance between the two points of a quotient", above=0)


def central_difference(f: Callable[[Array], Array], x: Array, h: float | Array) -> Array:
  """(f(x + h) - f(x - h)) / 2h: the errors of the two sides cancel to first order."""
  return (f(x + h) - f(x - h)) / (2 * h)


def one_sided_difference(f: Callable[[Array], Array], x: Array, h: float | Array) -> Array:
  """(f(x + h) - f(x)) / h, as the derivative is defined."""
  return (f(x + h) - f(x)) / h


def parabola(x: Array) -> Array:
  """0.01 x^2 + 0.1 x, whose derivative is 0.02 x + 0.1."""
  return 0.01 * x**2 + 0.1 * x


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


def tangents(derivatives: dict[float, float]) -> ln.Picture:
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
    panels,
    title="Numerical derivatives as tangents",
    x="x",
    caption="The numerical derivatives as slopes of lines.",
    file="tangents",
  )


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Golden values, and errors over h; all in float64."""
  del lab
  with jax.enable_x64(True):
    # Not compiled as a whole: a compiler may fuse a product with a sum and skip a rounding, and the
    # golden values are made of roundings.
    slopes = {x: float(central_difference(parabola, jnp.array(x), config.h)) for x in GOLDEN}
    errors = step_errors()
    tiny = float(central_difference(jnp.sin, jnp.array(1.0), 1e-50))
  claim = ln.claims("L03")
  h = errors.pop("h")
  curves = {name: (h, error) for name, error in errors.items()}
  claims = []
  for x, golden in GOLDEN.items():
    what = f"derivative of 0.01 x^2 + 0.1 x at {x:g}"
    claims.append(claim(what, f"{golden}", slopes[x], ln.equals(golden)))
  for power, (name, error) in enumerate(errors.items(), start=1):
    what = f"order of the {name} error in h"
    claims.append(claim(what, f"{power}", order(h, error), ln.within(power, 0.05)))
  claims.append(
    claim("derivative of sin at 1 with h = 1e-50 (it is 0.54)", "0", tiny, ln.equals(0))
  )
  return ln.Report(
    claims,
    [
      tangents(slopes),
      ln.function_curves(
        [ln.Panel("|error| of the derivative", curves, "sin at 1, float64", log="xy")],
        title="How small a step?",
        x="h",
        caption="From the right, the error falls as h or h squared; then the rounding of f, "
        "divided by an ever smaller h, takes over. The central quotient is at its best near 1e-5.",
        file="error_over_h",
      ),
    ],
  )


experiment = ln.Experiment(Config, run)
