"""Equal initial weights are equal for ever: a layer of 16 units that is worth one (I01).

Ng, course 1 week 3, and Saito 2016, section 6.2.1: units of one layer that begin with equal weights
get equal gradients, so that they never come to differ. With zeros and sigmoid units the weight
matrix keeps rank 1; with zeros and ReLU nothing but the last biases moves at all. Any draw breaks
the symmetry.

    python launch.py --experiment=symmetry

Expected: 1 distinct unit of 16 (zero, constant), 16 (normal); about 15 seconds on two CPU cores.
"""

from typing import Any

import jax
import numpy as np
from jaxtyping import Float

import research as ln


@ln.pytree_config
class Config:
  """A net with one hidden layer on the embedded digits; `run` sets the rule and the activation."""

  init: ln.Init = ln.nested(ln.Init("normal", 0.1))
  activation: str = ln.static("sigmoid", "of the hidden layer", choices=("sigmoid", "relu"))
  constant: float = ln.traced(0.1, "initial weight of the constant case", above=0)
  hidden: int = ln.static(16, "hidden units", at_least=2)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer(name="sgd", learning_rate=0.5))
  batch_size: int = ln.static(100, "examples per step", at_least=1)
  epochs: int = ln.static(40, "passes over the training set", at_least=1)


def model(config: Config) -> ln.MLP:
  """One hidden layer."""
  activation = getattr(jax.nn, config.activation)
  return ln.MLP((config.hidden, 10), activation, ln.kernel_init(config.init))


def digits(config: Config, seed: int) -> ln.Task:
  """The embedded digits."""
  splits = ln.sets.load("digits")
  return ln.Task(splits.train, {"test": splits.test})


training = ln.supervised_training(model, digits)


def hidden_weights(fit: ln.Fit) -> Float[np.ndarray, "pixels hidden"]:
  """The first layer's weights after training."""
  return np.asarray(fit.state.params["Dense_0"]["kernel"])


def distinct_units(weights: Float[np.ndarray, "pixels hidden"]) -> int:
  """Columns that differ by more than rounding: 1e-4 of the largest weight."""
  coarse = np.round(weights / max(float(np.abs(weights).max()), 1e-30), 4)
  return len(np.unique(coarse, axis=1).T)


def rank(weights: Float[np.ndarray, "pixels hidden"]) -> int:
  """Singular values above 1e-4 of the largest."""
  return int(np.linalg.matrix_rank(weights, rtol=1e-4)) if weights.any() else 0


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Four nets that differ in their first weights, or in their activation."""
  cases: dict[str, dict[str, Any]] = {
    "zeros": {"init.name": "zeros"},
    "constant": {"init.name": "constant", "init.scale": config.constant},
    "normal": {},
    "zeros-relu": {"init.name": "zeros", "activation": "relu"},
  }
  configs = {name: ln.replace(config, changes) for name, changes in cases.items()}
  fits = ln.fit_each(lab, configs, training)
  weights = {name: hidden_weights(fit) for name, fit in fits.items()}
  largest = np.abs(weights["zeros-relu"]).max()
  size = fits["zeros"].training.data["image"].shape[1:3]
  gained = fits["normal"].last("test/accuracy") - fits["zeros"].last("test/accuracy")
  claim, still = ln.claims("I01"), "zeros, ReLU: largest hidden weight after training"
  broken = "test accuracy that broken symmetry gains over zeros"
  return ln.Report(
    [
      *(
        claim(f"{name}, sigmoid: {what}", str(due), of(weights[name]), ln.equals(due))
        for name, due in (("zeros", 1), ("constant", 1), ("normal", config.hidden))
        for what, of in (
          (f"distinct hidden units of {config.hidden}", distinct_units),
          ("rank of the hidden weights after training", rank),
        )
      ),
      claim(still, "0: nothing moves", largest, ln.equals(0)),
      claim(broken, "much", gained, ln.at_least(0.5), "points"),
    ],
    [
      ln.image_grid(
        np.concatenate([weights[name].T.reshape(-1, *size) for name in ("zeros", "normal")]),
        title="What the hidden units look at",
        columns=config.hidden,
        note="above: from zeros; below: from normal weights",
        caption="A square shows the weights of a hidden unit by its pixels, after training.",
        file="hidden_units",
      ),
      ln.compare_curves(
        fits,
        "test/accuracy",
        title="Equal and unequal first weights",
        y="test accuracy (%)",
        epochs=True,
        caption="A line is one net, named by its first weights.",
        file="accuracy",
      ),
    ],
  )


experiment = ln.Experiment(Config, run, training)
