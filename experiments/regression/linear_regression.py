"""Linear regression: in closed form, by full-batch descent, and by mini-batches (D01).

The first exercise is to fit y = 4 + 3x + noise, x uniform on [0, 2), 100 points of NumPy's legacy
generator at seed 0, by 1,000 full-batch steps of rate 0.01 from 0. Dive into Deep Learning, section
3.4: y = 2 x1 - 3.4 x2 + 4.2 + noise of deviation 0.01, 1,000 points, batches of 10, rate 0.03,
three epochs, half squared errors.

    python launch.py --experiment=linear_regression

Expected: the golden values to all digits that are given; a few seconds on two CPU cores.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import research as ln

GOLDEN_SEED = 0  # of the first exercise's data, whatever the seed of the run


@ln.pytree_config
class Config:
  """The full-batch descent, and the book's by mini-batches."""

  rate: float = ln.traced(0.01, "step size of full-batch descent", above=0)
  steps: int = ln.static(1000, "its steps", at_least=1)
  batch_size: int = ln.static(10, "examples per step of mini-batches", at_least=1, at_most=1000)
  batch_rate: float = ln.traced(0.03, "its step size", above=0)
  epochs: int = ln.static(3, "its passes over 1,000 examples", at_least=1)


class Line(NamedTuple):
  """y = x w + b."""

  w: Float[Array, " features"]
  b: Float[Array, ""]


def predict(line: Line, x: Float[Array, "n features"]) -> Float[Array, " n"]:
  """Values on the line."""
  return x @ line.w + line.b


def squared_error(line: Line, x: Array, y: Array) -> Float[Array, ""]:
  """Mean squared error."""
  return jnp.mean(jnp.square(predict(line, x) - y))


def notes_data() -> tuple[Float[np.ndarray, "100 1"], Float[np.ndarray, " 100"]]:
  """The 100 points of the first exercise, in float64."""
  rng = np.random.RandomState(GOLDEN_SEED)  # the generator that the golden values come from
  x = 2 * rng.rand(100, 1)
  return x, 4 + 3 * x[:, 0] + rng.randn(100, 1)[:, 0]


def closed_form(x: Float[Array, "n features"], y: Float[Array, " n"]) -> Line:
  """Least squares."""
  solution, *_ = jnp.linalg.lstsq(jnp.column_stack([x, jnp.ones(len(x))]), y)
  return Line(solution[:-1], solution[-1])


def descend(x: Array, y: Array, rate: float | Array, steps: int) -> tuple[Line, Array]:
  """Full-batch descent from 0: the line, and the error before every step."""

  def step(line: Line, _: None) -> tuple[Line, Array]:
    error, slope = jax.value_and_grad(squared_error)(line, x, y)
    return jax.tree.map(lambda p, g: p - rate * g, line, slope), error

  return jax.lax.scan(step, Line(jnp.zeros(x.shape[1]), jnp.zeros(())), None, length=steps)


def mini_batches(config: Config, key: Array) -> tuple[Line, Float[Array, " epochs"]]:
  """The book's data and descent: the line, and half the squared error after every epoch."""
  x_key, noise_key, start_key, order_key = jax.random.split(key, 4)
  x, noise = jax.random.normal(x_key, (1000, 2)), 0.01 * jax.random.normal(noise_key, (1000,))
  y = predict(Line(jnp.array([2, -3.4]), jnp.array(4.2)), x) + noise

  def step(line: Line, rows: Array) -> tuple[Line, None]:
    slope = jax.grad(squared_error)(line, x[rows], y[rows])
    return jax.tree.map(lambda p, g: p - config.batch_rate * g / 2, line, slope), None

  def epoch(line: Line, key: Array) -> tuple[Line, Array]:
    whole = len(x) // config.batch_size * config.batch_size
    rows = jax.random.permutation(key, len(x))[:whole].reshape(-1, config.batch_size)
    line, _ = jax.lax.scan(step, line, rows)
    return line, squared_error(line, x, y) / 2

  start = Line(0.01 * jax.random.normal(start_key, (2,)), jnp.zeros(()))
  return jax.lax.scan(epoch, start, jax.random.split(order_key, config.epochs))


GOLDEN = (  # of the closed form and of descent: the number, and its digits
  ("least squares: intercept", 4.222151, 6),
  ("least squares: slope", 2.968468, 6),
  ("least squares: mean squared error", 0.992439, 6),
  ("1,000 steps from 0: intercept", 4.1868, 4),
  ("1,000 steps from 0: slope", 2.9998, 4),
  ("1,000 steps from 0: mean squared error", 0.99280, 5),
)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Golden values in float64, then the book's three epochs."""
  claim, claims, golden = ln.claims("D01"), [], iter(GOLDEN)
  with jax.enable_x64(True):
    x, y = (jnp.asarray(values) for values in notes_data())
    best, (found, errors) = closed_form(x, y), descend(x, y, config.rate, config.steps)
    least = squared_error(best, x, y)
    for line in (best, found):
      for value in (line.b, line.w[0], squared_error(line, x, y)):
        what, target, digits = next(golden)
        claims.append(claim(what, f"{target}", float(value), ln.within(target, 10**-digits / 2)))
  line, losses = mini_batches(config, lab.key("mini-batches"))
  off = max(abs(line.w[0] - 2), abs(line.w[1] + 3.4), abs(line.b - 4.2))
  what, truth = "mini-batches: largest error of a parameter", "w = (2, -3.4), b = 4.2"
  first = "mini-batches: half squared error after epoch 1"
  last = "mini-batches: the same after the last epoch"
  claims += [
    claim(first, "0.0428", losses[0], ln.at_most(0.06)),
    claim(last, "0.00005", losses[-1], ln.at_most(6e-5)),
    claim(what, truth, off, ln.at_most(0.003)),
  ]
  return ln.Report(claims, [lines(x[:, 0], y, best, found, np.asarray(errors) - float(least))])


def lines(x: Array, y: Array, best: Line, found: Line, excess: np.ndarray) -> ln.Picture:
  """The points with both lines, and what descent has left to do."""
  ends, both = np.array([0.0, 2.0]), {"least squares": best, "descent": found}
  fitted = {name: (ends, ends * float(w[0]) + float(b)) for name, (w, b) in both.items()}
  left = {"descent": (np.arange(len(excess)), excess)}
  return ln.function_curves(
    [
      ln.Panel("y", fitted, "the data", points={"data": (x, y)}),
      ln.Panel("mean squared error less the least", left, log="y", x="step"),
    ],
    title="Linear regression",
    x="x",
    caption="Where descent ends short of the least squares' line, slope and intercept pull on each "
    "other, and the slow direction of their valley remains.",
    file="line",
  )


experiment = ln.Experiment(Config, run)
