"""Gradient check: what is followed is the gradient, and a slope that is 1 % off is found (B05).

Saito 2016, section 5.7.3: the mean absolute difference between the numerical and
the back-propagated gradient of each parameter, for 784-50-10 on three MNIST images; his notebook
has 1.8e-6, 2.4e-5, 6.2e-9 and 1.4e-7 in single precision. Ng: the relative norm
||a - b|| / (||a|| + ||b||) with a two-sided difference of 1e-7; 1e-7 is great, 1e-5 wants a look,
1e-3 is a mistake. Here in double precision, also for the book's convolutional net on one 10x10
image, for batch normalisation with dropout, and for a ReLU whose slope is 1 % too large.

    python launch.py --experiment=gradient_check

Expected: relative norms below 1e-7, and above 1e-3 with the mistake; about a minute.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from jaxtyping import Array

import research as ln
from research.analysis.gradient_check import GREAT, SUSPECT, WRONG, Difference, worst
from research.figures.dot_plots import dot_plot
from research.models.simple_convnet import SimpleConvNet


@ln.pytree_config
class Config:
  """Settings of the gradient check."""

  dataset: str = ln.static(
    "mnist", "images of ten classes", choices=("mnist", "fashion_mnist", "digits")
  )
  images: int = ln.static(3, "images in the batch of 784-50-10", at_least=1, at_most=100)
  coordinates: int = ln.static(2000, "coordinates checked per parameter; 0 for all", at_least=0)
  epsilon: float = ln.traced(1e-5, "half the distance of the central difference", above=0)
  init_std: float = ln.traced(0.01, "standard deviation of the initial weights", above=0)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer())  # the check replaces it by plain SGD


@jax.custom_vjp
def relu_with_wrong_slope(x: Array) -> Array:
  """The mistake: right forwards, 1 % too steep backwards."""
  return jax.nn.relu(x)


steeper = lambda x, d: (1.01 * d * (x > 0).astype(d.dtype),)
relu_with_wrong_slope.defvjp(lambda x: (jax.nn.relu(x), x), steeper)


class Net(NamedTuple):
  """A network, its input's shape, and the number of examples that it is checked on."""

  model: Callable[[Config], linen.Module]
  input_shape: tuple[int, ...]
  examples: int


def two_layer(activation: Callable[[Array], Array]) -> Callable[[Config], linen.Module]:
  """784-50-10 with the book's initial weights."""
  return lambda config: ln.MLP((50, 10), activation, ln.initializer("normal", config.init_std))


def nets(config: Config) -> dict[str, Net]:
  """The networks that are checked; dropout has a fixed mask."""
  shape = ln.sets.spec(config.dataset).image_shape
  draw = lambda config: ln.initializer("normal", config.init_std)
  convolution = lambda config: SimpleConvNet(10, 3, hidden=10, kernel_init=draw(config))
  normalised = lambda config: ln.MLP((20, 20, 10), batch_norm=True, dropout_rate=0.3)
  return {
    "two layers": Net(two_layer(linen.relu), shape, config.images),
    "convolution": Net(convolution, (10, 10, 1), 1),  # the book's ten 3x3 filters
    "batch norm and dropout": Net(normalised, (10, 10, 1), 8),
    "slope 1 % off": Net(two_layer(relu_with_wrong_slope), shape, config.images),
  }


def batch_for(net: Net, config: Config, seed: int) -> ln.Batch:
  """The first images of the data set where they fit, else noise."""
  if net.input_shape == ln.sets.spec(config.dataset).image_shape:
    train = ln.sets.load(config.dataset).train
    return {name: jnp.asarray(array[: net.examples]) for name, array in train.items()}
  rng = np.random.default_rng(seed)
  image = rng.random((net.examples, *net.input_shape))
  return {"image": jnp.asarray(image), "label": jnp.asarray(rng.integers(0, 10, net.examples))}


def differences(
  net: Net, config: Config, lab: ln.Lab, *, epsilon: float, coordinates: int | None
) -> list[Difference]:
  """The check at the net's initial parameters."""
  loss, shape = ln.softmax_cross_entropy, net.input_shape
  optimizer = lambda config: ln.make_optimizer(config.optimizer, 1)
  learner = ln.supervised(net.model, loss, lambda config: shape, optimizer)
  state = jax.jit(learner.init)(config, lab.key("parameters"))
  batch = batch_for(net, config, lab.seed)
  return ln.check_gradient(learner, config, state, batch, coordinates=coordinates, epsilon=epsilon)


EPSILONS = (1e-9, 1e-7, 1e-5, 1e-3)
BOOK = {  # the notebook's mean absolute differences
  "Dense_0/kernel": ("W1", 1.8e-6),
  "Dense_0/bias": ("b1", 2.4e-5),
  "Dense_1/kernel": ("W2", 6.2e-9),
  "Dense_1/bias": ("b2", 1.4e-7),
}


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Every net at the chosen epsilon; the first and the last also at others."""
  claim, every, claims = ln.claims("B05"), nets(config), []
  check = lambda name, epsilon, coordinates: differences(
    every[name], config, lab, epsilon=epsilon, coordinates=coordinates
  )
  found = {name: check(name, config.epsilon, config.coordinates or None) for name in every}
  norms = {
    name: [worst(check(name, epsilon, 100)).relative_norm for epsilon in EPSILONS]
    for name in ("two layers", "slope 1 % off")
  }
  ours = {one.name: one.mean_absolute for one in found["two layers"]}
  what = f"784-50-10, {config.images} images: mean |numerical - back-propagated| for"
  for name, (symbol, book) in BOOK.items():
    source, bar = f"{book} (notebook, float32)", ln.at_most(book)
    claims.append(claim(f"{what} {symbol}", source, ours[name], bar))
  great, look, mistake = ln.at_most(GREAT), ln.at_most(SUSPECT), ln.at_least(WRONG)
  marks = "1e-7 great, 1e-5 look, 1e-3 mistake (Ng)"
  for name, bar in zip(every, (great, look, great, mistake), strict=True):
    what = f"{name}: largest relative norm over the parameters"
    claims.append(claim(what, marks, worst(found[name]).relative_norm, bar))
  at_ngs_epsilon = norms["two layers"][EPSILONS.index(1e-7)]
  what = "two layers at Ng's epsilon of 1e-7: largest relative norm, 100 coordinates a parameter"
  claims.append(claim(what, "1e-7 great, 1e-5 look (Ng)", at_ngs_epsilon, look))
  curves = {name: (EPSILONS, values) for name, values in norms.items()}
  by_parameter = dot_plot(
    {name: {one.name: one.relative_norm for one in each} for name, each in found.items()},
    title="Gradient check in float64",
    x="||a - b|| / (||a|| + ||b||)",
    least=1e-13,
    marks={"great": GREAT, "look": SUSPECT, "mistake": WRONG},
    caption="Every parameter of every net. The mistake is in the slope of the hidden layer: it "
    "is in that layer's weights and biases, not in those behind it.",
    file="relative_norms",
  )
  by_epsilon = ln.function_curves(
    [ln.Panel("largest relative norm over the parameters", curves, log="xy")],
    title="How far to move a parameter",
    x="epsilon",
    caption="Rounding of the loss spoils small distances, curvature large ones; a mistake "
    "depends on neither.",
    file="epsilon",
  )
  return ln.Report(claims, [by_parameter, by_epsilon])


experiment = ln.Experiment(Config, run)
