r"""Fine-tuning: a network that has seen ImageNet learns from 180 photographs (N06).

Ng, "Structuring machine learning projects": where there are few examples of a task and many of one
with like inputs, begin with the weights of a network trained on the latter, put a new last layer in
place of its own, and train all of it. EfficientNet-Lite0 (Tan and Le 2019) with the weights that
its package has from ImageNet, and the same network with weights drawn anew, tell families of things
apart: birds, mammals, other animals, food, plants, things and vehicles. The 270 photographs are
those among Tux Paint's stamps, cut out on white: another collection than ImageNet's, which has
classes for much of what they show, though not these families. A third of each family, drawn by the
seed, is tested on. The twin from scratch has a larger rate. Both see the photographs in the
same order, turned left to right at random.

    pip install -e '.[pretrained]' -c constraints.txt
    python launch.py --experiment=fine_tuning
    python launch.py --experiment=fine_tuning --optimizer.groups='net/(?!head): frozen'
    python launch.py --experiment=fine_tuning --dataset=folder:birds --architecture=resnet18 \
        --weights=r18.pth --optimizer.groups='net/Dense_0: rate=3'

Expected: test accuracy 70 % fine-tuned and 41 % from scratch: 28.9 ± 9.4 points apart (95 %
interval over five seeds). From scratch for 30 epochs instead of 10 it is 41 % (seed 0, 95 % of the
training images right). Neither rate was searched. Five seeds took 23
minutes of one CPU core that others used too.
"""

import functools
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

import research as ln
from research.data import stamps, stratify
from research.learner import variables_of
from research.learner_transforms import begun
from research.models import pretrained
from research.models.torchvision import ARCHITECTURES

STAMPS = "stamps"
TEST_SHARE = 1 / 3
# Means and deviations of red, green and blue in [0, 1] that the published weights are for.
OF_TORCHVISION = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
NORMALISED: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = MappingProxyType(
  {
    "efficientnet_lite0": ((127 / 255,) * 3, (128 / 255,) * 3),
    "googlenet": ((0.5,) * 3, (0.5,) * 3),
  }
)


@ln.pytree_config
class Config:
  """The network, its first weights, and how it learns."""

  dataset: str = ln.static(STAMPS, "images", choices=(STAMPS, *ln.sets.OWN_IMAGES))
  architecture: str = ln.static("efficientnet_lite0", "the network", choices=tuple(ARCHITECTURES))
  weights: str = ln.static("", "a .pth or .safetensors file; by default that of a package")
  share: float = ln.traced(1.0, "of the trained weights in the first ones", at_least=0, at_most=1)
  scratch_rate: float = ln.traced(3e-3, "step size from scratch, set by the comparison", at_least=0)
  optimizer: ln.Optimizer = ln.nested(
    ln.Optimizer("adam", 1e-3, "cosine", warmup=0.1, groups="net/head: rate=3")
  )
  batch_size: int = ln.static(16, "examples per step", at_least=1)
  epochs: int = ln.static(10, "passes over the training images", at_least=1)


class Network(nn.Module):
  """A network of the catalogue on images in [0, 1], which it normalises as its weights need it."""

  architecture: str
  classes: int

  def setup(self) -> None:
    """Makes the network, whose parameters' paths begin with net/."""
    self.net = ARCHITECTURES[self.architecture](self.classes)

  def __call__(
    self, x: Float[Array, "batch height width channel"], train: bool = False
  ) -> Float[Array, "batch class"]:
    """Logits; grey images are three equal colours."""
    mean, deviation = NORMALISED.get(self.architecture, OF_TORCHVISION)
    of_colours = lambda numbers: jnp.array(numbers).reshape(1, 1, 1, 3)
    x = jnp.broadcast_to(x, (*x.shape[:3], 3)) - of_colours(mean)
    x = x / of_colours(deviation)
    return self.net(x, train)


