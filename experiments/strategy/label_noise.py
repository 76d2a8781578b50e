"""Wrong labels: a net forgives those that are wrong at random, and learns the others (N05).

Ng, "Structuring machine learning projects": deep learning is quite robust to random errors in the
training set, and less to systematic ones. Some labels of MNIST are replaced, either by any other
class, or a share of the fours become nines; the test labels stay right. Each image's chance and its
wrong label are drawn once, so that the share is a traced number and all nets are lanes of one
program.

    python launch.py --experiment=label_noise
    python launch.py --experiment=label_noise --at_random=0.6 --epochs=2

Expected: test errors of 2.6 % with right labels, 3.2 % with 20 % and 5.8 % with 60 % wrong at
random, 12 % when all fours are called nines; two minutes of one CPU core.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

import research as ln

FOUR, NINE = 4, 9
AT_RANDOM = (0.0, 0.05, 0.1, 0.2, 0.4, 0.6)
FOURS = (0.0, 0.25, 0.5, 0.75, 1.0)


@ln.pytree_config
class Config:
  """One net; `run` compares the shares of wrong labels."""

  at_random: float = ln.traced(0.0, "share of labels replaced by any other", at_least=0, at_most=1)
  fours: float = ln.traced(0.0, "share of the fours that are called nines", at_least=0, at_most=1)
  hidden: int = ln.static(100, "hidden units", at_least=1)
  init: ln.Init = ln.nested(ln.Init("he_normal"))
  optimizer: ln.Optimizer = ln.nested(
    ln.Optimizer(name="adam", learning_rate=1e-3, schedule="linear")
  )
  batch_size: int = ln.static(100, "examples per step", at_least=1)
  epochs: int = ln.static(10, "passes over the training images", at_least=1)
  repeats: int = ln.static(3, "nets for each share", at_least=2)


def recall_of_fours(logits: Float[Array, "batch class"], batch: ln.Batch) -> ln.Mean:
  """Share of the fours that are recognised."""
  is_four = (batch["label"] == FOUR).astype(float)
  return ln.Mean(is_four * ln.accuracy(logits, batch), is_four)


def given_labels(config: Config, batch: ln.Batch) -> Int[Array, " batch"]:
  """The labels with their errors; an image's are the same in every epoch."""
  label, chance = batch["label"], batch["chance"]
  label = jnp.where((label == FOUR) & (chance < config.fours), NINE, label)
  return jnp.where(chance < config.at_random, batch["other"], label)


def on_given_labels(plain: ln.Learner) -> ln.Learner:
  """The learner whose step sees the labels that are given."""

  def step(config: Config, state: ln.TrainState, batch: ln.Batch) -> tuple[ln.TrainState, Any]:
    return plain.step(config, state, batch | {"label": given_labels(config, batch)})

  return plain._replace(step=step)


def prone(data: ln.HostData) -> ln.HostData:
  """The set with each image's chance, uniform in [0, 1), and another class than its own."""
  rng = np.random.default_rng(0)
  label = np.asarray(data["label"])
  other = (label + rng.integers(1, 10, len(label))) % 10
  chance = rng.random(len(label), np.float32)
  return {**data, "chance": chance, "other": other.astype(label.dtype)}


def task(config: Config, seed: int) -> ln.Task:
  """All images with what becomes of their labels, judged by right ones."""
  splits = ln.images(config, seed)
  return splits._replace(train=prone(splits.train))


training = ln.supervised_training(
  lambda config: ln.MLP((config.hidden, 10), kernel_init=ln.kernel_init(config.init)),
  task,
  metrics={"accuracy": ln.accuracy, "fours": recall_of_fours},
  transform=on_given_labels,
)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """A net for every share of both kinds of errors; its test accuracies."""
  members = {
    **{f"at random {share}": ln.replace(config, {"at_random": share}) for share in AT_RANDOM},
    **{f"fours {share}": ln.replace(config, {"fours": share}) for share in FOURS[1:]},
  }
  fits = lab.compare("race", members, training, repeats=config.repeats)
  of = lambda metric, name: np.array([fit.last(f"test/{metric}") for fit in fits[name]])
  lost = lambda name: (of("accuracy", "at random 0.0") - of("accuracy", name)).mean()
  nines, half = lost("fours 1.0"), of("fours", "fours 0.5").mean()
  others = ln.at_most(round(of("fours", "at random 0.4").mean(), 4))
  claim = ln.claims("N05", unit="%")
  small = "20 % of the labels wrong at random: test accuracy lost, points"
  large = "all fours called nines, 9.7 % of the labels: test accuracy lost, points"
  more = "less what as many at random (10 %) lose, points"
  unseen = "half of the fours called nines: fours that are recognised"
  return ln.Report(
    [
      claim(small, "small", lost("at random 0.2"), ln.at_most(0.02), "points"),
      claim(large, "large", nines, ln.at_least(0.05), "points"),
      claim(more, "above 0", nines - lost("at random 0.1"), ln.above(0), "points"),
      claim(unseen, "fewer than with 40 % wrong at random", half, others),
    ],
    [errors(config, fits)],
  )


def errors(config: Config, fits: Mapping[str, Sequence[ln.Fit]]) -> ln.Picture:
  """Test errors against the share of all labels that are wrong."""
  fours = np.mean(np.asarray(ln.sets.load("mnist").train["label"]) == FOUR)
  error = lambda name: [100 * (1 - fit.last("test/accuracy")) for fit in fits[name]]
  at_random = [error(f"at random {share}") for share in AT_RANDOM]
  called_nines = [at_random[0], *(error(f"fours {share}") for share in FOURS[1:])]
  return ln.spread_curves(
    {
      "any other class": (100 * np.array(AT_RANDOM), at_random),
      "fours called nines": (100 * fours * np.array(FOURS), called_nines),
    },
    title="Wrong labels",
    x="wrong labels (%)",
    y="test error (%)",
    caption=f"Means of {config.repeats} nets, bars one standard deviation. Either wrong labels are "
    "any other class, or all say the same.",
    file="lost",
  )


experiment = ln.Experiment(Config, run, training, takes=("lanes",))
