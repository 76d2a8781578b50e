"""Six optimisers compared on MNIST (O03).

Saito 2016, section 6.1: 784-100x4-10 with ReLU and He's
initial weights, 2,000 batches of 128 drawn with replacement, every optimiser at the book's default
rate: 0.01, but 0.001 for Adam. Polyak's momentum 0.9, Nesterov's, AdaGrad, RMSProp with 0.99; the
formulas are in `update_rules`. The book looks at a batch's loss after learning from it; so do the
claims and the figure. SGD is momentum 0, so the two are lanes of one program.

    python launch.py --experiment=optimizer_race
    python launch.py --experiment=optimizer_race --dataset=fashion_mnist

Expected: SGD last, AdaGrad and Adam first, mean losses of the last 200 batches within 30 % of the
book's; two minutes of one CPU core.
"""

import jax
import numpy as np

import research as ln

LAST = 200  # batches whose losses are averaged at the end


@ln.pytree_config
class Config:
  """The book's settings; the optimiser is the members' own."""

  dataset: str = ln.static("mnist", "images of ten classes", choices=("mnist", "fashion_mnist"))
  hidden: tuple[int, ...] = ln.static((100,) * 4, "units of the hidden layers", at_least=1)
  init: ln.Init = ln.nested(ln.Init("he_normal"))
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer(name="momentum", learning_rate=0.01))
  batch_size: int = ln.static(128, "examples per step", at_least=1)
  iterations: int = ln.static(2000, "updates", at_least=1)
  log_every: int = ln.static(20, "updates in a row of the log", at_least=1)
  repeats: int = ln.static(3, "seeds of every member", at_least=1)


MEMBERS = {
  "SGD": {"name": "momentum", "momentum": 0.0},
  "Momentum": {"name": "momentum", "momentum": 0.9},
  "Nesterov": {"name": "nesterov", "momentum": 0.9},
  "AdaGrad": {"name": "adagrad", "epsilon": 1e-7},
  "RMSProp": {"name": "rmsprop", "beta2": 0.99, "epsilon": 1e-7},
  "Adam": {"name": "adam", "learning_rate": 0.001},
}
SOURCE = {  # loss; test accuracy where the source has it
  "SGD": (0.20, 0.936),
  "Momentum": (0.067, 0.970),
  "Nesterov": (0.057, None),
  "AdaGrad": (0.031, 0.971),
  "RMSProp": (0.072, None),
  "Adam": (0.041, 0.974),
}

learner = ln.with_loss_after_update(
  ln.supervised(
    lambda config: ln.MLP((*config.hidden, 10), kernel_init=ln.kernel_init(config.init)),
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
  members = {
    name: ln.replace(config, {f"optimizer.{field}": value for field, value in own.items()})
    for name, own in MEMBERS.items()
  }
  fits = lab.compare("race", members, training, repeats=config.repeats)
  losses = {name: last_loss(repeats) for name, repeats in fits.items()}
  accuracies = {
    name: float(np.mean([fit.last("test/accuracy") for fit in repeats]))
    for name, repeats in fits.items()
  }
  by_loss = sorted(losses, key=losses.__getitem__)
  row = lambda what, source, ours, bar, unit="": ln.Claim("O03", what, source, ours, bar, unit)
  return ln.Report(
    [
      *(
        row(
          f"{name}: mean loss of the last {LAST} batches",
          f"{loss:g}",
          losses[name],
          ln.within_ratio(loss, 0.3),
        )
        for name, (loss, _) in SOURCE.items()
      ),
      *(
        row(
          f"{name}: test accuracy",
          f"{100 * accuracy:.4g} %",
          accuracies[name],
          ln.within(accuracy, 0.01),
          "%",
        )
        for name, (_, accuracy) in SOURCE.items()
        if accuracy is not None
      ),
      row("place of SGD by that loss, of 6", "last", 1 + by_loss.index("SGD"), ln.equals(6)),
      row(
        "AdaGrad and Adam among the first two",
        "both",
        len({"AdaGrad", "Adam"} & {*by_loss[:2]}),
        ln.equals(2),
      ),
      row(
        "parameters",
        "109,810",
        sum(leaf.size for leaf in jax.tree.leaves(fits["Adam"][0].state.params)),
        ln.equals(109_810),
      ),
    ],
    [
      ln.compare_curves(
        fits,
        "train/loss_after",
        title=f"Six optimisers on {config.dataset}",
        y="loss after the update (nats)",
        log=True,
        caption=(
          "SGD is behind all others soon after the start, where RMSProp at this rate overshoots. A "
          f"point is the mean over {config.log_every} batches; lines are means over "
          f"{config.repeats} "
          "seeds, bands reach one standard deviation to both sides."
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