def photographs(config: Config, seed: int) -> ln.Task:
  """The stamps, a third of each family to be tested on; or the user's own images in their parts."""
  if config.dataset != STAMPS:
    return ln.images(config, seed)
  data = stamps.load()
  is_test = stratify.draw(data["label"], round(TEST_SHARE * len(data["label"])), seed)
  part = lambda chosen: {name: array[chosen] for name, array in data.items()}
  return ln.Task(part(~is_test), {"test": part(is_test)}, class_names=tuple(stamps.FAMILIES))


def model(config: Config) -> nn.Module:
  """The network with a last layer for the classes of the data."""
  is_own = config.dataset != STAMPS
  classes = ln.sets.spec(config.dataset).classes if is_own else len(stamps.FAMILIES)
  return Network(config.architecture, classes)


def trained(config: Config) -> Mapping[str, Any]:
  """The variables in the weights file, by the paths that they have here."""
  path = config.weights and Path(config.weights).expanduser()
  file = path or pretrained.published_file(config.architecture)
  given = pretrained.read(config.architecture, file)
  return {collection: {"net": held} for collection, held in given.items()}


def begin_trained(plain: ln.Learner) -> ln.Learner:
  """The learner whose first weights are the trained ones, but for layers of another shape."""

  def change(config: Config, state: ln.TrainState) -> ln.TrainState:
    variables = pretrained.taken(variables_of(state), trained(config), config.share)
    params = variables.pop("params")
    return state._replace(params=params, variables=variables)

  return begun(plain, change)


def mirrored(config: Config, key: Key[Array, ""], images: Float[Array, "..."]) -> Array:
  """Half of the images, drawn anew at every step, turned left to right."""
  is_turned = jax.random.bernoulli(key, shape=(len(images), 1, 1, 1))
  return jnp.where(is_turned, images[:, :, ::-1], images)


training = ln.supervised_training(
  model,
  photographs,
  transform=lambda learner: ln.augmented(begin_trained(learner), mirrored),
)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Both networks side by side."""
  print(not_loaded(config), file=sys.stderr)
  rate = {"optimizer.learning_rate": config.scratch_rate}
  members = {"fine-tuned": config, "from scratch": ln.replace(config, {"share": 0.0, **rate})}
  return report(config, lab.compare("start", members, training))


def not_loaded(config: Config) -> str:
  """Says in a line which of the file's weights are left out, and which are made anew."""
  spec = ln.sets.spec(config.dataset) if config.dataset != STAMPS else None
  shape = spec.image_shape if spec else (stamps.SIZE, stamps.SIZE, 3)
  init = functools.partial(model(config).init, jax.random.key(0))
  fresh = jax.eval_shape(init, jnp.zeros((1, *shape)))
  left = pretrained.not_taken(fresh, trained(config))
  return f"not loaded: {', '.join(left) or 'nothing'}"


def report(config: Config, fits: Mapping[str, list[ln.Fit]]) -> ln.Report:
  """Compares test accuracies."""
  accuracy = {name: found[0].last("test/accuracy") for name, found in fits.items()}
  apart = accuracy["fine-tuned"] - accuracy["from scratch"]
  claim = ln.claims("N06", unit="points")
  curves = ln.compare_curves(
    {name: found[0] for name, found in fits.items()},
    "test/accuracy",
    title="Fine-tuned and from scratch",
    y="test accuracy (%)",
    epochs=True,
    caption="One network begins with weights that were trained on ImageNet, its twin with drawn "
    "ones. Both see the same photographs in the same order.",
    file="curves",
  )
  wrong = ln.confusion(
    fits["fine-tuned"][0], model(config), title="What the fine-tuned network takes for what"
  )
  return ln.Report(
    [
      claim("fine-tuned less from scratch, test accuracy", "above 0", apart, ln.at_least(0.1)),
    ],
    [curves, wrong],
  )


experiment = ln.Experiment(Config, run, training, takes=("lanes",))
