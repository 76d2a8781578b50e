"""A convolutional network on scikit-learn's embedded digits: the quick start.

SimpleConvNet (inventory C06; Saito 2016, chapter 7) fitted to 8x8 images. A validation split ranks
the checkpoints, for --evaluate; the claim is that of the last step. Nothing is fetched.

    python launch.py

Expected: at least 98 % test accuracy in under a minute on two CPU cores.
"""

import math

import research as ln
from research.models.simple_convnet import SimpleConvNet


@ln.pytree_config
class Config:
  """The network, and how it is trained."""

  filters: int = ln.static(30, "convolution filters", at_least=1)
  filter_size: int = ln.static(3, "their height and width in pixels", at_least=1, at_most=6)
  hidden: int = ln.static(100, "units of the hidden dense layer", at_least=1)
  init: ln.Init = ln.nested(ln.Init("he_normal"))
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer(name="adam", learning_rate=1e-3))
  batch_size: int = ln.static(50, "examples per step", at_least=1, at_most=1257)
  epochs: int = ln.static(40, "passes over the training set", at_least=1)


def model(config: Config) -> SimpleConvNet:
  """C06 with 3x3 filters, He's initial weights instead of deviation 0.01."""
  return SimpleConvNet(
    config.filters, config.filter_size, config.hidden, kernel_init=ln.kernel_init(config.init)
  )


VALIDATION = 180  # images that rank the checkpoints


def steps_per_epoch(config: Config) -> int:
  """Batches that hold every training image once."""
  return math.ceil((ln.sets.spec("digits").train_size - VALIDATION) / config.batch_size)


learner = ln.supervised(
  model,
  ln.softmax_cross_entropy,
  lambda config: ln.sets.spec("digits").image_shape,
  lambda config: ln.make_optimizer(config.optimizer, config.epochs * steps_per_epoch(config)),
)


def training(config: Config, seed: int) -> ln.Training:
  """1,257 images to learn from, 180 to rank the checkpoints, 360 for the claim."""
  splits = ln.sets.load("digits", validation=VALIDATION)
  return ln.Training(
    learner,
    splits.train,
    ln.sampling.by_epoch(config.batch_size),
    steps=config.epochs * steps_per_epoch(config),
    evaluate={"validation": splits.validation, "test": splits.test},
    evaluate_every=steps_per_epoch(config),
    log_every=steps_per_epoch(config),
    best="validation/accuracy",
  )


def report(config: Config, fit: ln.Fit) -> ln.Report:
  """The test accuracy after the last step, and where it goes wrong."""
  test = ln.sets.load("digits", validation=VALIDATION).test
  guesses = ln.predict_classes(model(config), fit.state, test)
  return ln.Report(
    [
      ln.Claim(
        "C06",
        "SimpleConvNet on scikit-learn's 8x8 digits, test accuracy",
        "98.96 % on MNIST (book)",
        fit.last("test/accuracy"),
        ln.at_least(0.98),
        "%",
      )
    ],
    [
      ln.learning_curves(
        fit,
        title="SimpleConvNet on the digits",
        log_loss=True,
        accuracy_floor=0.9,
        caption=(
          "The training loss goes on falling long after the test accuracy has stopped rising."
        ),
      ),
      ln.confusion_matrix(
        ln.confusion_counts(test["label"], guesses, 10),
        title="Test images by digit and answer",
        caption=(
          "Nearly all counts lie on the diagonal; what is off it is a pair that people confuse too."
        ),
        file="confusion",
      ),
      ln.misclassified_gallery(
        test["image"],
        test["label"],
        guesses,
        title="All mistakes on the test images",
        caption="Each image above its digit and the network's answer.",
        file="misclassified",
      ),
    ],
  )


experiment = ln.single_fit(Config, training, report)
