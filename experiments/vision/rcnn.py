"""R-CNN on scenes of digits: propose, warp, score, refine, suppress (V01).

Girshick, Donahue, Darrell and Malik 2014, "Rich feature hierarchies for accurate object detection
and semantic segmentation". Selective search proposes boxes; each is warped to one size with a rim
of its surroundings; a convnet that learnt to classify whole images is fine-tuned on warped boxes
(32 of objects that they overlap by half or more and 96 of background in a batch); a linear support
vector machine per class, taught with hard negatives (overlaps below 0.3), scores its features; a
ridge regression, taught by proposals that overlap an object by more than 0.6, moves each box; and
of two boxes of a class that overlap by more than 0.3 the worse goes. Here the scenes are 64x64
pixels with one to three MNIST digits on texture with clutter, proposals become 24x24 pixels with a
rim of 2 (the paper's 227 and 16), and the whole images are MNIST's. Test scenes show digits of
MNIST's test set. The regression's penalty is the paper's 1000, times our 1,152 features over its
9,216, for features of mean length 20 as in its code.

Five detectors lack one part each: the regression, the suppression, the fine-tuning, the support
vector machines (softmax in their place), or the proposals (a grid of about as many windows at test
time, for which nothing is learnt anew).

    python launch.py --experiment=rcnn

Expected by the source: each part helps.
"""

import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Array, Key, UInt8

import research as ln
from research.analysis import detection, region_detector, region_proposals
from research.analysis.detection import Found, Objects
from research.analysis.region_detector import Features
from research.analysis.warped_regions import Regions, regions_of
from research.data import scenes
from research.figures.boxes import Boxed, boxes_on_images

WORLD = scenes.World(most=3)
CLASSES = 11  # with the background
GRID: Mapping[str, Any] = {"sides": (18, 26), "aspects": (0.8,), "stride": 0.5}
BLOCK = 1000  # regions that the network sees at once
FULL, UNMOVED, DOUBLES = "R-CNN", "without regression", "without suppression"
SOFTMAX, WINDOWS, UNADAPTED = "softmax for SVMs", "grid for proposals", "without fine-tuning"
PARTS = {  # the overlap at which each is missed, and the source
  UNMOVED: (0.7, "above 0"),
  DOUBLES: (0.5, "above 0"),
  SOFTMAX: (0.5, "3.3 points (VOC 2007)"),
  WINDOWS: (0.5, "above 0"),
  UNADAPTED: (0.5, "9.5 points (VOC 2007)"),
}


@ln.pytree_config
class Config:
  """The scenes, and how both stages of the network learn."""

  scenes: int = ln.static(600, "scenes to learn from", at_least=100, at_most=10_000)
  held_out: int = ln.static(200, "scenes to be tested on", at_least=20, at_most=10_000)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 2e-3, "linear"))
  batch_size: int = ln.static(128, "examples per step", at_least=4)
  steps: int = ln.static(1500, "updates on whole digits, and as many in fine-tuning", at_least=1)


class Network(nn.Module):
  """Two convolutions with pooling, a hidden layer, logits."""

  classes: int

  @nn.compact
  def stages(self, x: Array) -> tuple[Array, Array, Array]:
    """The pooled maps, flat; the hidden layer; the logits."""
    for filters in (16, 32):
      x = ln.max_pool(nn.relu(ln.Conv(filters, (3, 3))(x)))
    maps = x.reshape(x.shape[0], -1)
    hidden = nn.relu(nn.Dense(128)(maps))
    return maps, hidden, nn.Dense(self.classes, name="logits")(hidden)

  def __call__(self, x: Array, train: bool = False) -> Array:
    """Logits."""
    return self.stages(x)[-1]


def digits(config: Config, seed: int) -> ln.Task:
  """MNIST without its margin: digits of 20 pixels in a rim of 2, as warped proposals are."""
  data = ln.sets.load("mnist")
  cut = lambda part: {"image": part["image"][:, 2:-2, 2:-2], "label": part["label"]}
  return ln.Task(cut(data.train), {"test": cut(data.test)})


pretraining = ln.supervised_training(lambda config: Network(CLASSES - 1), digits)


def scenes_of(split: str, seed: int, count: int) -> tuple[UInt8[np.ndarray, "..."], Objects]:
  """Images [scene, 64, 64], and the boxes and classes of what is visible in them."""
  _, drawn = scenes.make(WORLD, scenes.load_pool(("mnist",), split), seed, count)
  image, label, box, visible = map(np.asarray, (drawn.image, drawn.label, drawn.box, drawn.visible))
  is_there = (label > 0) & (visible > 0)
  return image[..., 0], Objects(np.nonzero(is_there)[0], label[is_there], box[is_there])


def fine_tuning(config: Config, seed: int, begin: Any, sets: Mapping[str, Regions]) -> ln.Training:
  """Classifies warped regions, objects and background, from the pre-trained weights on."""
  label = lambda regions: np.where(regions.overlap.max(axis=1) >= 0.5, regions.label, 0)
  data = {name: {"image": own.warped, "label": label(own)} for name, own in sets.items()}

  def begun(learner: ln.Learner) -> ln.Learner:
    def init(config: Config, key: Key[Array, ""]) -> ln.TrainState:
      state = learner.init(config, key)
      return state._replace(params=begin | {"logits": state.params["logits"]})

    return learner._replace(init=init)

  return ln.supervised_training(
    lambda config: Network(CLASSES),
    lambda config, seed: ln.Task(data["train"], {"test": data["test"]}),
    transform=begun,
    sampler=ln.sampling.with_background,
  )(config, seed)


