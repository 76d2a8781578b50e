"""The first layer's filters become edges and blobs out of noise (C07).

Saito 2016, section 7.6: before training the 30 filters of 5x5 in SimpleConvNet's convolution are
noise; after it they hold edges and blobs, and each answers to its own in a photograph. Structure
is measured by the correlation of weights with those beside and below them, which is 0 for noise.

    python launch.py --experiment=first_layer_filters

Expected: the correlation rises by 0.79 ± 0.02 (three seeds); half a minute of one CPU core.
"""

import jax.numpy as jnp
import numpy as np

import research as ln
from research.layers.convolution import convolve
from research.models.simple_convnet import SimpleConvNet


@ln.pytree_config
class Config:
  """The book's settings, and three of its 20 epochs."""

  dataset: str = ln.static(
    "mnist", "images of ten classes", choices=("mnist", "fashion_mnist", "digits")
  )
  filters: int = ln.static(30, "convolution filters", at_least=1)
  filter_size: int = ln.static(5, "their height and width in pixels", at_least=2, at_most=7)
  init: ln.Init = ln.nested(ln.Init("normal", 0.01))
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 1e-3, "linear"))
  batch_size: int = ln.static(100, "examples per step", at_least=1, at_most=60_000)
  epochs: int = ln.static(3, "passes over the training set", at_least=1)


def model(config: Config) -> SimpleConvNet:
  """The book's network."""
  return SimpleConvNet(config.filters, config.filter_size, kernel_init=ln.kernel_init(config.init))


training = ln.supervised_training(model)


def structure(kernels: np.ndarray) -> float:
  """Correlation of weights of [h, w, in, out] with those beside and below; 0 for noise."""
  kernels = kernels - kernels.mean(axis=(0, 1))
  neighbours = np.mean(kernels[1:] * kernels[:-1]) + np.mean(kernels[:, 1:] * kernels[:, :-1])
  return float(neighbours / 2 / np.mean(np.square(kernels)))


def report(config: Config, fit: ln.Fit) -> ln.Report:
  """The filters before and after, and what they make of a photograph."""
  before, after = (state.params["Conv_0"]["kernel"] for state in (fit.initial(), fit.state))
  claim = ln.claims("C07")(
    "correlation of neighbouring weights in the filters, after less before training",
    "edges and blobs appear",
    structure(after) - structure(before),
    ln.at_least(0.1),
  )
  montage = ln.filter_montage(
    {"before training": before, "after training": after},
    title="First-layer filters",
    shared_scale=False,
    caption="The filters before training and after it, each panel on a scale of its own.",
    file="filters",
  )
  return ln.Report([claim], [montage, filtered_photograph(after)])


def filtered_photograph(kernels: np.ndarray) -> ln.Picture:
  """The feature maps that the first sixteen filters make of a grey photograph."""
  from sklearn.datasets import load_sample_image  # takes a second to import

  photograph = load_sample_image("china.jpg").mean(axis=-1)[::3, ::3] / 255
  image = jnp.asarray(photograph[None, :, :, None], kernels.dtype)
  maps = np.asarray(convolve(image, jnp.asarray(kernels[..., :16]), (1, 1), "VALID"))
  spread = np.std(maps, axis=(0, 1, 2))
  centred = (maps[0] - maps.mean(axis=(0, 1, 2))) / np.where(spread > 0, spread, 1)
  return ln.image_grid(
    np.moveaxis(centred, -1, 0),
    title="Sixteen filters applied to a photograph",
    columns=4,
    value_range=(-2.5, 2.5),
    caption="What each of the first sixteen filters makes of a photograph: light where it answers.",
    file="filtered_photograph",
  )


experiment = ln.single_fit(Config, training, report)
