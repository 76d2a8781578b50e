"""Linear regression, or a dense net, on patients' diabetes or on a table of your own (D01).

With --layers=0 the prediction is affine in the features (Dive into Deep Learning, section 3.1);
each further layer has --hidden units with ReLU. Half the squared error is descended by Adam, whose
rate falls linearly to zero. The embedded data are ten measurements of 442 patients and how far the
disease had gone after a year (Efron et al. 2004). --dataset takes csv:PATH and parquet:PATH, whose
last column, or the one behind @, is predicted; `research/data/targets.py` has the rules. Features
and targets are standardised for the training, and errors are told in the target's units.

    python launch.py --experiment=dense_regressor
    python launch.py --experiment=dense_regressor --layers=1 --optimizer.weight_decay=0.01

Expected: 60.2 ± 0.2 on 44 patients over three seeds, within 1 % of least squares, beside 80.7 of
the mean alone; 62.7 with a layer of 50 and that decay at seed 0. Some seconds on two CPU cores.
"""

import jax.numpy as jnp
import numpy as np

import research as ln
from research.data import targets
from research.data.targets import Targets


@ln.pytree_config
class Config:
  """The net, and how it is trained."""

  dataset: str = ln.static(
    targets.DIABETES, "a table", choices=(targets.DIABETES, *ln.sets.OWN_TABLES)
  )
  layers: int = ln.static(0, "hidden layers; 0 is linear regression", at_least=0)
  hidden: int = ln.static(50, "units of each", at_least=1)
  init: ln.Init = ln.nested(ln.Init("he_normal"))
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 0.01, "linear"))
  batch_size: int = ln.static(50, "examples per step", at_least=1)
  epochs: int = ln.static(100, "passes over the training set", at_least=1)


def model(config: Config) -> ln.MLP:
  """The dense net, with one output."""
  return ln.MLP((*[config.hidden] * config.layers, 1), kernel_init=ln.kernel_init(config.init))


def task(config: Config, seed: int) -> ln.Task:
  """The table's rows; its own validation part, where it has one, ranks checkpoints."""
  found = targets.load(config.dataset)
  if found.validation is None:
    return ln.Task(found.train, {"test": found.test})
  return ln.Task(
    found.train, {"validation": found.validation, "test": found.test}, "validation/loss"
  )


training = ln.supervised_training(model, task, loss=ln.squared_error, metrics={})


def least_squares(found: Targets) -> float:
  """Half the mean squared test error of the affine map that fits the training part best."""
  affine = lambda part: np.column_stack([part["image"], np.ones(len(part["image"]))]).astype(float)
  weights, *_ = np.linalg.lstsq(affine(found.train), found.train["target"].astype(float))
  return float(np.mean(np.square(affine(found.test) @ weights - found.test["target"])) / 2)


def report(config: Config, fit: ln.Fit) -> ln.Report:
  """The test error beside the mean's and the closed form's, the curves, and the predictions."""
  found = targets.load(config.dataset)
  net = "linear regression" if config.layers == 0 else f"{config.layers} x {config.hidden} units"
  loss, claim = fit.last("test/loss"), ln.claims("D01")
  in_units = lambda half_square: found.deviation * float(np.sqrt(2 * half_square))
  of_mean = float(np.mean(np.square(found.test["target"])) / 2)
  what = f"{net} on {config.dataset}, root mean squared test error in the target's units"
  claims = [
    claim(
      what, "below the training mean's", in_units(loss), ln.at_most(round(in_units(of_mean), 4))
    )
  ]
  if config.dataset == targets.DIABETES and config.layers == 0:
    ratio = in_units(loss) / in_units(least_squares(found))
    claims += [claim("the same / that of least squares", "1", ratio, ln.within(1, 0.02))]
  curves = ln.learning_curves(
    fit,
    title=f"{net} on {config.dataset}",
    epochs=True,
    log_loss=True,
    caption="Half the squared error in squared deviations of the training targets.",
  )
  return ln.Report(claims, [curves, predictions(config, fit, found)])


def predictions(config: Config, fit: ln.Fit, found: Targets) -> ln.Picture:
  """The test part's targets and predictions, a point for each row."""
  answers = np.asarray(
    ln.predict(model(config), fit.state, {"image": jnp.asarray(found.test["image"])})
  )
  told, true = (
    found.mean + found.deviation * each[:, 0] for each in (answers, found.test["target"])
  )
  ends = np.array([true.min(), true.max()])
  panel = ln.Panel("predicted", {"right": (ends, ends)}, points={"test rows": (true, told)})
  return ln.function_curves(
    [panel],
    title="Predicted and true values",
    x="true",
    panel_inches=(5.0, 4.5),
    caption="Points on the line are predicted rightly.",
    file="predictions",
  )


experiment = ln.single_fit(Config, training, report)
