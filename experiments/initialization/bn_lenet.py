"""LeNet with batch normalisation on Fashion-MNIST (I06).

Dive into Deep Learning, section 8.5: LeNet with sigmoid units, every layer but the last normalised
before its activation, 10 epochs of SGD. The English edition has rate 0.1 and batches of 128, the
Chinese one 1.0 and 256: training accuracy 0.899 and 0.902, test 0.807 and 0.708, very noisy. Plain
LeNet at rate 0.9 reaches 0.823 (A01), and at 0.1 nothing in this time.

    python launch.py --experiment=bn_lenet

Expected: a training accuracy above LeNet's 0.823 at either rate: 0.909 and 0.899 here, where plain
LeNet has 0.824 (three fits of ten epochs each, some minutes on two CPU cores).
"""

from typing import Any

import research as ln
from research.models.lenet import LeNet


@ln.pytree_config
class Config:
  """One net; `run` compares three."""

  dataset: str = ln.static(
    "fashion_mnist", "images", choices=("mnist", "fashion_mnist", *ln.sets.OWN_IMAGES)
  )
  batch_norm: bool = ln.static(True, "normalise every layer but the last")
  init: ln.Init = ln.nested(ln.Init("xavier_uniform"))
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer(name="sgd", learning_rate=1.0))
  batch_size: int = ln.static(256, "examples per step", at_least=2)
  epochs: int = ln.static(10, "passes over the training set", at_least=1)


def model(config: Config) -> LeNet:
  """LeNet, with or without normalisation, and with a logit for each class of the data."""
  classes = ln.sets.spec(config.dataset).classes
  return LeNet(classes, kernel_init=ln.kernel_init(config.init), batch_norm=config.batch_norm)


training = ln.supervised_training(model)

CASES: dict[str, dict[str, Any]] = {
  "BN rate 1.0": {},
  "BN rate 0.1": {"optimizer.learning_rate": 0.1, "batch_size": 128},
  "plain rate 0.9": {"optimizer.learning_rate": 0.9, "batch_norm": False},
}


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Both editions' settings with normalisation, and plain LeNet at its own rate."""
  cases = {name: ln.replace(config, changes) for name, changes in CASES.items()}
  fits = ln.fit_each(lab, cases, training)
  # The book's training accuracy is the mean over the last epoch, as the rows have it.
  high, low, plain = (fits[name].last("train/accuracy") for name in CASES)
  test = fits["BN rate 1.0"].last("test/accuracy")
  claim, what = ln.claims("I06", unit="%"), "training accuracy of the last epoch"
  gained = "training accuracy that normalisation gains, rate 1.0"
  claims = [
    claim(f"BN, rate 1.0: {what}", "90.2 %", high, ln.at_least(0.823)),
    claim(f"BN, rate 0.1: {what}", "89.9 %", low, ln.at_least(0.823)),
    claim(f"plain LeNet, rate 0.9: {what}", "82.3 %", plain, ln.at_least(0.75)),
    claim(gained, "90.2 - 82.3 = 7.9 points", high - plain, ln.at_least(0.02), "points"),
    claim("BN, rate 1.0: test accuracy", "70.8 % (very noisy)", test, ln.at_least(0.708)),
  ]
  return ln.Report(
    claims if config.dataset in ln.sets.names() else [],  # the book says nothing of others
    [
      ln.compare_curves(
        fits,
        f"{split}/accuracy",
        title=f"LeNet with and without batch normalisation, {config.dataset}",
        y=f"{split} accuracy (%)",
        epochs=True,
        caption=f"Accuracy on the {split} set: {how}.",
        file=f"{split}_accuracy",
      )
      for split, how in (
        ("train", "the mean over an epoch, by the statistics of each batch"),
        ("test", "after each epoch, by the running statistics"),
      )
    ],
  )


experiment = ln.Experiment(Config, run, training)
