"""The gradient of simpleNet, one softmax layer with its loss (L06).

Saito 2016, section 4.4.2: the input (0.6, 0.9), weights [2, 3], and cross-entropy with the third
class; the gradient's rows are in the ratio of the inputs, and each sums to 0.

    python launch.py --experiment=simple_net

Expected: the book's loss 0.92806854, and gradients by differences equal to `jax.grad`'s to 1e-8
(float64). No training; about 5 seconds on two CPU cores.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import research as ln

INPUT = (0.6, 0.9)
TARGET = (0.0, 0.0, 1.0)
BOOK_WEIGHTS = ((0.47355232, 0.9977393, 0.84668094), (0.85557411, 0.03563661, 0.69422093))
BOOK_LOSS = 0.92806853663411326


@ln.pytree_config
class Config:
  """The book's step, and the random weights."""

  h: float = ln.traced(1e-4, "half the distance between the two points of a quotient", above=0)
  nets: int = ln.static(100, "random simpleNets", at_least=1)


def loss(weights: Float[Array, "2 3"]) -> Float[Array, ""]:
  """Cross-entropy of softmax(x W); the book's number is without its 1e-7 in the logarithm."""
  return -jnp.sum(jnp.array(TARGET) * jax.nn.log_softmax(jnp.array(INPUT) @ weights))


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The book's loss, then gradients at random weights; in float64."""
  with jax.enable_x64(True):
    book = float(loss(jnp.array(BOOK_WEIGHTS)))
    nets = jax.random.normal(lab.key("simpleNet"), (config.nets, 2, 3))
    numeric = jax.vmap(lambda weights: ln.central_differences(loss, weights, config.h))(nets)
    exact = jax.vmap(jax.grad(loss))(nets)
    off = ln.largest_difference(numeric, exact)
    ratio = ln.largest_difference(numeric[:, 0] / INPUT[0], numeric[:, 1] / INPUT[1])
    sums = float(jnp.abs(numeric.sum(axis=-1)).max())
  claim = ln.claims("L06")
  what = "simpleNet, loss at the book's weights"
  rows = f"{config.nets} random simpleNets: gradient's rows against 0.6 : 0.9, largest error"
  bar = ln.at_most(1e-8)  # central differences with h are wrong by the order of h^2
  return ln.Report(
    [
      # The weights are printed to 8 digits.
      claim(what, f"{BOOK_LOSS:.8f}", book, ln.within(BOOK_LOSS, 1e-8)),
      claim(rows, "proportional", ratio, bar),
      claim("sums of the rows, largest", "0", sums, bar),
      claim("by differences against jax.grad", "equal", off, bar),
    ],
    [picture()],
  )


def picture() -> ln.Picture:
  """The book's weights, and the loss's gradient there."""
  weights = jnp.array(BOOK_WEIGHTS)
  return ln.heat_maps(
    {"weights": weights, "gradient of the loss": jax.grad(loss)(weights)},
    title="simpleNet with the weights of the book",
    x="class",
    y="input",
    rows=[f"{value:g}" for value in INPUT],
    colours="PuOr",
    value_range=(-1, 1),
    number=".3f",
    panel_inches=(4.2, 2.6),
    caption="The right class is 2, whose weights must grow: there the gradient is negative.",
    file="gradient",
  )


experiment = ln.Experiment(Config, run)
