"""Gradient check: what is followed is the gradient, and a slope that is 1 % off is found (B05).

Saito 2016, section 5.7.3 (the notes' 4.7.1): the mean absolute difference between the numerical and
the back-propagated gradient of each parameter, for 784-50-10 on three MNIST images; his notebook
has 1.8e-6, 2.4e-5, 6.2e-9 and 1.4e-7 in single precision. Ng: the relative norm
||a - b|| / (||a|| + ||b||) with a two-sided difference of 1e-7; 1e-7 is great, 1e-5 wants a look,
1e-3 is a mistake. Here in double precision, also for the book's convolutional net on one 10x10
image, for batch normalisation with dropout, and for a ReLU whose slope is 1 % too large.

    python launch.py --experiment=gradient_check

Expected: relative norms below 1e-7, and above 1e-3 with the mistake; about a minute.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from jaxtyping import Array
from matplotlib.figure import Figure

import research as ln
from research.analysis.gradient_check import GREAT, SUSPECT, WRONG, Difference, worst
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


relu_with_wrong_slope.defvjp(
  lambda x: (jax.nn.relu(x), x), lambda x, d: (1.01 * d * (x > 0).astype(d.dtype),)
)


class Net(NamedTuple):
  """A network, its input's shape, and the number of examples that it is checked on."""

  model: Callable[[Config], linen.Module]
  input_shape: tuple[int, ...]
  examples: int

  def learner(self) -> ln.Learner:
    """Trained with cross-entropy, as everywhere."""
    shape = lambda config: self.input_shape
    optimizer = lambda config: ln.make_optimizer(config.optimizer, 1)
    return ln.supervised(self.model, ln.softmax_cross_entropy, shape, optimizer)


def two_layer(activation: Callable[[Array], Array]) -> Callable[[Config], linen.Module]:
  """784-50-10 with the book's initial weights."""
  return lambda config: ln.MLP((50, 10), activation, ln.initializer("normal", config.init_std))


def small_convnet(config: Config) -> linen.Module:
  """The book's: ten 3x3 filters on one 10x10 image, ten hidden units."""
  kernel_init = ln.initializer("normal", config.init_std)
  return SimpleConvNet(filters=10, filter_size=3, hidden=10, kernel_init=kernel_init)


def normalised_with_dropout(config: Config) -> linen.Module:
  """Batch statistics and a fixed mask."""
  del config
  return ln.MLP((20, 20, 10), batch_norm=True, dropout_rate=0.3)


def nets(config: Config) -> dict[str, Net]:
  """Returns the networks that are checked."""
  shape = ln.sets.spec(config.dataset).image_shape
  return {
    "two layers": Net(two_layer(linen.relu), shape, config.images),
    "convolution": Net(small_convnet, (10, 10, 1), 1),
    "batch norm and dropout": Net(normalised_with_dropout, (10, 10, 1), 8),
    "slope 1 % off": Net(two_layer(relu_with_wrong_slope), shape, config.images),
  }


BOOK = {  # the notebook's mean absolute differences
  "Dense_0/kernel": ("W1", 1.8e-6),
  "Dense_0/bias": ("b1", 2.4e-5),
  "Dense_1/kernel": ("W2", 6.2e-9),
  "Dense_1/bias": ("b2", 1.4e-7),
}


def batch_for(net: Net, config: Config, lab: ln.Lab) -> ln.Batch:
  """The first images of the data set where they fit, else noise."""
  rng = np.random.default_rng(lab.seed)
  if net.input_shape == ln.sets.spec(config.dataset).image_shape:
    train = ln.sets.load(config.dataset).train
    return {name: jnp.asarray(array[: net.examples]) for name, array in train.items()}
  image = rng.random((net.examples, *net.input_shape))
  return {"image": jnp.asarray(image), "label": jnp.asarray(rng.integers(0, 10, net.examples))}


def differences(
  net: Net, config: Config, lab: ln.Lab, *, epsilon: float, coordinates: int | None
) -> list[Difference]:
  """The check at the net's initial parameters."""
  learner = net.learner()
  state = jax.jit(learner.init)(config, lab.key("parameters"))
  batch = batch_for(net, config, lab)
  return ln.check_gradient(learner, config, state, batch, coordinates=coordinates, epsilon=epsilon)


