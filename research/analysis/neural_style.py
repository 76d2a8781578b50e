"""A picture with the content of one photograph and the style of another: Gatys et al. 2015.

Its pixels are the parameters. The content is what a deep layer of a VGG finds where; the style is
which features occur together, wherever they do: their Gram matrices.
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key

from research.batch import Batch, weights_of
from research.config import replace
from research.data import photographs, sampling, vgg16_convolutions
from research.errors import UserError
from research.learner import Config, Learner, Metrics, TrainState
from research.metrics import Mean, batch_means
from research.models import pretrained, vgg_features
from research.models.vgg_features import Images, Maps
from research.optimizers import apply_gradients, make_optimizer
from research.training import Fit, Training

Gram = Float[Array, "channel channel"]
Weights = dict[str, Any]  # arrays by name
GREY, CONTRAST = 0.5, 0.1  # mean and deviation of the noise that a picture begins with
EVALUATIONS = 10  # between the first and the last step


def content_loss(maps: Maps, target: Maps) -> Float[Array, ""]:
  """The paper's equation 1: half the sum of squared differences."""
  return 0.5 * jnp.sum((maps - target) ** 2)


def gram(maps: Maps) -> Gram:
  """The paper's equation 3: products of all pairs of features, summed over the places."""
  features = maps.reshape(-1, maps.shape[-1])
  return features.T @ features


def style_loss(maps: Maps, target: Gram) -> Float[Array, ""]:
  """The paper's equation 4, of one layer: sum (G - A)^2 / (4 N^2 M^2), N channels, M places."""
  channels, places = maps.shape[-1], maps.size // maps.shape[-1]
  return jnp.sum(((gram(maps) - target) / (2.0 * channels * places)) ** 2)


def total_variation(images: Images) -> Float[Array, ""]:
  """Sum of the squared differences of neighbouring pixels (Mahendran and Vedaldi 2015, beta 2)."""
  return sum(jnp.sum(jnp.diff(images, axis=axis) ** 2) for axis in (1, 2))  # type: ignore[return-value]


def losses(config: Config, pixels: Images, batch: Batch) -> dict[str, Array]:
  """All losses of a picture.

  Args:
    config: `ratio` is the paper's alpha / beta, `variation` the weight of the total variation; the
      loss is content + style / ratio + variation.
    pixels: one picture, of numbers from 0 to 1.
    batch: what `prepared` makes.

  Returns:
    "content" and "style", means over their layers, 0 without any; "variation"; their weighted sum
    "loss"; and "distance", the mean over the style's layers of |G - A| / |A|.
  """
  held = {name: array[0] for name, array in batch.items()}  # the rows of a batch are all the same
  targets = {
    kind: {name.split("/")[1]: value for name, value in held.items() if name.startswith(kind)}
    for kind in ("content/", "style/")
  }
  content, style = targets["content/"], targets["style/"]
  seen = vgg_features.normalised(pixels, held["mean"], held["deviation"])
  maps = vgg_features.feature_maps(held, seen, {*content, *style})
  mean = lambda values: sum(values, jnp.zeros(())) / max(len(values), 1)
  size = lambda matrix: jnp.sqrt(jnp.sum(matrix**2))
  found = {
    "content": mean([content_loss(maps[name], target[None]) for name, target in content.items()]),
    "style": mean([style_loss(maps[name], target) for name, target in style.items()]),
    "variation": total_variation(pixels),
    "distance": mean([size(gram(maps[name]) - a) / size(a) for name, a in style.items()]),
  }
  whole = found["content"] + found["style"] / config.ratio + config.variation * found["variation"]
  return {"loss": whole, **found}


def _init(config: Config, key: Key[Array, ""]) -> TrainState:
  noise_key, run_key = jax.random.split(key)
  shape = (1, config.size, config.size, 3)
  if config.start == "noise":
    pixels = GREY + CONTRAST * jax.random.normal(noise_key, shape)
  else:
    pixels = jnp.asarray(as_images(photographs.load(config.content, config.size)))
  opt_state = _rule(config).init(pixels)
  return TrainState(jnp.int32(0), run_key, pixels, {}, opt_state)


