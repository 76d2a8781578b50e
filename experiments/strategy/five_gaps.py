"""Bias, variance, mismatch or an over-used dev set: the largest of four gaps says which (N02, N03).

Ng, "Structuring machine learning projects": between the errors at human level, on the training set,
on the train-dev set, on the dev set and on the test set lie four gaps, and the largest one says
what to do next. Here four projects on MNIST's training images have one fault each, planted: a net
of two hidden units; 300 training images; dev and test images turned by 35 degrees, as no training
image is; 20 dev images, on which 300 random changes of the last layer are tried, one after another,
and those stay that lower the loss. A tenth of all labels is wrong at random, and so that is the
least error. The cures are those that the course names: 100 units; 20,000 images; training images
that are turned too; 5,000 dev images.

    python launch.py --experiment=five_gaps

Expected: every fault is named by all of ten nets, and its cure takes away nearly all of its gap and
leaves the others. Two minutes of one CPU core.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
import scipy.special
from jaxtyping import Array, Float

import research as ln
from research.analysis import error_gaps
from research.analysis.error_gaps import BIAS, MISMATCH, OVERUSED, VARIANCE, Errors
from research.data.planted_faults import turn

CHANGE = 0.1  # standard deviation of what is added to a weight of the last layer


@ln.pytree_config
class Config:
  """One project without a fault; `run` compares it with four that have one."""

  hidden: int = ln.static(100, "hidden units", at_least=1)
  examples: int = ln.static(20_000, "training images", at_least=10, at_most=40_000)
  turned: float = ln.static(0.0, "degrees by which dev and test images are turned")
  train_turned: float = ln.static(0.0, "degrees by which training images are turned")
  wrong: float = ln.static(0.1, "share of wrong labels in all sets", at_least=0, below=1)
  init: ln.Init = ln.nested(ln.Init("he_normal"))
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 1e-3, "linear"))
  batch_size: int = ln.static(100, "examples per step", at_least=1)
  steps: int = ln.static(2000, "updates", at_least=1)
  repeats: int = ln.static(10, "nets of every project", at_least=2)


SOUND, LIKE_DEV = "without a fault", "learns from turned images"
MEMBERS: Mapping[str, Mapping[str, Any]] = {
  SOUND: {},
  BIAS: {"hidden": 2},
  VARIANCE: {"examples": 300},
  MISMATCH: {"turned": 35.0},
  LIKE_DEV: {"turned": 35.0, "train_turned": 35.0},
}


class Project(NamedTuple):
  """A planted fault: the members with and without it, and what the dev set is used for."""

  id: str
  name: str
  faulty: str
  cured: str = SOUND
  dev_examples: int | None = None  # all
  tries: int = 0


PROJECTS = {
  BIAS: Project("N02", "2 hidden units", BIAS),
  VARIANCE: Project("N02", "300 images", VARIANCE),
  MISMATCH: Project("N03", "turned dev images", MISMATCH, LIKE_DEV),
  OVERUSED: Project("N03", "20 dev images", SOUND, dev_examples=20, tries=300),
}


def model(config: Config) -> ln.MLP:
  """The dense net."""
  return ln.MLP((config.hidden, 10), kernel_init=ln.kernel_init(config.init))


def part(data: ln.HostData, degrees: float, wrong: float, rng: np.random.Generator) -> ln.HostData:
  """The images turned, some of them with another class's label."""
  label = np.asarray(data["label"])
  other = (label + rng.integers(1, 10, len(label))) % 10
  is_wrong = rng.random(len(label)) < wrong
  return {
    "image": turn(data["image"], degrees),
    "label": np.where(is_wrong, other, label).astype(np.int32),
  }


def task(config: Config, seed: int) -> ln.Task:
  """The training set, evaluated too, and three more sets of other images."""
  rng, mnist = np.random.default_rng(seed), ln.sets.load("mnist").train
  order = rng.permutation(len(mnist["label"]))
  twelfth = len(order) // 12  # 5,000 images
  train_dev, dev, test, rest = np.split(order, [twelfth, 2 * twelfth, 4 * twelfth])
  of = lambda chosen, degrees: part(
    {name: np.asarray(array)[chosen] for name, array in mnist.items()}, degrees, config.wrong, rng
  )
  train = of(rest[: config.examples], config.train_turned)
  held_out = {"train-dev": of(train_dev, config.train_turned), "dev": of(dev, config.turned)}
  return ln.Task(train, {"train set": train, **held_out, "test": of(test, config.turned)})