EPSILONS = (1e-9, 1e-7, 1e-5, 1e-3)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Every net at the chosen epsilon; the first and the last also at others."""
  all_nets = nets(config)
  found = {
    name: differences(
      net, config, lab, epsilon=config.epsilon, coordinates=config.coordinates or None
    )
    for name, net in all_nets.items()
  }
  over_epsilon = {
    name: [
      worst(differences(all_nets[name], config, lab, epsilon=epsilon, coordinates=100))
      for epsilon in EPSILONS
    ]
    for name in ("two layers", "slope 1 % off")
  }
  books = {difference.name: difference for difference in found["two layers"]}
  relative = lambda name, bar: ln.Claim(
    "B05",
    f"{name}: largest relative norm over the parameters",
    "1e-7 great, 1e-5 look, 1e-3 mistake (Ng)",
    worst(found[name]).relative_norm,
    bar,
  )
  at_ngs_epsilon = over_epsilon["two layers"][EPSILONS.index(1e-7)]
  return ln.Report(
    [
      *(
        ln.Claim(
          "B05",
          f"784-50-10, {config.images} images: mean |numerical - back-propagated| for {symbol}",
          f"{book} (notebook, float32)",
          books[name].mean_absolute,
          ln.at_most(book),
        )
        for name, (symbol, book) in BOOK.items()
      ),
      relative("two layers", ln.at_most(GREAT)),
      relative("convolution", ln.at_most(SUSPECT)),
      relative("batch norm and dropout", ln.at_most(GREAT)),
      relative("slope 1 % off", ln.at_least(WRONG)),
      ln.Claim(
        "B05",
        "two layers at Ng's epsilon of 1e-7: largest relative norm, 100 coordinates a parameter",
        "1e-7 great, 1e-5 look (Ng)",
        at_ngs_epsilon.relative_norm,
        ln.at_most(SUSPECT),
      ),
    ],
    [
      ln.Picture(
        "relative_norms",
        relative_norms(found),
        "Every parameter of every net. The mistake is in the slope of the hidden layer, so it "
        "shows in that layer's weights and biases and not in those behind it.",
      ),
      ln.Picture(
        "epsilon",
        over_epsilons(over_epsilon),
        "Rounding of the loss spoils small distances, curvature large ones. A mistake stays "
        "where it is at any distance.",
      ),
    ],
  )


def relative_norms(found: Mapping[str, list[Difference]]) -> Figure:
  """A row for every parameter, a marker for its relative norm, a line for each of Ng's marks."""
  figure, grid = ln.new_figure("Gradient check in float64", panel_inches=(7.4, 5.2))
  axes = grid[0, 0]
  labels: list[str] = []
  for index, (net, differences) in enumerate(found.items()):
    rows = range(len(labels), len(labels) + len(differences))
    shown = [max(difference.relative_norm, 1e-13) for difference in differences]
    look = ln.stroke(index)
    axes.plot(shown, rows, look.marker, color=look.colour, label=net, markersize=6)
    labels += [difference.name for difference in differences]
  for value, word, side in (
    (GREAT, "great", "right"),
    (SUSPECT, "look", "left"),
    (WRONG, "mistake", "left"),
  ):
    axes.axvline(value, color=ln.INK, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.text(value, -0.75, f" {word} ", ha=side, fontsize=8.5, color=ln.INK)
  axes.set_xscale("log")
  ln.label_axes(axes, "||a - b|| / (||a|| + ||b||); smaller than 1e-13 at the left edge", "")
  axes.set_yticks(range(len(labels)), labels, fontsize=8)
  axes.set_ylim(len(labels) - 0.5, -1.3)
  ln.legend_below(figure)
  return figure


def over_epsilons(found: Mapping[str, list[Difference]]) -> Figure:
  """The worst relative norm against epsilon."""
  figure, grid = ln.new_figure("How far to move a parameter", panel_inches=(6.4, 3.9))
  axes = grid[0, 0]
  for index, (net, differences) in enumerate(found.items()):
    look, norms = ln.stroke(index), [difference.relative_norm for difference in differences]
    axes.plot(
      EPSILONS, norms, marker=look.marker, linestyle=look.dashes, color=look.colour, label=net
    )
  axes.set_xscale("log")
  axes.set_yscale("log")
  ln.label_axes(axes, "epsilon", "largest relative norm over the parameters")
  ln.legend_below(figure)
  return figure


experiment = ln.Experiment(Config, run)