def _step(config: Config, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
  """One update; a line search looks at several pictures, and the last one's gradient is kept."""
  loss_of = lambda pixels: losses(config, pixels, batch)["loss"]
  rule, held, pixels = _rule(config), state.opt_state, state.params
  searches = optax.tree.get(held, "grad") is not None
  if searches:
    loss, gradient = optax.value_and_grad_from_state(loss_of)(pixels, state=held)
  else:
    loss, gradient = jax.value_and_grad(loss_of)(pixels)
  pixels, opt_state = apply_gradients(rule, gradient, held, pixels, loss, loss_of=loss_of)
  evaluations = jnp.ones(())
  if searches:
    is_first = ~jnp.isfinite(optax.tree.get(held, "value"))
    evaluations = is_first + optax.tree.get(opt_state, "num_linesearch_steps").astype(float)
  metrics = {"loss": loss, "evaluations": evaluations}
  return TrainState(state.step + 1, state.key, pixels, {}, opt_state), metrics


def _evaluate(config: Config, state: TrainState, batch: Batch) -> dict[str, Mean]:
  ones, found = jnp.ones_like(weights_of(batch)), losses(config, state.params, batch)
  return batch_means({name: value * ones for name, value in found.items()}, batch)


def _rule(config: Config) -> optax.GradientTransformation:
  return make_optimizer(config.optimizer, config.steps, has_loss=True)


LEARNER = Learner(_init, _step, _evaluate)


def training(config: Config, seed: int) -> Training:
  """The optimisation of a picture; the config's fields are those of `style_transfer`.

  Raises:
    UserError: for layers or pictures that are not there, and what `prepared` raises.
  """
  del seed  # of the noise alone
  data = prepared(
    config.architecture,
    config.weights,
    photographs.load(config.content, config.size).tobytes(),
    photographs.load(config.style, config.size).tobytes(),
    config.size,
    config.content_layers,
    config.style_layers,
  )
  every = max(1, config.steps // EVALUATIONS)
  return Training(
    LEARNER,
    data,
    sampling.in_order(1),
    config.steps,
    {"picture": data},
    every,
    every,
    directions={"content": False, "style": False, "variation": False},
  )


def configs_alone(config: Config, layers: Sequence[str]) -> dict[str, Config]:
  """The settings of one loss alone, from noise, for `config.steps_alone` updates.

  Returns:
    "content LAYER", where that layer's maps are matched, and "style LAYER", where the Gram matrices
    of all layers up to it are, for each of the layers.
  """
  begin = {"start": "noise", "variation": 0.0, "steps": config.steps_alone}
  matched = lambda content, style: replace(
    config, begin | {"content_layers": content, "style_layers": style}
  )
  return {f"content {layer}": matched(layer, "") for layer in layers} | {
    f"style {layer}": matched("", ",".join(layers[:number]))
    for number, layer in enumerate(layers, 1)
  }


def measured(fit: Fit, picture: Float[np.ndarray, "height width 3"]) -> dict[str, float]:
  """The losses that a fit would have at another picture of its size."""
  batch = {name: jnp.asarray(array) for name, array in fit.training.data.items()}
  pixels = jnp.asarray(picture[None], jnp.float32)
  return {name: float(value) for name, value in losses(fit.config, pixels, batch).items()}


def evaluations(fit: Fit) -> int:
  """The passes through the network, forward and back, of all of a fit's steps."""
  rows = [row for row in fit.history if "train/evaluations" in row]
  lengths = np.diff([0, *(row["step"] for row in rows)])
  return round(float(lengths @ [row["train/evaluations"] for row in rows]))


def left(fit: Fit, loss: str) -> float:
  """A loss at the end as a share of that at the start."""
  return fit.last(f"picture/{loss}") / fit.values(f"picture/{loss}")[0]


def shown(fit: Fit) -> Float[np.ndarray, "height width 3"]:
  """A fit's picture as a screen shows it: numbers beyond 0 and 1 are cut."""
  return np.clip(fit.state.params[0], 0, 1)


def as_images(pixels: np.ndarray) -> np.ndarray:
  """One photograph's bytes as a batch of numbers from 0 to 1."""
  return pixels[None] / np.float32(255)


@functools.lru_cache(maxsize=16)
def prepared(
  architecture: str,
  weights: str,
  content: bytes,
  style: bytes,
  size: int,
  content_layers: str,
  style_layers: str,
) -> Mapping[str, np.ndarray]:
  """The network and what the picture shall match, as a data set of one example.

  Args:
    architecture: vgg16 or vgg19.
    weights: a file with torchvision's names; "" for the package's vgg16.
    content: the pixels of the one photograph.
    style: those of the other.
    size: of both, on a side.
    content_layers: whose maps are matched, divided by commas.
    style_layers: whose Gram matrices are.

  Returns:
    {"conv1_1/kernel": ..., "mean": ..., "content/conv4_2": ..., "style/conv1_1": ...}.

  Raises:
    UserError: for unknown layers, none at all, or weights that cannot be had.
  """
  depth = int(architecture.removeprefix("vgg"))
  contents, styles = (
    vgg_features.layers_in(text, depth) for text in (content_layers, style_layers)
  )
  wanted = [name for name in vgg_features.layer_names(depth) if name in contents + styles]
  if not wanted:
    raise UserError("no layers: give --content_layers, --style_layers, or both")
  network = balanced(architecture, weights, content, style, size)
  names = vgg_features.layer_names(depth)
  used = names[: names.index(wanted[-1]) + 1]
  pixels = lambda held: as_images(np.frombuffer(held, np.uint8).reshape(size, size, 3))
  maps = lambda held: _maps(network, pixels(held), tuple(wanted))
  seen, painted = maps(content), maps(style)
  found = {name: array for name, array in network.items() if name.split("/")[0] in used}
  found |= {name: network[name] for name in ("mean", "deviation")}
  found |= {f"content/{name}": np.asarray(seen[name][0]) for name in contents}
  found |= {f"style/{name}": np.asarray(gram(painted[name])) for name in styles}
  return {name: array[None] for name, array in found.items()}


@functools.lru_cache(maxsize=2)
def balanced(architecture: str, weights: str, content: bytes, style: bytes, size: int) -> Weights:
  """The network, scaled so that each layer's mean activation over both photographs is 1.

  It finds the same in an image, and layers then weigh alike, as in the paper of 2016. There each
  filter has a scale of its own; two photographs leave some filters silent, so here each layer.
  """
  network = read_network(architecture, weights)
  names = vgg_features.layer_names(int(architecture.removeprefix("vgg")))
  both = np.frombuffer(content + style, np.uint8).reshape(2, size, size, 3) / np.float32(255)
  before = np.float32(1)
  for name, maps in sorted(_maps(network, both, names).items()):
    mean = np.float32(np.mean(np.asarray(maps), dtype=np.float64)) or np.float32(1)
    network[f"{name}/kernel"] = network[f"{name}/kernel"] * (before / mean)
    network[f"{name}/bias"] = network[f"{name}/bias"] / mean
    before = mean
  return network


def read_network(architecture: str, weights: str) -> Weights:
  """The convolutions and the normalisation of images in [0, 1] that they need.

  Raises:
    UserError: the file is of another network, or the package's cannot be had.
  """
  if weights:
    depth = int(architecture.removeprefix("vgg"))
    variables = pretrained.read(architecture, Path(weights).expanduser())
    means = np.array(vgg_features.MEAN), np.array(vgg_features.DEVIATION)
    network = vgg_features.from_vgg(variables, depth)
  elif architecture == "vgg16":
    means = np.array(vgg16_convolutions.MEAN) / 255, np.full(3, 1 / 255)
    network = dict(vgg16_convolutions.load())
  else:
    raise UserError(
      f"no package has the weights of {architecture}; give --weights=FILE, a .pth or .safetensors "
      "file with torchvision's names, or --architecture=vgg16"
    )
  mean, deviation = (np.asarray(each, np.float32) for each in means)
  return network | {"mean": mean, "deviation": deviation}


@functools.partial(jax.jit, static_argnames="wanted")
def _maps(network: Weights, images: Images, wanted: tuple[str, ...]) -> dict[str, Array]:
  seen = vgg_features.normalised(images, network["mean"], network["deviation"])
  return vgg_features.feature_maps(network, seen, wanted)
