"""A convolutional network on scikit-learn's embedded digits: the quick start.

SimpleConvNet (inventory C06; Saito 2016, chapter 7) fitted to 8x8 images. A validation split ranks
the checkpoints, for --evaluate; the claim is that of the last step. Nothing is fetched.

    python launch.py

Expected: at least 98 % test accuracy in under a minute on two CPU cores.
"""

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


def digits(config: Config, seed: int) -> ln.Task:
  """1,257 images to learn from, 180 to rank the checkpoints, 360 for the claim."""
  splits = ln.sets.load("digits", validation=VALIDATION)
  held_out = {"validation": splits.validation, "test": splits.test}
  return ln.Task(splits.train, held_out, best="validation/accuracy")


training = ln.supervised_training(model, digits)


def report(config: Config, fit: ln.Fit) -> ln.Report:
  """The test accuracy after the last step, and where it goes wrong."""
  claim = ln.claims("C06", unit="%")
  return ln.Report(
    [
      claim(
        "SimpleConvNet on scikit-learn's 8x8 digits, test accuracy",
        "98.96 % on MNIST (book)",
        fit.last("test/accuracy"),
        ln.at_least(0.98),
      )
    ],
    [
      ln.learning_curves(
        fit,
        title="SimpleConvNet on the digits",
        log_loss=True,
        accuracy_floor=0.9,
        caption="Loss and accuracy by split; the validation set ranks the checkpoints.",
      ),
      ln.confusion(fit, model(config), title="Test images by digit and answer"),
      ln.misclassified(fit, model(config)),
    ],
  )


experiment = ln.single_fit(Config, training, report)
