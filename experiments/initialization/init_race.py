"""Three rules for initial weights compared on MNIST (I03).

Saito 2016, section 6.2.4: 784-100x4-10 with ReLU, SGD with rate 0.01, 2,000 batches of 128 drawn
with replacement. With deviation 0.01 the signal, and so every gradient, is lost on the way: the net
says what it said before, ln 10. The book's Xavier rule, 1/sqrt(fan-in), learns; He's, that times
sqrt(2), learns faster. `weight_initializers` has the other rules.

The book looks at a batch's loss after learning from it, which at this rate is a tenth less than
before; the claims and the figure are of that loss.

    python launch.py --experiment=init_race
    python launch.py --experiment=init_race --dataset=fashion_mnist --activation=tanh

Expected: mean losses of the last 200 batches 2.30, 0.29-0.30 and 0.20 within 10 %; about 20 seconds
on two CPU cores. On Fashion-MNIST, of which the book says nothing, 2.30, 0.48 and 0.40.
"""

import math

import research as ln
from research.analysis.races import Published, losses_at_end, race_claims, race_curves
from research.analysis.signals import ACTIVATIONS


@ln.pytree_config
class Config:
  """The book's settings; the initial weights are the members' own."""

  dataset: str = ln.static(
    "mnist", "images or a table", choices=("mnist", "fashion_mnist", *ln.sets.OWN)
  )
  activation: str = ln.static("ReLU", "of the hidden layers", choices=tuple(ACTIVATIONS))
  hidden: tuple[int, ...] = ln.static((100,) * 4, "units of the hidden layers", at_least=1)
  init: ln.Init = ln.nested(ln.Init("lecun_normal"))
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer(name="sgd", learning_rate=0.01))
  batch_size: int = ln.static(128, "examples per step", at_least=1)
  steps: int = ln.static(2000, "updates", at_least=1)
  log_every: int = ln.static(20, "updates in a row of the log", at_least=1)
  repeats: int = ln.static(3, "seeds of every member", at_least=1)


MEMBERS = {  # He's rule is the book's Xavier times the root of 2, so that both are one program
  "std 0.01": {"init.name": "normal", "init.scale": 0.01},
  "Xavier": {"init.name": "lecun_normal", "init.scale": 1.0},
  "He": {"init.name": "lecun_normal", "init.scale": math.sqrt(2)},
}
SOURCE = {
  "std 0.01": Published(2.301, 0.1135, "2.301, ln 10 = 2.303"),
  "Xavier": Published(0.295, 0.914, "0.29-0.30"),
  "He": Published(0.20, 0.935, "0.20"),
}


def model(config: Config) -> ln.MLP:
  """The dense net, with a logit for each class of the data; biases begin at zero."""
  units = (*config.hidden, ln.sets.spec(config.dataset).classes)
  return ln.MLP(units, ACTIVATIONS[config.activation], ln.kernel_init(config.init))


training = ln.supervised_training(
  model, transform=ln.with_loss_after_update, sampler=ln.sampling.with_replacement
)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The comparison, and what is left of the loss at its end."""
  members = {name: ln.replace(config, init) for name, init in MEMBERS.items()}
  fits = lab.compare("race", members, training, repeats=config.repeats)
  loss, is_the_books = losses_at_end(fits), (config.dataset, config.activation) == ("mnist", "ReLU")
  source = SOURCE if is_the_books else {}
  claim, faster = ln.claims("I03"), "below 1: He's rule is faster"
  claims = [
    *race_claims(claim, fits, source, loss_slack=0.1, accuracy_slack=0.015),
    claim("loss of He / of Xavier", faster, loss["He"] / loss["Xavier"], ln.at_most(0.9)),
    claim("parameters", "109,810", fits["He"][0].parameters, ln.equals(109_810)),
  ]
  return ln.Report(
    claims if config.dataset in ln.sets.names() else [],  # of the user's own nothing is published
    [
      race_curves(
        fits,
        title=f"Three rules for initial weights, {config.activation}, {config.dataset}",
        caption="The book's figure 5.6.",
      )
    ],
  )


experiment = ln.Experiment(Config, run, training, takes=("lanes",))
