"""The sizes of the classic networks: where their parameters are, and where their work (A02-A07).

The networks of `research/models/` at full width, with the image that their papers give them: the
parameters of each, and the multiplications that one image costs. Both are counted from the shapes
alone, so that no weight is ever made. AlexNet and VGG keep nine tenths of their parameters in dense
layers and do nine tenths of their work in convolutions; network in network, GoogLeNet, ResNet and
DenseNet average their last maps instead (Lin et al. 2014, section 3.2) and are far smaller.

    python launch.py --experiment=network_sizes

Expected: all parameters exactly, all multiplications to the digits that torchvision prints for its
forms. Seconds.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen

import research as ln
from research.flops import flops
from research.models.alexnet import ONE_GPU, AlexNet
from research.models.densenet import FORMS, DenseNet
from research.models.googlenet import GoogLeNet
from research.models.nin import NiN
from research.models.resnet import ResNet
from research.models.vgg import VGG


class Published(NamedTuple):
  """A network, and its numbers as published.

  Attributes:
    id: of the inventory.
    network: at full width, for a thousand classes of colour images.
    source: whose counts they are.
    parameters: as published.
    multiplications: of one image, in thousands of millions; 0 where none are published.
  """

  id: str
  network: linen.Module
  source: str
  parameters: int
  multiplications: float = 0


NETWORKS = {
  "AlexNet, 2012": Published("A02", AlexNet(), "its layers, two groups", 60_965_224),
  "AlexNet, 2014": Published("A02", AlexNet(ONE_GPU, 1, False), "torchvision", 61_100_840, 0.714),
  "VGG-16": Published("A03", VGG(16), "torchvision", 138_357_544, 15.47),
  "VGG-19": Published("A03", VGG(19), "torchvision", 143_667_240, 19.632),
  "NiN": Published("A04", NiN(), "its layers", 7_439_608),
  "GoogLeNet, 2014": Published("A05", GoogLeNet(auxiliary=False), "its layers", 6_998_552),
  "GoogLeNet, torchvision": Published(
    "A05",
    GoogLeNet(norm="batch", torchvision=True, auxiliary=False),
    "torchvision",
    6_624_904,
    1.498,
  ),
  "ResNet-18": Published("A06", ResNet(18), "torchvision", 11_689_512, 1.814),
  "ResNet-50": Published("A06", ResNet(50), "torchvision", 25_557_032, 4.089),
  "ResNet-152": Published("A06", ResNet(152), "torchvision", 60_192_808, 11.514),
  "DenseNet-121": Published("A07", DenseNet(**FORMS[121]), "torchvision", 7_978_856, 2.834),
  "DenseNet-161": Published("A07", DenseNet(**FORMS[161]), "torchvision", 28_681_000, 7.728),
}


@ln.pytree_config
class Config:
  """The image that the networks are shown."""

  pixels: int = ln.static(
    224, "height and width of the image, of 224 where numbers are published", at_least=64
  )


class Size(NamedTuple):
  """The counts of a network.

  Attributes:
    parameters: all of them.
    multiplications: for one image.
    dense: the weights of its dense layers; one image is multiplied once with each of them.
  """

  parameters: int
  multiplications: int
  dense: int


def size(network: linen.Module, pixels: int) -> Size:
  """Counts a network's parameters, and what it multiplies for one colour image."""
  image = jnp.zeros((1, pixels, pixels, 3))
  variables = jax.eval_shape(network.init, jax.random.key(0), image)
  with ln.compiling_for("gpu"):  # where a convolution is one, not a product with zeros in a band
    program = jax.make_jaxpr(network.apply)(variables, image)
  leaves = jax.tree.leaves(variables["params"])
  dense = sum(leaf.size for leaf in leaves if leaf.ndim == 2)
  return Size(sum(leaf.size for leaf in leaves), flops(program.jaxpr) // 2, dense)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Counts all; at the published size of the image beside what is published."""
  del lab
  sizes = {name: size(each.network, config.pixels) for name, each in NETWORKS.items()}
  claims = []
  for name, each in NETWORKS.items() if config.pixels == 224 else ():
    claim, found = ln.claims(each.id), sizes[name]
    bar = ln.equals(each.parameters)
    claims.append(claim(f"{name}: parameters", each.source, found.parameters, bar))
    if each.multiplications:
      what = f"{name}: multiplications for an image, in thousands of millions"
      bar = ln.within(each.multiplications, 0.0006)
      source = f"{each.multiplications} ({each.source})"
      claims.append(claim(what, source, found.multiplications / 1e9, bar))
  return ln.Report(claims, [picture(sizes, config.pixels)])


def picture(sizes: dict[str, Size], pixels: int) -> ln.Picture:
  """The counts of all networks, side by side."""
  each = lambda value: {name: value(of) for name, of in sizes.items()}
  return ln.bar_charts(
    {
      "parameters (millions)": each(lambda of: of.parameters / 1e6),
      "in dense layers (%)": each(lambda of: 100 * of.dense / of.parameters),
      "multiplications (10^9)": each(lambda of: of.multiplications / 1e9),
    },
    title=f"The classic networks, an image of {pixels} x {pixels} pixels",
    x="",
    lying=True,
    caption="How many parameters each network has, the share of them that are weights of dense "
    "layers, and how many multiplications one image costs, of which every weight of a dense layer "
    "makes one.",
    file="sizes",
  )


experiment = ln.Experiment(Config, run)