def features_of(fit: ln.Fit, regions: Regions) -> Features:
  """Activations of a network for all regions."""
  network = Network(len(fit.state.params["logits"]["bias"]))
  variables = {"params": fit.state.params}
  stages = jax.jit(
    lambda image: network.apply(variables, ln.inputs_of({"image": image}), method="stages")
  )
  blocks = [stages(regions.warped[at : at + BLOCK]) for at in range(0, len(regions.image), BLOCK)]
  return Features(*(np.concatenate(stage) for stage in zip(*blocks, strict=True)))


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Both stages of the network, the whole detector, and five that lack a part each."""
  images, truth = scenes_of("train", lab.seed, config.scenes)
  regions = lambda images, truth, boxes, learns: regions_of(images, truth, boxes, CLASSES, learns)
  learnt = regions(images, truth, [region_proposals.propose(image) for image in images], True)
  images, truth = scenes_of("test", lab.seed, config.held_out)
  found = regions(images, truth, [region_proposals.propose(image) for image in images], False)
  windows = region_proposals.grid(images.shape[1:], **GRID)
  gridded = regions(images, truth, [windows] * len(images), False)

  before = lab.fit("pre-training", config, pretraining(config, lab.seed))
  sets = {"train": learnt, "test": found}
  after = lab.fit("fine-tuning", config, fine_tuning(config, lab.seed, before.state.params, sets))
  detector = region_detector.learn(features_of(after, learnt), learnt)
  unadapted = region_detector.learn(features_of(before, learnt), learnt)
  judge = functools.partial(region_detector.detect, size=WORLD.size)
  own = functools.partial(judge, detector, features_of(after, found), found)
  return report(
    {
      FULL: own(),
      UNMOVED: own(is_moved=False),
      DOUBLES: own(is_suppressed=False),
      SOFTMAX: own(by_softmax=True),
      WINDOWS: judge(detector, features_of(after, gridded), gridded),
      UNADAPTED: judge(unadapted, features_of(before, found), found),
    },
    truth,
    found,
    images,
  )


def report(
  found: Mapping[str, Found], truth: Objects, proposals: Regions, images: np.ndarray
) -> ln.Report:
  """Recall of the proposals; mean average precision of the detector, and what each part adds."""
  precision = {
    (name, overlap): detection.mean_average_precision(own, truth, overlap)
    for name, own in found.items()
    for overlap in (0.5, 0.7)
  }
  claim, difference = ln.claims("V01", unit="%"), ln.claims("V01", unit="points")
  gain = lambda name, overlap: precision[FULL, overlap] - precision[name, overlap]
  what = "recall of the proposals at an overlap of 0.5"
  as_objects = Objects(proposals.image, proposals.label, proposals.box)
  recall = detection.recall(as_objects, truth)
  return ln.Report(
    [
      claim(what, "95 % (proposed)", recall, ln.at_least(0.95)),
      claim("mAP@0.5", "90 % (proposed)", precision[FULL, 0.5], ln.at_least(0.9)),
      *(
        difference(f"mAP@{overlap}: whole less {name}", source, gain(name, overlap), ln.above(0))
        for name, (overlap, source) in PARTS.items()
      ),
    ],
    [boxes_beside_truth(found[FULL], truth, images[:8]), curves(found, truth)],
  )


def boxes_beside_truth(found: Found, truth: Objects, images: np.ndarray) -> ln.Picture:
  """The first scenes with what is there and what the machines say yes to."""
  words = lambda own: [str(label - 1) for label in own.label]
  there = [detection.chosen(truth, truth.image == n) for n in range(len(images))]
  is_yes = lambda n: (found.image == n) & (found.score > 0)
  seen = [detection.chosen(found, is_yes(n)) for n in range(len(images))]
  return boxes_on_images(
    images,
    {
      "truth": [Boxed(own.box, words(own)) for own in there],
      "found": [Boxed(own.box, words(own)) for own in seen],
    },
    title="Digits in test scenes, and what R-CNN finds",
    caption="Above, the visible parts of digits in their boxes. Below, the boxes that a digit's "
    "support vector machine says yes to, moved by its regression, without doubles.",
    file="detections",
  )


def curves(found: Mapping[str, Found], truth: Objects) -> ln.Picture:
  """Precision against recall, all digits together."""
  panels = []
  for overlap in (0.5, 0.7):
    drawn = {}
    for name, own in found.items():
      curve = detection.pooled_curve(own, truth, overlap)
      drawn[name] = 100 * curve.recall, 100 * curve.precision
    panels.append(ln.Panel("precision (%)", drawn, f"overlap of {overlap} at least"))
  return ln.function_curves(
    panels,
    title="R-CNN, whole and with a part left out",
    x="recall (%)",
    caption="Detections of all digits in the order of their scores.",
    file="precision_recall",
  )


experiment = ln.Experiment(Config, run)
