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

import research as ln
from research.models.lenet import LeNet


@ln.pytree_config
class Config:
  """One net; `run` compares three."""

  dataset: str = ln.static(
    "fashion_mnist", "images of ten classes", choices=("mnist", "fashion_mnist")
  )
  batch_norm: bool = ln.static(True, "normalise every layer but the last")
  init: ln.Init = ln.nested(ln.Init("xavier_uniform"))
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer(name="sgd", learning_rate=1.0))
  batch_size: int = ln.static(256, "examples per step", at_least=2)
  epochs: int = ln.static(10, "passes over the training set", at_least=1)


def steps_per_epoch(config: Config) -> int:
  """Batches that hold every training image once."""
  return math.ceil(ln.sets.spec(config.dataset).train_size / config.batch_size)


learner = ln.supervised(
  lambda config: LeNet(kernel_init=ln.kernel_init(config.init), batch_norm=config.batch_norm),
  ln.softmax_cross_entropy,
  lambda config: ln.sets.spec(config.dataset).image_shape,
  lambda config: ln.make_optimizer(config.optimizer, config.epochs * steps_per_epoch(config)),
)


def training(config: Config, seed: int) -> ln.Training:
  """One net, looked at after every epoch."""
  splits = ln.sets.load(config.dataset)
  return ln.Training(
    learner,
    splits.train,
    ln.sampling.by_epoch(config.batch_size),
    steps=config.epochs * steps_per_epoch(config),
    evaluate={"test": splits.test},
    evaluate_every=steps_per_epoch(config),
    log_every=steps_per_epoch(config),
  )


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Both editions' settings with normalisation, and plain LeNet at its own rate."""
  cases: dict[str, dict[str, Any]] = {
    "BN, rate 1.0": {},
    "BN, rate 0.1": {"optimizer.learning_rate": 0.1, "batch_size": 128},
    "plain, rate 0.9": {"optimizer.learning_rate": 0.9, "batch_norm": False},
  }
  fits = {}
  for name, changes in cases.items():
    case = ln.replace(config, changes)
    fits[name] = lab.fit(name.replace(",", ""), case, training(case, lab.seed))
  # The book's training accuracy is the mean over the last epoch, as the rows have it.
  train = {name: fit.last("train/accuracy") for name, fit in fits.items()}
  row = lambda what, source, ours, bar: ln.Claim("I06", what, source, ours, bar, "%")
  return ln.Report(
    [
      *(
        row(f"{name}: training accuracy of the last epoch", source, train[name], ln.at_least(0.823))
        for name, source in (("BN, rate 1.0", "90.2 %"), ("BN, rate 0.1", "89.9 %"))
      ),
      row(
        "plain LeNet, rate 0.9: training accuracy of the last epoch",
        "82.3 %",
        train["plain, rate 0.9"],
        ln.at_least(0.75),
      ),
      row(
        "training accuracy that normalisation gains, rate 1.0",
        "90.2 - 82.3 = 7.9 points",
        train["BN, rate 1.0"] - train["plain, rate 0.9"],
        ln.at_least(0.02),
      ),
      row(
        "BN, rate 1.0: test accuracy",
        "70.8 % (very noisy)",
        fits["BN, rate 1.0"].last("test/accuracy"),
        ln.at_least(0.708),
      ),
    ],
    [
      ln.compare_curves(
        fits,
        f"{split}/accuracy",
        title=f"LeNet with and without batch normalisation, {config.dataset}",
        y=f"{split} accuracy (%)",
        epochs=True,
        caption=caption,
        file=f"{split}_accuracy",
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


experiment = ln.Experiment(Config, run, training)
