"""Three rules for initial weights compared on MNIST (I03).

Saito 2016, section 6.2.4 (the notes' figure 5.6): 784-100x4-10 with ReLU, SGD with rate 0.01, 2,000
batches of 128 drawn with replacement. With deviation 0.01 the signal, and so every gradient, is
lost on the way: the net says what it said before, ln 10. The book's Xavier rule, 1/sqrt(fan-in),
learns; He's, that times sqrt(2), learns faster. `weight_initializers` has the other rules.

The book looks at a batch's loss after learning from it, which at this rate is a tenth less than
before; the claims and the figure are of that loss.

    python launch.py --experiment=init_race
    python launch.py --experiment=init_race --dataset=fashion_mnist --activation=tanh

Expected: mean losses of the last 200 batches 2.30, 0.29-0.30 and 0.20 within 10 %; about 20 seconds
on two CPU cores. On Fashion-MNIST, of which the book says nothing, 2.30, 0.48 and 0.40.
"""

import math

import jax
import numpy as np

import research as ln
from research.analysis.signals import ACTIVATIONS

LAST = 200  # batches whose losses are averaged at the end


@ln.pytree_config
class Config:
  """The book's settings; the initial weights are the members' own."""

  dataset: str = ln.static("mnist", "images of ten classes", choices=("mnist", "fashion_mnist"))
  activation: str = ln.static("ReLU", "of the hidden layers", choices=tuple(ACTIVATIONS))
  hidden: tuple[int, ...] = ln.static((100,) * 4, "units of the hidden layers", at_least=1)
  init: ln.Init = ln.nested(ln.Init("lecun_normal"))
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer(name="sgd", learning_rate=0.01))
  batch_size: int = ln.static(128, "examples per step", at_least=1)
  iterations: int = ln.static(2000, "updates", at_least=1)
  log_every: int = ln.static(20, "updates in a row of the log", at_least=1)
  repeats: int = ln.static(3, "seeds of every member", at_least=1)


MEMBERS = {  # He's rule is the book's Xavier times the root of 2, so that both are one program
  "std 0.01": {"init.name": "normal", "init.scale": 0.01},
  "Xavier": {"init.name": "lecun_normal", "init.scale": 1.0},
  "He": {"init.name": "lecun_normal", "init.scale": math.sqrt(2)},
}
SOURCE = {  # loss and the words for it, test accuracy
  "std 0.01": (2.301, "2.301, ln 10 = 2.303", 0.1135),
  "Xavier": (0.295, "0.29-0.30", 0.914),
  "He": (0.20, "0.20", 0.935),
}

learner = ln.with_loss_after_update(
  ln.supervised(
    lambda config: ln.MLP(
      (*config.hidden, 10), ACTIVATIONS[config.activation], ln.kernel_init(config.init)
    ),
    ln.softmax_cross_entropy,
    lambda config: ln.sets.spec(config.dataset).image_shape,
    lambda config: ln.make_optimizer(config.optimizer, config.iterations),
  )
)


def training(config: Config, seed: int) -> ln.Training:
  """All images to learn from; the test images are looked at before and after."""
  splits = ln.sets.load(config.dataset)
  return ln.Training(
    learner,
    splits.train,
    ln.sampling.with_replacement(config.batch_size),
    steps=config.iterations,
    evaluate={"test": splits.test},
    evaluate_every=config.iterations,
    log_every=config.log_every,
  )


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The comparison, and what is left of the loss at its end."""
  members = {name: ln.replace(config, init) for name, init in MEMBERS.items()}
  fits = lab.compare("race", members, training, repeats=config.repeats)
  losses = {name: last_loss(repeats) for name, repeats in fits.items()}
  accuracies = {
    name: float(np.mean([fit.last("test/accuracy") for fit in repeats]))
    for name, repeats in fits.items()
  }
  row = lambda what, source, ours, bar, unit="": ln.Claim("I03", what, source, ours, bar, unit)
  is_the_books = (config.dataset, config.activation) == ("mnist", "ReLU")
  source = SOURCE if is_the_books else {}
  return ln.Report(
    [
      *(
        row(
          f"{name}: mean loss of the last {LAST} batches",
          words,
          losses[name],
          ln.within_ratio(loss, 0.1),
        )
        for name, (loss, words, _) in source.items()
      ),
      *(
        row(
          f"{name}: test accuracy",
          f"{100 * accuracy:.4g} %",
          accuracies[name],
          ln.within(accuracy, 0.015),
          "%",
        )
        for name, (_, _, accuracy) in source.items()
      ),
      row(
        "loss of He / of Xavier",
        "below 1: He's rule is faster",
        losses["He"] / losses["Xavier"],
        ln.at_most(0.9),
      ),
      row(
        "parameters",
        "109,810",
        sum(leaf.size for leaf in jax.tree.leaves(fits["He"][0].state.params)),
        ln.equals(109_810),
      ),
    ],
    [
      ln.compare_curves(
        fits,
        "train/loss_after",
        title=f"Three rules for initial weights, {config.activation}, {config.dataset}",
        y="loss after the update (nats)",
        caption=(
          "The book's figure 5.6: with deviation 0.01 nothing is learned; He's rule is ahead of "
          f"Xavier's from the first batches on. A point is the mean over {config.log_every} "
          "batches; "
          f"lines are means over {config.repeats} seeds, bands reach one standard deviation "
          "to both "
          "sides."
        ),
        file="loss",
      )
    ],
  )


def last_loss(repeats: list[ln.Fit]) -> float:
  """Mean training loss at the end, over batches and seeds."""
  late = [
    row["train/loss_after"]
    for fit in repeats
    for row in fit.history
    if row["step"] > fit.history[-1]["step"] - LAST and row["step"]
  ]
  return float(np.mean(late))


experiment = ln.Experiment(Config, run, training)
