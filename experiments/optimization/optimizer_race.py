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

LAST = 200  # batches whose losses are averaged at the end


@ln.pytree_config
class Config:
  """The book's settings; the optimiser is the members' own."""

  dataset: str = ln.static("mnist", "images of ten classes", choices=("mnist", "fashion_mnist"))
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
SOURCE = {  # loss; test accuracy where the source has it
  "SGD": (0.20, 0.936),
  "Momentum": (0.067, 0.970),
  "Nesterov": (0.057, None),
  "AdaGrad": (0.031, 0.971),
  "RMSProp": (0.072, None),
  "Adam": (0.041, 0.974),
}


def model(config: Config) -> ln.MLP:
  """The dense net, with ReLU between its layers."""
  return ln.MLP((*config.hidden, 10), kernel_init=ln.kernel_init(config.init))


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
  loss = {name: ln.mean_of_last(fits[name], "train/loss_after", LAST) for name in fits}
  accuracy = {name: ln.mean_of_last(fits[name], "test/accuracy") for name in fits}
  by_loss = sorted(loss, key=loss.__getitem__)
  first = len({"AdaGrad", "Adam"} & {*by_loss[:2]})
  claim, what = ln.claims("O03"), f"mean loss of the last {LAST} batches"
  return ln.Report(
    [
      *(
        claim(f"{name}: {what}", f"{due:g}", loss[name], ln.within_ratio(due, 0.3))
        for name, (due, _) in SOURCE.items()
      ),
      *(
        claim(
          f"{name}: test accuracy", f"{100 * due:.4g} %", accuracy[name], ln.within(due, 0.01), "%"
        )
        for name, (_, due) in SOURCE.items()
        if due is not None
      ),
      claim("place of SGD by that loss, of 6", "last", 1 + by_loss.index("SGD"), ln.equals(6)),
      claim("AdaGrad and Adam among the first two", "both", first, ln.equals(2)),
      claim("parameters", "109,810", fits["Adam"][0].parameters, ln.equals(109_810)),
    ],
    [
      ln.compare_curves(
        fits,
        "train/loss_after",
        title=f"Six optimisers on {config.dataset}",
        y="loss after the update (nats)",
        log=True,
        caption=(
          f"A point is the mean over {config.log_every} batches; lines are means over "
          f"{config.repeats} seeds, bands reach one standard deviation to both sides."
        ),
        file="loss",
      )
    ],
  )


experiment = ln.Experiment(Config, run, training, takes=("lanes",))
