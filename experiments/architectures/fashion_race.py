"""LeNet, a narrow ResNet and a narrow DenseNet on Fashion-MNIST (A01, A06, A07).

Dive into Deep Learning trains each for ten epochs by plain SGD: LeNet with sigmoids and average
pooling (section 7.6) 77.9 %, ResNet-18 89.3 %, DenseNet 88.5 %, the last two on images blown up to
96 pixels. The first stands here as in the book. Beside it are LeNet with ReLU and max pooling, He's
ResNet of 8 layers and 32 channels (297,450 parameters) and a DenseNet of 3 x 4 layers with 16
channels each, both at 14 pixels from their first layer on, trained in the modern way: AdamW, a rate
that goes up and down in one cycle, crops and mirrored images drawn in the step.

    python launch.py --experiment=fashion_race

Expected: LeNet 78 % in the book's form and 88 % in the modern one, ResNet and DenseNet 92.5 %.
Measured over three seeds: 81.4 +- 0.4, 91.10 +- 0.06, 93.4 +- 0.15 and 92.92 +- 0.06 %, in half an
hour of one CPU core that others use too, most of it DenseNet's; the last three when the cycle began
at a rate of 0, not at a 25th of its peak.
"""

from typing import NamedTuple

from flax import linen
from jaxtyping import Array, Float, Key

import research as ln
from research.data import augmentation
from research.models.densenet import DenseNet
from research.models.lenet import LeNet
from research.models.resnet import CifarResNet

Images = Float[Array, "batch height width channel"]


class Entry(NamedTuple):
  """A network of the comparison: its id, itself, the source's accuracy, and the bar."""

  id: str
  network: linen.Module
  source: str
  bar: float


ENTRIES = {
  "LeNet, sigmoids": Entry("A01", LeNet(), "77.9 % (d2l)", 0.78),
  "LeNet, ReLU": Entry(
    "A01",
    LeNet(activation=linen.relu, pool=ln.max_pool, kernel_init=ln.initializer("he_normal")),
    "77.9 % (d2l, sigmoids)",
    0.88,
  ),
  "ResNet-8": Entry("A06", CifarResNet(8, 32, stem_stride=2), "89.3 % (d2l, ResNet-18)", 0.925),
  "DenseNet-12": Entry(
    "A07", DenseNet((4, 4, 4), 16, 32, bottleneck=0, classes=10, small_stem=2), "88.5 %", 0.925
  ),
}
BOOKS = "LeNet, sigmoids"


@ln.pytree_config
class Config:
  """Training settings of one of the networks."""

  network: str = ln.static(
    "ResNet-8", "set by the comparison, one after the other", choices=tuple(ENTRIES)
  )
  crop: int = ln.static(1, "pixels of zeros around the images that are cropped", at_least=0)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adamw", 5e-3, "one_cycle", weight_decay=0.05))
  batch_size: int = ln.static(100, "examples per step", at_least=1, at_most=60_000)
  epochs: int = ln.static(10, "passes over the training set", at_least=1)


# Section 7.6 of the book.
AS_THE_BOOK = {
  "network": BOOKS,
  "optimizer.name": "sgd",
  "optimizer.learning_rate": 0.9,
  "optimizer.schedule": "constant",
  "optimizer.weight_decay": 0.0,
  "batch_size": 256,
  "epochs": 10,
}


def transform(config: Config, key: Key[Array, ""], images: Images) -> Images:
  """Mirrored by chance and moved; the book's images stay as they are."""
  if config.network == BOOKS:
    return images
  kinds = augmentation.one_after_another(augmentation.crop(config.crop), augmentation.flip())
  return augmentation.augment(kinds, key, images)


def fashion(config: Config, seed: int) -> ln.Task:
  """All images of Fashion-MNIST."""
  splits = ln.sets.load("fashion_mnist")
  return ln.Task(splits.train, {"test": splits.test})


training = ln.supervised_training(
  lambda config: ENTRIES[config.network].network,
  fashion,
  transform=lambda learner: ln.augmented(learner, transform),
  evaluation_batch_size=500,
)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """All networks, the book's LeNet with the book's settings."""
  fits: dict[str, ln.Fit] = {}
  for name in ENTRIES:
    one = ln.replace(config, AS_THE_BOOK if name == BOOKS else {"network": name})
    fits[name] = lab.fit(name.replace(",", ""), one, training(one, lab.seed))
  return ln.Report(
    [
      ln.claims(entry.id, unit="%")(
        f"{name} on Fashion-MNIST, test accuracy after {fits[name].config.epochs} epochs",
        entry.source,
        fits[name].last("test/accuracy"),
        ln.at_least(entry.bar),
      )
      for name, entry in ENTRIES.items()
    ],
    [
      ln.compare_curves(
        fits,
        "test/accuracy",
        title="Fashion-MNIST",
        y="test accuracy (%)",
        epochs=True,
        caption="The test accuracy of each network over its own epochs.",
        file="accuracy",
      )
    ],
  )


experiment = ln.Experiment(Config, run, training)
