"""Softmax regression, or a dense net, on the digits or on a table or images of your own (D02).

With --layers=0 the logits are linear in the inputs (Dive into Deep Learning, section 4.4); each
further layer has --hidden units with ReLU. Adam's rate falls linearly to zero. --dataset takes
csv:PATH and parquet:PATH, whose last column is the label, and images as folder:PATH, npz:PATH and
idx:PATH; `research/data/own.py` has the rules.

    python launch.py --experiment=dense_classifier
    python launch.py --experiment=dense_classifier --layers=2 --hidden=64

Expected: 96.3 +- 0.4 % on the digits' 360 test images over three seeds, and 98.1 % with two layers
of 64 at seed 0; some seconds on two CPU cores.
"""

import research as ln


@ln.pytree_config
class Config:
  """The net, and how it is trained."""

  dataset: str = ln.static(
    "digits",
    "a table or images",
    choices=(*ln.sets.names(), *ln.sets.OWN),
  )
  layers: int = ln.static(0, "hidden layers; 0 is softmax regression", at_least=0)
  hidden: int = ln.static(100, "units of each", at_least=1)
  init: ln.Init = ln.nested(ln.Init("he_normal"))
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 0.01, "linear"))
  batch_size: int = ln.static(50, "examples per step", at_least=1)
  epochs: int = ln.static(30, "passes over the training set", at_least=1)


def model(config: Config) -> ln.MLP:
  """The dense net, with a logit for each class of the data."""
  classes = ln.sets.spec(config.dataset).classes
  return ln.MLP(
    (*[config.hidden] * config.layers, classes), kernel_init=ln.kernel_init(config.init)
  )


training = ln.supervised_training(model)


def report(config: Config, fit: ln.Fit) -> ln.Report:
  """The test accuracy after the last step, the curves, and which classes are confused."""
  net = "softmax regression" if config.layers == 0 else f"{config.layers} x {config.hidden} units"
  what = f"{net} on {config.dataset}, test accuracy after {config.epochs} epochs"
  chance = round(1 / ln.sets.spec(config.dataset).classes, 4)
  is_digits = config.dataset == "digits"
  source, bar = ("none for this set", 0.94) if is_digits else ("chance", chance)
  claim = ln.claims("D02", unit="%")(what, source, fit.last("test/accuracy"), ln.at_least(bar))
  curves = ln.learning_curves(
    fit,
    title=f"{net} on {config.dataset}",
    epochs=True,
    log_loss=True,
    caption="Training curves are means over the epoch, test curves are taken at its end.",
  )
  title = "Test examples by class and answer"
  return ln.Report([claim], [curves, ln.confusion(fit, model(config), title=title)])


experiment = ln.single_fit(Config, training, report)