training = ln.supervised_training(model, task)


@functools.partial(jax.jit, static_argnames="net")
def hidden(net: ln.MLP, state: ln.TrainState, images: Array) -> Array:
  """Activations of the hidden layer for a whole set."""
  given, variables = ln.inputs_of({"image": images}), {"params": state.params}
  _, held = net.apply(variables, given, capture_intermediates=True, mutable=["intermediates"])
  return nn.relu(held["intermediates"]["Dense_0"]["__call__"][0])


def errors_of(
  config: Config, fit: ln.Fit, dev_examples: int | None, tries: int, rng: np.random.Generator
) -> Errors:
  """A project's five errors, once its last layer was changed as some of the dev images say."""
  kernel, bias = (np.asarray(fit.state.params["Dense_1"][name]) for name in ("kernel", "bias"))
  dev, test = (fit.training.evaluate[name] for name in ("dev", "test"))
  features = lambda data: np.asarray(hidden(model(config), fit.state, data["image"]))
  few = rng.permutation(len(dev["label"]))[:dev_examples]
  of_dev, label = features(dev)[few], dev["label"][few]

  def loss(kernel: Float[np.ndarray, "hidden class"]) -> float:
    scores = scipy.special.log_softmax(of_dev @ kernel + bias, axis=1)
    return -scores[np.arange(len(label)), label].mean()

  for _ in range(tries):
    changed = kernel + CHANGE * rng.normal(size=kernel.shape).astype(np.float32)
    kernel = min(kernel, changed, key=loss)
  wrong = lambda given, label: float(np.mean((given @ kernel + bias).argmax(axis=1) != label))
  train, train_dev = (1 - fit.last(f"{name}/accuracy") for name in ("train set", "train-dev"))
  tuned = wrong(of_dev, label), wrong(features(test), test["label"])
  return Errors(config.wrong, train, train_dev, *tuned)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """All projects, with their faults and cured."""
  members = {name: ln.replace(config, changes) for name, changes in MEMBERS.items()}
  fits = lab.compare("projects", members, training, repeats=config.repeats)

  def errors(member: str, dev_examples: int | None, tries: int) -> list[Errors]:
    own, rng = members[member], np.random.default_rng(lab.seed)
    return [errors_of(own, fit, dev_examples, tries, rng) for fit in fits[member]]

  return report(
    {fault: errors(own.faulty, own.dev_examples, own.tries) for fault, own in PROJECTS.items()},
    {fault: errors(own.cured, None, own.tries) for fault, own in PROJECTS.items()},
  )


def report(
  faulty: Mapping[str, Sequence[Errors]], cured: Mapping[str, Sequence[Errors]]
) -> ln.Report:
  """Counts the nets whose fault is named right; compares all gaps before and after the cure."""
  gaps = lambda errors: error_gaps.gaps(Errors(*np.mean(errors, axis=0)))
  claims: list[ln.Claim] = []
  shown: dict[str, dict[str, float]] = {}
  half = ln.at_most(0.5)
  for fault, (id, name, *_) in PROJECTS.items():
    claim, nets = ln.claims(id), len(faulty[fault])
    right = sum(error_gaps.largest_gap(errors) == fault for errors in faulty[fault])
    before, after = gaps(faulty[fault]), gaps(cured[fault])
    lost = max(before[other] - after[other] for other in error_gaps.GAPS if other != fault)
    shown |= {name: before, f"{name}, cured": after}
    named = f"{name}: the largest gap is the {fault}, of {nets} nets"
    most = f"{name}: points by which another gap shrinks by the cure, at most"
    claims += [
      claim(named, "all", right, ln.equals(nets)),
      claim(f"{name}: gap after the cure / before", "below 1", after[fault] / before[fault], half),
      claim(most, "0", lost, ln.at_most(0.01), "points"),
    ]
  drawn = ln.heat_maps(
    {"": [[100 * found[gap] for gap in error_gaps.GAPS] for found in shown.values()]},
    title="Gaps between the errors of four projects",
    x="gap (points of error)",
    y="project",
    columns=error_gaps.GAPS,
    rows=tuple(shown),
    value_range=(0, 40),
    number=".1f",
    panel_inches=(6.6, 4.4),
    caption="Means over the nets of each project, with its fault and after the cure: the largest "
    "number of a row is what to work on first.",
    file="gaps",
  )
  return ln.Report(claims, [drawn])


experiment = ln.Experiment(Config, run, training, takes=("lanes",))
