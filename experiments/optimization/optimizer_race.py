"""Six optimisers compared on MNIST (O03).

Saito 2016, section 6.1: 784-100x4-10 with ReLU and He's initial weights, 2,000 batches of 128 drawn
with replacement, every optimiser at the book's default rate: 0.01, but 0.001 for Adam. Polyak's
momentum 0.9, Nesterov's, AdaGrad, RMSProp with 0.99; the formulas are in `update_rules`. The book
looks at a batch's loss after learning from it; so do the claims and the figure. SGD is momentum 0,
so the two are lanes of one program.

    python launch.py --experiment=optimizer_race
    python launch.py --experiment=optimizer_race --dataset=fashion_mnist

Expected: SGD last, AdaGrad and Adam first, mean losses of the last 200 batches within 30 % of the
book's; two minutes of one CPU core.
"""

import research as ln
from research.analysis.races import Published, losses_at_end, race_claims, race_curves


@ln.pytree_config
class Config:
  """The book's settings; the optimiser is the members' own."""

  dataset: str = ln.static(
    "mnist", "images or a table", choices=("mnist", "fashion_mnist", *ln.sets.OWN)
  )
  hidden: tuple[int, ...] = ln.static((100,) * 4, "units of the hidden layers", at_least=1)
  init: ln.Init = ln.nested(ln.Init("he_normal"))
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer(name="momentum", learning_rate=0.01))
  batch_size: int = ln.static(128, "examples per step", at_least=1)
  steps: int = ln.static(2000, "updates", at_least=1)
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
SOURCE = {
  "SGD": Published(0.20, 0.936),
  "Momentum": Published(0.067, 0.970),
  "Nesterov": Published(0.057),
  "AdaGrad": Published(0.031, 0.971),
  "RMSProp": Published(0.072),
  "Adam": Published(0.041, 0.974),
}


def model(config: Config) -> ln.MLP:
  """The dense net, with ReLU between its layers and a logit for each class of the data."""
  units = (*config.hidden, ln.sets.spec(config.dataset).classes)
  return ln.MLP(units, kernel_init=ln.kernel_init(config.init))


training = ln.supervised_training(
  model, transform=ln.with_loss_after_update, sampler=ln.sampling.with_replacement
)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The comparison, and what is left of the loss at its end."""
  members = {
    name: ln.replace(config, {f"optimizer.{field}": value for field, value in own.items()})
    for name, own in MEMBERS.items()
  }
  fits = lab.compare("race", members, training, repeats=config.repeats)
  loss = losses_at_end(fits)
  by_loss, claim = sorted(loss, key=loss.__getitem__), ln.claims("O03")
  first = len({"AdaGrad", "Adam"} & {*by_loss[:2]})
  curves = race_curves(fits, title=f"Six optimisers on {config.dataset}", log=True)
  if config.dataset not in ln.sets.names():  # the user's own, about which the book says nothing
    return ln.Report([], [curves])
  return ln.Report(
    [
      *race_claims(claim, fits, SOURCE, loss_slack=0.3, accuracy_slack=0.01),
      claim("place of SGD by that loss, of 6", "last", 1 + by_loss.index("SGD"), ln.equals(6)),
      claim("AdaGrad and Adam among the first two", "both", first, ln.equals(2)),
      claim("parameters", "109,810", fits["Adam"][0].parameters, ln.equals(109_810)),
    ],
    [curves],
  )


experiment = ln.Experiment(Config, run, training, takes=("lanes",))
