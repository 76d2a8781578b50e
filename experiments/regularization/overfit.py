"""Over-fitting on purpose: 300 digits learned by heart (R01).

Saito 2016, section 6.4.1: the first 300 images of MNIST, a net of seven layers (six of 100 ReLU
units, He's initial weights, 130,010 parameters), SGD with learning rate 0.01, 201 epochs of batches
of 100 drawn with replacement. Three seeds, as lanes of one program.

    python launch.py --experiment=overfit

Expected: 100 % on the training set, 75.6 to 75.9 % on the test set (the book's code; ours: see
RESULTS.md); about 20 seconds on two CPU cores.
"""

import jax
import numpy as np

import research as ln


@ln.pytree_config
class Config:
  """The book's settings."""

  examples: int = ln.static(300, "training images, the first of MNIST", at_least=1, at_most=60_000)
  hidden: tuple[int, ...] = ln.static((100,) * 6, "units of the hidden layers", at_least=1)
  init: ln.Init = ln.nested(ln.Init("he_normal"))
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer(name="sgd", learning_rate=0.01))
  batch_size: int = ln.static(100, "examples per step", at_least=1)
  epochs: int = ln.static(201, "passes over the training images", at_least=1)
  repeats: int = ln.static(3, "seeds", at_least=1)


training = ln.supervised_training(
  lambda config: ln.MLP((*config.hidden, 10), jax.nn.relu, ln.kernel_init(config.init)),
  ln.with_train_set(ln.images),
  sampler=ln.sampling.with_replacement,
)


def first_epoch_above(fit: ln.Fit, bar: float) -> float:
  """The first epoch whose training accuracy is above the bar; one more than all where none is."""
  evaluated = [row["train set/accuracy"] for row in fit.history if "train set/accuracy" in row]
  return next((i for i, value in enumerate(evaluated) if value >= bar), len(evaluated))


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Both accuracies, and what lies between; means over the seeds."""
  fits = lab.compare("race", {"net": config}, training, repeats=config.repeats)["net"]
  train, test = (ln.mean_of_last(fits, f"{split}/accuracy") for split in ("train set", "test"))
  first = np.mean([first_epoch_above(fit, 0.99) for fit in fits])
  claim, count = ln.claims("R01", unit="%"), ln.claims("R01")
  return ln.Report(
    [
      claim(f"accuracy on the {config.examples} training images", "100 %", train, ln.equals(1)),
      claim("accuracy on the test set", "75.6-75.9 %", test, ln.within(0.7575, 0.02)),
      claim(
        "training less test accuracy", "24 points", train - test, ln.within(0.24, 0.02), "points"
      ),
      count("first epoch with 99 % of the training images", "about 100", first, ln.within(100, 30)),
      count("parameters", "130,010", fits[0].parameters, ln.equals(130_010)),
    ],
    [
      ln.split_panels(
        {"": fits},
        ("train set", "test"),
        title=f"{config.examples} images learned by heart",
        caption=(
          "The book's figure 5.10: accuracy on the training images and on the test set. Means over "
          f"{config.repeats} seeds, in bands of one standard deviation to both sides."
        ),
        file="overfitting",
      )
    ],
  )


experiment = ln.Experiment(Config, run, training, takes=("lanes",))
