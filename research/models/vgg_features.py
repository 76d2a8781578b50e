"""Maps of a VGG's convolutions, by the paper's names such as conv4_2, with average pooling.

Gatys, Ecker and Bethge 2015, section 2: pooling by means gives gradients that flow more evenly than
those of maxima. A map is what a convolution gives behind its rectifier. Images may have any size.
"""

from collections.abc import Collection, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from research.errors import UserError
from research.layers.convolution import convolve
from research.layers.pooling import avg_pool
from research.models.vgg import STAGES

Images = Float[Array, "batch height width 3"]
Maps = Float[Array, "batch height width channel"]
# Of red, green and blue in [0, 1], for torchvision's weights.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def layer_names(depth: int) -> tuple[str, ...]:
  """The convolutions of a VGG of so many layers, the first one first."""
  stages = enumerate(STAGES[depth], 1)
  return tuple(f"conv{stage}_{n + 1}" for stage, count in stages for n in range(count))


def layers_in(text: str, depth: int) -> tuple[str, ...]:
  """Reads names of convolutions, divided by commas.

  Raises:
    UserError: for one that this VGG does not have, or that stands there twice.
  """
  names, known = tuple(filter(None, map(str.strip, text.split(",")))), layer_names(depth)
  for number, name in enumerate(names):
    if name not in known:
      raise UserError(f"vgg{depth} has no layer {name!r}; it has {', '.join(known)}")
    if name in names[:number]:
      raise UserError(f"the layer {name} is given twice; give it once")
  return names


def from_vgg(variables: Mapping[str, Any], depth: int) -> dict[str, np.ndarray]:
  """The convolutions of `research.models.vgg.VGG`'s variables, by names such as conv1_1/kernel."""
  return {
    f"{name}/{leaf}": np.asarray(variables["params"][f"Conv_{number}"][leaf])
    for number, name in enumerate(layer_names(depth))
    for leaf in ("kernel", "bias")
  }


def feature_maps(
  weights: Mapping[str, Any], images: Images, wanted: Collection[str]
) -> dict[str, Array]:
  """The wanted layers' maps; nothing behind the last of them is computed.

  Args:
    weights: kernels and biases of the convolutions in their order, by names such as conv1_1/kernel.
    images: as the weights need them.
    wanted: names of layers.
  """
  found: dict[str, Array] = {}
  stage, x = "1", images
  for name in (key.removesuffix("/kernel") for key in weights if key.endswith("/kernel")):
    if len(found) == len(wanted):
      break
    if name[len("conv")] != stage:
      stage, x = name[len("conv")], avg_pool(x)
    kernel, bias = weights[f"{name}/kernel"], weights[f"{name}/bias"]
    x = jax.nn.relu(convolve(x, kernel, (1, 1), ((1, 1), (1, 1))) + bias[None, None, None])
    if name in wanted:
      found[name] = x
  return found


def normalised(images: Images, mean: Array, deviation: Array) -> Images:
  """Pixels less a mean for each colour, over a deviation for each."""
  return (images - mean[None, None, None]) / deviation[None, None, None]
