"""Seeing what the layers see: deconvolution with switches, strongest images, occlusion (C08).

Zeiler and Fergus 2014: a deconvnet leads an activation back to the pixels, through the transposed
filters and through max pooling by the switches; from layer to layer the features grow from strokes
to parts of objects (figure 2). A grey square that hides what the network looks at takes the
probability of the right class away (figure 7). Here a DeepConvNet of half the width on MNIST, after
one epoch.

    python launch.py --experiment=hierarchical_features

Expected: a feature's picture lies within its receptive field; hiding the digit's ink is what costs
most. Measured, seed 0: pictures of 5, 14 and 28 pixels, where fields have 5, 14 and 32 (the image
28); the costliest square hides ink in 40 of 40 images (at an intensity of 0.5, where it paints
strokes of its own, in 33). About a minute.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import research as ln
from research.analysis.attribution import deconvnet_relu, occlusion_map, strongest_features
from research.models.deep_convnet import DeepConvNet

# The second convolution of each stage, and how many pixels one of its activations sees.
LAYERS = ("Conv_1", "Conv_3", "Conv_5")
# The mean intensity of MNIST's training images: a lighter square on the black paper is a stroke.
GREY = 0.1307


@ln.pytree_config
class Config:
  """The network, how it is trained, and what is shown of it."""

  width: int = ln.static(8, "channels of the first stage", at_least=1)
  features: int = ln.static(6, "feature maps shown of a layer", at_least=1)
  images: int = ln.static(200, "test images that are looked at", at_least=10, at_most=10_000)
  square: int = ln.static(7, "pixels of the grey square's side", at_least=1, at_most=28)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 3e-3, "one_cycle"))
  batch_size: int = ln.static(100, "examples per step", at_least=1)
  steps: int = ln.static(600, "updates", at_least=1)


def model(config: Config) -> DeepConvNet:
  """Its ReLU is the deconvnet's; learning needs the ordinary one."""
  return DeepConvNet(config.width, logit_dropout=False, activation=deconvnet_relu)


training = ln.supervised_training(lambda config: model(config).clone(activation=jax.nn.relu))


def maps(
  config: Config, fit: ln.Fit, layer: str, images: Float[Array, "batch height width 1"]
) -> Float[Array, "batch rows columns feature"]:
  """The layer's activations."""
  _, seen = model(config).apply(
    {"params": fit.state.params}, images, capture_intermediates=True, mutable="intermediates"
  )
  return deconvnet_relu(seen["intermediates"][layer]["__call__"][0])


def hidden(
  config: Config, fit: ln.Fit, image: Float[Array, "height width 1"], label: int
) -> Float[np.ndarray, "rows columns"]:
  """Probability of the label with a grey square at each place."""
  score = lambda x: jax.nn.softmax(ln.predict(model(config), fit.state, {"image": x}))[:, label]
  return np.asarray(occlusion_map(score, image, config.square, GREY))


def occluded_ink(
  image: Float[Array, "height width 1"], drop: Float[np.ndarray, "rows columns"], square: int
) -> float:
  """Sum of the intensities under the square that costs most."""
  row, column = np.unravel_index(drop.argmin(), drop.shape)
  return float(image[row : row + square, column : column + square].sum())


def report(config: Config, fit: ln.Fit) -> ln.Report:
  """Features led back to the pixels, and what hiding costs."""
  test = {name: array[: config.images] for name, array in fit.training.evaluate["test"].items()}
  images = ln.inputs_of({"image": jnp.asarray(test["image"])})
  drops = [hidden(config, fit, images[n], int(test["label"][n])) for n in range(40)]
  ink = [occluded_ink(images[n], drop, config.square) for n, drop in enumerate(drops)]
  claim, what = ln.claims("C08", unit="%"), "images where the square that costs most hides ink"
  share = float(np.mean(np.array(ink) > 0))
  return ln.Report(
    [claim(what, "the object (figure 7)", share, ln.at_least(0.9))],
    [
      *(feature_figure(config, fit, layer, images) for layer in LAYERS),
      occlusion_figure(np.asarray(images[:10, ..., 0]), drops[:10]),
    ],
  )


def feature_figure(
  config: Config, fit: ln.Fit, layer: str, images: Float[Array, "batch height width 1"]
) -> ln.Picture:
  """Rows of four images and four pictures led back, each on its own scale."""
  see = lambda x: maps(config, fit, layer, x)
  shown, painted = strongest_features(see, images, features=config.features, best=4)
  scale = np.abs(painted).max(axis=(1, 2, 3), keepdims=True)
  painted = 0.5 + 0.5 * painted / np.where(scale > 0, scale, 1)
  rows = [part for n in range(0, len(shown), 4) for part in (shown[n : n + 4], painted[n : n + 4])]
  return ln.image_grid(
    np.concatenate(rows),
    title=f"{config.features} features of {layer}",
    note="left: the images; right: what excited the feature, led back to the pixels (grey: zero)",
    columns=8,
    value_range=(0, 1),
    caption="Each row: the four images that excite a feature most, and what excited it, led back "
    "to the pixels.",
    file=f"features-{layer.lower().replace('_', '-')}",
  )


def occlusion_figure(images: np.ndarray, drops: list[np.ndarray]) -> ln.Picture:
  """Digits above their occlusion maps, which are framed to the same size."""
  frame = images.shape[1] - drops[0].shape[0]
  sides = (frame // 2, frame - frame // 2)
  framed = [np.pad(drop, (sides, sides), constant_values=1.0) for drop in drops]
  return ln.image_grid(
    np.concatenate([images, np.stack(framed)]),
    title="Where a grey square costs most",
    columns=len(images),
    value_range=(0, 1),
    caption="Above the digits, below the probability of the right class with a grey square centred "
    "there: dark where the network needs what is hidden.",
    file="occlusion",
  )


experiment = ln.single_fit(Config, training, report)
