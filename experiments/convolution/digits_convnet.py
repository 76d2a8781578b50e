"""A convolutional network on scikit-learn's embedded digits: the quick start.

SimpleConvNet (inventory C06; Saito 2016, chapter 7) fitted to 8x8 images. A validation split ranks
the checkpoints, for --evaluate; the claim is that of the last step. Nothing is fetched.

    python launch.py

Expected: at least 98 % test accuracy in under a minute on two CPU cores.
"""

import math

from research.config import config, part, static
from research.data import sampling, sets
from research.figures.confusion import confusion_counts, confusion_matrix
from research.figures.curves import learning_curves
from research.figures.image_grids import misclassified_gallery
from research.initializers import Init, kernel_init
from research.learner import predict_classes, supervised
from research.losses import softmax_cross_entropy
from research.models.simple_convnet import SimpleConvNet
from research.optimizers import Optimizer, make
from research.report import Claim, Picture, Report, at_least
from research.training import Fit, Training


@config
class Config:
  """The network, and how it is trained."""

  filters: int = static(30, "convolution filters", at_least=1)
  filter_size: int = static(3, "their height and width in pixels", at_least=1, at_most=6)
  hidden: int = static(100, "units of the hidden dense layer", at_least=1)
  init: Init = part(Init("he_normal"))
  optimizer: Optimizer = part(Optimizer(name="adam", learning_rate=1e-3))
  batch_size: int = static(50, "examples per step", at_least=1, at_most=1257)
  epochs: int = static(40, "passes over the training set", at_least=1)


def model(config: Config) -> SimpleConvNet:
  """C06 with 3x3 filters, He's initial weights instead of deviation 0.01."""
  return SimpleConvNet(
    config.filters, config.filter_size, config.hidden, kernel_init=kernel_init(config.init)
  )


VALIDATION = 180  # images that rank the checkpoints


def steps_per_epoch(config: Config) -> int:
  """Batches that hold every training image once."""
  return math.ceil((sets.spec("digits").train_size - VALIDATION) / config.batch_size)


learner = supervised(
  model,
  softmax_cross_entropy,
  lambda config: sets.spec("digits").image_shape,
  lambda config: make(config.optimizer, config.epochs * steps_per_epoch(config)),
)


def training(config: Config, seed: int) -> Training:
  """1,257 images to learn from, 180 to rank the checkpoints, 360 for the claim."""
  splits = sets.load("digits", validation=VALIDATION)
  return Training(
    learner,
    splits.train,
    sampling.by_epoch(config.batch_size),
    steps=config.epochs * steps_per_epoch(config),
    evaluate={"validation": splits.validation, "test": splits.test},
    evaluate_every=steps_per_epoch(config),
    log_every=steps_per_epoch(config),
    best="validation/accuracy",
  )


def report(config: Config, fit: Fit) -> Report:
  """The test accuracy after the last step, and where it goes wrong."""
  test = sets.load("digits", validation=VALIDATION).test
  guesses = predict_classes(model(config), fit.state, test)
  return Report(
    [
      Claim(
        "C06",
        "SimpleConvNet on scikit-learn's 8x8 digits, test accuracy",
        "98.96 % on MNIST (book)",
        fit.last("test/accuracy"),
        at_least(0.98),
        "%",
      )
    ],
    [
      Picture(
        "learning_curves",
        learning_curves(
          fit.history, title="SimpleConvNet on the digits", log_loss=True, accuracy_floor=0.9
        ),
        "The training loss goes on falling long after the test accuracy has stopped rising.",
      ),
      Picture(
        "confusion",
        confusion_matrix(
          confusion_counts(test["label"], guesses, 10), title="Test images by digit and answer"
        ),
        "Nearly all counts lie on the diagonal; what is off it is a pair that people confuse too.",
      ),
      Picture(
        "misclassified",
        misclassified_gallery(
          test["image"], test["label"], guesses, title="All mistakes on the test images"
        ),
        "Each image above its digit and the network's answer.",
      ),
    ],
  )
