"""SegNet on road scenes: maxima are put back to where they were (V03).

Badrinarayanan et al. 2015: an encoder keeps the places of its pooling's maxima, and the decoder
unpools to them, which gives sharp boundaries without keeping the encoder's maps. Classes weigh by
the median of all classes' frequencies over their own. Beside it stand the same decoder with
bilinear interpolation, of equal parameters, and a U-Net (Ronneberger et al. 2015) with nearly as
many (20,928 and 20,938). Scenes have sky, road, lane markings, cars, trees and grass.

    python launch.py --experiment=segnet

Expected by the source: 60.1 % mean IoU on CamVid; bilinear decoders are less sharp, and those that
keep the encoder's maps whole, as a U-Net does, are the best where there is memory. Measured
(three seeds): mean IoU of places 87.4 %, boundary F1 10.1 points above interpolation's and 6.8
below the U-Net's. Three minutes of one CPU core.
"""

import functools
from collections.abc import Mapping

import numpy as np

import research as ln
from research.analysis import segmentation
from research.data import roads
from research.figures.masks import mask_grid
from research.models.segnet import SegNet
from research.task import pixel_training

WIDTHS = {"indices": (12, 24, 32), "bilinear": (12, 24, 32), "unet": (9, 19, 28)}
CLASSES = len(roads.CLASSES)
HELD_OUT = 300  # scenes


@ln.pytree_config
class Config:
  """One network; `run` compares the three decoders."""

  decoder: str = ln.static("indices", "how maps are enlarged", choices=tuple(WIDTHS))
  examples: int = ln.static(2000, "scenes to learn from", at_least=1)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 1e-2, "one_cycle"))
  batch_size: int = ln.static(16, "scenes per step", at_least=1)
  steps: int = ln.static(400, "updates", at_least=1)


def model(config: Config) -> SegNet:
  """The network with that decoder."""
  return SegNet(WIDTHS[config.decoder], CLASSES, config.decoder)


@functools.lru_cache(maxsize=4)
def drawn(split: str, seed: int, count: int) -> roads.Drawn:
  """Road scenes."""
  return roads.make(seed, count, split)[1]


def task(config: Config, seed: int) -> ln.Task:
  """Scenes with the weights of their classes; the held-out ones are the same for all seeds."""
  made, test = drawn("train", seed, config.examples), drawn("test", 0, HELD_OUT)
  part = lambda drawn: {"image": drawn.image, "mask": drawn.mask}
  weights = segmentation.median_frequency_weights(np.asarray(made.mask), CLASSES)
  by_scene = np.broadcast_to(weights, (config.examples, CLASSES))
  return ln.Task({**part(made), "mask_weights": by_scene}, {"test": part(test)})


training = pixel_training(
  model,
  task,
  transform=lambda learner: segmentation.measured(learner, CLASSES, boundaries=True),
  rows=20,
)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The three decoders, from equal keys and on equal batches."""
  members = {name: ln.replace(config, {"decoder": name}) for name in WIDTHS}
  fits = {name: each[0] for name, each in lab.compare("decoders", members, training).items()}
  test = fits["indices"].training.evaluate["test"]
  answers = {
    name: ln.predict_classes(model(fit.config), fit.state, test, 100) for name, fit in fits.items()
  }
  return ln.Report(found(fits), [examples(test, answers), by_class(test["mask"], answers)])


def found(fits: Mapping[str, ln.Fit]) -> list[ln.Claim]:
  """Mean IoU, and boundaries against the other decoders'."""
  claim, apart = ln.claims("V03", unit="%"), ln.claims("V03", unit="points")
  last = lambda name, metric: fits[name].last(f"test/{metric}")
  gain = lambda name, over: last(name, "boundary_f1") - last(over, "boundary_f1")
  ours, iou = "indices: mean IoU on held-out scenes", last("indices", "mean_iou")
  sharper, kept = gain("indices", "bilinear"), gain("unet", "indices")
  return [
    claim(ours, "60.1 % (CamVid)", iou, ln.at_least(0.85)),
    apart("indices less bilinear, boundary F1", "above 0", sharper, ln.above(0)),
    apart("U-Net less indices, boundary F1", "above 0", kept, ln.above(0)),
  ]


def examples(test: ln.HostData, answers: Mapping[str, np.ndarray]) -> ln.Picture:
  """Held-out scenes beside the truth and all networks' answers."""
  return mask_grid(
    test["image"][:6],
    {name: masks[:6] for name, masks in {"truth": test["mask"], **answers}.items()},
    title="Roads by pixel",
    caption="Six held-out scenes, their true classes, and the answers of three decoders: maxima "
    "that are put back to their places, bilinear interpolation, a U-Net.",
    file="answers",
  )


def by_class(truth: np.ndarray, answers: Mapping[str, np.ndarray]) -> ln.Picture:
  """Intersection over union of each class."""
  counts = {name: segmentation.counts_of(found, truth, CLASSES) for name, found in answers.items()}
  return ln.grouped_bars(
    {name: 100 * segmentation.class_iou(each) for name, each in counts.items()},
    roads.CLASSES,
    title="Classes by three decoders",
    x="class",
    y="IoU (%)",
    caption="Intersection over union on held-out scenes. Thin and small things tell the decoders "
    "apart.",
    file="classes",
  )


experiment = ln.Experiment(Config, run, training, takes=("lanes",))
