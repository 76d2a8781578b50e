"""LeNet with batch normalisation on Fashion-MNIST (I06).

Dive into Deep Learning, section 8.5: LeNet with sigmoid units, every layer but the last normalised
before its activation, 10 epochs of SGD. The English edition has rate 0.1 and batches of 128, the
Chinese one 1.0 and 256: training accuracy 0.899 and 0.902, test 0.807 and 0.708, very noisy. Plain
LeNet at rate 0.9 reaches 0.823 (A01), and at 0.1 nothing in this time.

    python launch.py --experiment=bn_lenet

Expected: a training accuracy above LeNet's 0.823 at either rate: 0.909 and 0.899 here, where plain
LeNet has 0.824 (three fits of ten epochs each, some minutes on two CPU cores).
"""

import math
from typing import Any

from research.config import config, part, replace, static
from research.data import sampling, sets
from research.figures.curves import compare_curves
from research.initializers import Init, kernel_init
from research.lab.lab import Lab
from research.learner import supervised
from research.losses import softmax_cross_entropy
from research.models.lenet import LeNet
from research.optimizers import Optimizer, make
from research.report import Claim, Picture, Report, at_least
from research.training import Training


@config
class Config:
  """One net; `run` compares three."""

  dataset: str = static(
    "fashion_mnist", "images of ten classes", choices=("mnist", "fashion_mnist")
  )
  batch_norm: bool = static(True, "normalise every layer but the last")
  init: Init = part(Init("xavier_uniform"))
  optimizer: Optimizer = part(Optimizer(name="sgd", learning_rate=1.0))
  batch_size: int = static(256, "examples per step", at_least=2)
  epochs: int = static(10, "passes over the training set", at_least=1)


def steps_per_epoch(config: Config) -> int:
  """Batches that hold every training image once."""
  return math.ceil(sets.spec(config.dataset).train_size / config.batch_size)


learner = supervised(
  lambda config: LeNet(kernel_init=kernel_init(config.init), batch_norm=config.batch_norm),
  softmax_cross_entropy,
  lambda config: sets.spec(config.dataset).image_shape,
  lambda config: make(config.optimizer, config.epochs * steps_per_epoch(config)),
)


def training(config: Config, seed: int) -> Training:
  """One net, looked at after every epoch."""
  splits = sets.load(config.dataset)
  return Training(
    learner,
    splits.train,
    sampling.by_epoch(config.batch_size),
    steps=config.epochs * steps_per_epoch(config),
    evaluate={"test": splits.test},
    evaluate_every=steps_per_epoch(config),
    log_every=steps_per_epoch(config),
  )


def run(config: Config, lab: Lab) -> Report:
  """Both editions' settings with normalisation, and plain LeNet at its own rate."""
  cases: dict[str, dict[str, Any]] = {
    "BN, rate 1.0": {},
    "BN, rate 0.1": {"optimizer.learning_rate": 0.1, "batch_size": 128},
    "plain, rate 0.9": {"optimizer.learning_rate": 0.9, "batch_norm": False},
  }
  fits = {}
  for name, changes in cases.items():
    case = replace(config, changes)
    fits[name] = lab.fit(name.replace(",", ""), case, training(case, lab.seed))
  # The book's training accuracy is the mean over the last epoch, as the rows have it.
  train = {name: fit.last("train/accuracy") for name, fit in fits.items()}
  row = lambda what, source, ours, bar: Claim("I06", what, source, ours, bar, "%")
  return Report(
    [
      *(
        row(f"{name}: training accuracy of the last epoch", source, train[name], at_least(0.823))
        for name, source in (("BN, rate 1.0", "90.2 %"), ("BN, rate 0.1", "89.9 %"))
      ),
      row(
        "plain LeNet, rate 0.9: training accuracy of the last epoch",
        "82.3 %",
        train["plain, rate 0.9"],
        at_least(0.75),
      ),
      row(
        "training accuracy that normalisation gains, rate 1.0",
        "90.2 - 82.3 = 7.9 points",
        train["BN, rate 1.0"] - train["plain, rate 0.9"],
        at_least(0.02),
      ),
      row(
        "BN, rate 1.0: test accuracy",
        "70.8 % (very noisy)",
        fits["BN, rate 1.0"].last("test/accuracy"),
        at_least(0.708),
      ),
    ],
    [
      Picture(
        f"{split}_accuracy",
        compare_curves(
          {
            name: [[{**row, "step": row["step"] / steps_per_epoch(fit.config)} for row in rows]]
            for name, fit in fits.items()
            for rows in [fit.history]
          },
          f"{split}/accuracy",
          title=f"LeNet with and without batch normalisation, {config.dataset}",
          y=f"{split} accuracy (%)",
          steps_per_epoch=1,
        ),
        caption,
      )
      for split, caption in (
        ("train", "With normalisation LeNet is ahead from the first epoch on."),
        (
          "test",
          "On the test set the running statistics lag behind the weights: at a high rate "
          "the accuracy jumps from epoch to epoch.",
        ),
      )
    ],
  )
