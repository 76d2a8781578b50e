"""Fully convolutional networks: the class of every pixel of digit scenes (V02).

Long et al. 2015: a classifier of windows, its dense layers as convolutions, answers for all windows
of a larger image at once, and is tuned to answer for every pixel. FCN-32s enlarges the scores of
the last layer; 16s begins as the trained 32s and adds scores of the pooling before, 8s begins as
the 16s and adds those of one pooling more. Enlargement between layers is learnt and begins as
bilinear. Scenes of one to three MNIST digits on textured ground are of 64 pixels where the paper's
pictures have 500, and strides are a quarter of the names.

    python launch.py --experiment=fully_convolutional

Expected by the source: 59.4, 62.4 and 62.7 % mean IoU of 32s, 16s and 8s on VOC 2011. Each network
here has learnt longer than the one before, to which the order owes something. Measured over three
seeds on held-out scenes: 57.1, 76.3 and 81.6 %. Four minutes of one CPU core, at 350 scenes a
second.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

import research as ln
from research.analysis import segmentation
from research.data import scenes
from research.figures.masks import mask_grid
from research.layers.bilinear import Upsample
from research.learner_transforms import begun
from research.models import fully_convolutional as fcn
from research.task import pixel_training

SCENES = scenes.World(most=3, smallest=30, largest=36, overlap=10, clutter=2)
WINDOWS = SCENES._replace(size=fcn.WINDOW, most=1, clutter=1)
CLASSES = 11  # the digits and the background
HELD_OUT = 300  # scenes


@ln.pytree_config
class Config:
  """One network begun at random; `run` trains three, which begin with each other's weights."""

  variant: str = ln.static("8s", "which layers' scores are added", choices=tuple(fcn.VARIANTS))
  width: int = ln.static(12, "feature maps of the first stage; the next have 2 and 4 times as many")
  hidden: int = ln.static(128, "units of each hidden dense layer", at_least=1)
  examples: int = ln.static(6000, "scenes to learn from", at_least=1)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 3e-3, "one_cycle"))
  batch_size: int = ln.static(16, "scenes per step", at_least=1)
  steps: int = ln.static(1000, "updates of each network", at_least=1)


def classifier(config: Config) -> fcn.WindowClassifier:
  """The classifier of windows with one digit."""
  return fcn.WindowClassifier(config.width, config.hidden, CLASSES - 1)


def model(config: Config) -> fcn.FCN:
  """The network for scenes."""
  return fcn.FCN(config.width, config.hidden, CLASSES, fcn.VARIANTS[config.variant])


@functools.lru_cache(maxsize=4)
def drawn(world: scenes.World, split: str, seed: int, count: int) -> scenes.Drawn:
  """Scenes of one part of MNIST."""
  return scenes.make(world, scenes.load_pool(("mnist",), split), seed, count)[1]


def windows(config: Config, seed: int) -> ln.Task:
  """Windows with one digit each."""
  part = lambda found: {"image": found.image, "label": found.label[:, 0] - 1}
  train = part(drawn(WINDOWS, "train", seed, 3 * config.examples))
  return ln.Task(train, {"test": part(drawn(WINDOWS, "test", 0, HELD_OUT))})


def task(config: Config, seed: int) -> ln.Task:
  """Scenes; the held-out ones are the same for all seeds."""
  part = lambda found: {"image": found.image, "mask": found.mask}
  train = part(drawn(SCENES, "train", seed, config.examples))
  return ln.Task(train, {"test": part(drawn(SCENES, "test", 0, HELD_OUT))})


def training_from(given: Mapping[str, Any]) -> Callable[[Config, int], ln.Training]:
  """The training on scenes that begins with given weights in the layers that have them."""

  def change(config: Config, state: ln.TrainState) -> ln.TrainState:
    return state._replace(params=fcn.begun_with(state.params, given))

  transform = lambda learner: segmentation.measured(begun(learner, change), CLASSES)
  return pixel_training(model, task, transform=transform, rows=20)


training = training_from({})
classifying = ln.supervised_training(classifier, windows, rows=20)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The classifier, and one network after the other."""
  own = ln.replace(config, {"batch_size": 4 * config.batch_size})
  trained = lab.fit("classifier", own, classifying(own, lab.seed)).state.params
  given, fits = fcn.as_convolutions(trained), {}
  for name in fcn.VARIANTS:
    member = ln.replace(config, {"variant": name})
    fits[name] = lab.fit(name, member, training_from(given)(member, lab.seed))
    given = fits[name].state.params
  return ln.Report([*exactness(config, trained), *order(fits)], [examples(fits)])


def exactness(config: Config, params: Mapping[str, Any]) -> list[ln.Claim]:
  """The trained classifier as a convolution over scenes, and bilinear kernels, by comparison."""
  few = jnp.asarray(drawn(SCENES, "test", 0, HELD_OUT).image[:4])
  pictures = ln.inputs_of({"image": few})
  off = fcn.difference_from_windows(classifier(config), params, pictures)
  maps = jax.random.normal(jax.random.key(0), (1, 8, 8, CLASSES))
  enlarged = Upsample(2).init_with_output(jax.random.key(0), maps)[0]
  apart = enlarged - jax.image.resize(maps, enlarged.shape, "bilinear")
  claim, bar = ln.claims("V02"), ln.at_most(1e-5)
  off_inside = jnp.abs(apart[:, 2:-2, 2:-2]).max()
  return [
    claim("one pass against window by window: largest difference / logit", "equal", off, bar),
    claim("bilinear kernel against resize, inside: difference", "equal", off_inside, bar),
  ]


def order(fits: Mapping[str, ln.Fit]) -> list[ln.Claim]:
  """Mean IoU of all, and whether each is better than the coarser one."""
  found = {name: fit.last("test/mean_iou") for name, fit in fits.items()}
  claim, apart = ln.claims("V02", unit="%"), ln.claims("V02", unit="points")
  return [
    claim("8s: mean IoU on held-out scenes", "62.7 % (VOC 2011)", found["8s"], ln.at_least(0.8)),
    apart("16s less 32s, mean IoU", "3.0", found["16s"] - found["32s"], ln.above(0)),
    apart("8s less 16s, mean IoU", "0.3", found["8s"] - found["16s"], ln.above(0)),
  ]


def examples(fits: Mapping[str, ln.Fit]) -> ln.Picture:
  """Held-out scenes beside the truth and all networks' answers."""
  test = {name: array[:6] for name, array in fits["8s"].training.evaluate["test"].items()}
  answer = lambda fit: ln.predict_classes(model(fit.config), fit.state, test)
  return mask_grid(
    test["image"],
    {"truth": test["mask"]} | {name: answer(fit) for name, fit in fits.items()},
    title="Digits by pixel",
    caption="Six held-out scenes, their true classes, and the answers of the three networks: the "
    "finer the layers whose scores are added, the finer the outlines.",
    file="answers",
  )


experiment = ln.Experiment(Config, run, training)
