"""What the layers see: deconvolution with switches, strongest images, occlusion (C08).

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

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from matplotlib.figure import Figure

import research as ln
from research.analysis.attribution import deconvnet_relu, lead_back, occlusion_map
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


learner = ln.supervised(
  lambda config: model(config).clone(activation=jax.nn.relu),
  ln.softmax_cross_entropy,
  lambda config: ln.sets.spec("mnist").image_shape,
  lambda config: ln.make_optimizer(config.optimizer, config.steps),
)


def training(config: Config, seed: int) -> ln.Training:
  """All training images."""
  splits = ln.sets.load("mnist")
  return ln.Training(
    learner,
    splits.train,
    ln.sampling.by_epoch(config.batch_size),
    steps=config.steps,
    evaluate={"test": splits.test},
    evaluate_every=config.steps,
    log_every=config.steps,
  )


def maps(
  config: Config, fit: ln.Fit, layer: str, images: Float[Array, "batch height width 1"]
) -> Float[Array, "batch rows columns feature"]:
  """The layer's activations."""
  _, seen = model(config).apply(
    {"params": fit.state.params}, images, capture_intermediates=True, mutable="intermediates"
  )
  return deconvnet_relu(seen["intermediates"][layer]["__call__"][0])


def report(config: Config, fit: ln.Fit) -> ln.Report:
  """Features led back to the pixels, and what hiding costs."""
  test = {name: array[: config.images] for name, array in ln.sets.load("mnist").test.items()}
  images = ln.inputs_of({"image": jnp.asarray(test["image"])})
  layers = {layer: strongest(config, fit, layer, images) for layer in LAYERS}
  drops = [hidden(config, fit, images[n], int(test["label"][n])) for n in range(40)]
  ink = [occluded_ink(images[n], drop, config.square) for n, drop in enumerate(drops)]
  return ln.Report(
    [
      ln.Claim(
        "C08",
        "images where the square that costs most hides ink",
        "the object (figure 7)",
        float(np.mean(np.array(ink) > 0)),
        ln.at_least(0.9),
        "%",
      )
    ],
    [
      *(
        ln.Picture(
          f"features-{layer.lower().replace('_', '-')}",
          feature_figure(config, layer, *found),
          "Each row: the four images that excite a feature most, and what excited it, led back to "
          "the pixels.",
        )
        for layer, found in layers.items()
      ),
      ln.Picture(
        "occlusion",
        occlusion_figure(np.asarray(images[:10, ..., 0]), drops[:10]),
        "Above the digits, below the probability of the right class with a grey square centred "
        "there: dark where the network needs what is hidden.",
      ),
    ],
  )


def strongest(
  config: Config, fit: ln.Fit, layer: str, images: Float[Array, "batch height width 1"]
) -> tuple[np.ndarray, np.ndarray]:
  """For the liveliest features the four images that excite each most, and these led back."""
  see = functools.partial(maps, config, fit, layer)
  peaks = jax.jit(lambda x: see(x).max(axis=(1, 2)))(images)
  chosen = np.asarray(jnp.argsort(-peaks.max(axis=0))[: config.features])
  back = jax.jit(lambda x, feature: lead_back(see, x, feature))
  shown, painted = [], []
  for feature in chosen:
    best = images[np.asarray(jnp.argsort(-peaks[:, feature])[:4])]
    shown.append(np.asarray(best))
    painted.append(np.asarray(back(best, feature)))
  return np.concatenate(shown), np.concatenate(painted)


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


def feature_figure(config: Config, layer: str, shown: np.ndarray, painted: np.ndarray) -> Figure:
  """Rows of four images and four pictures led back, each on its own scale."""
  scale = np.abs(painted).max(axis=(1, 2, 3), keepdims=True)
  painted = 0.5 + 0.5 * painted / np.where(scale > 0, scale, 1)
  rows = [part for n in range(0, len(shown), 4) for part in (shown[n : n + 4], painted[n : n + 4])]
  return ln.image_grid(
    np.concatenate(rows),
    title=f"{config.features} features of {layer}",
    note="left: the images; right: what excited the feature, led back to the pixels (grey: zero)",
    columns=8,
    value_range=(0, 1),
    caption="",
  ).figure


def occlusion_figure(images: np.ndarray, drops: list[np.ndarray]) -> Figure:
  """Digits above their occlusion maps, which are framed to the same size."""
  frame = images.shape[1] - drops[0].shape[0]
  sides = (frame // 2, frame - frame // 2)
  framed = [np.pad(drop, (sides, sides), constant_values=1.0) for drop in drops]
  return ln.image_grid(
    np.concatenate([images, np.stack(framed)]),
    title="Where a grey square costs most",
    columns=len(images),
    value_range=(0, 1),
    caption="",
  ).figure


experiment = ln.single_fit(Config, training, report)
