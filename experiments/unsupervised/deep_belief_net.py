"""A deep belief net: layers learnt one after the other, then back-propagation (U04).

Hinton, Osindero and Teh 2006, "A fast learning algorithm for deep belief nets", and Hinton and
Salakhutdinov 2006: a restricted Boltzmann machine learns the images, a second one the first one's
hidden units, and so on. Their weights and hidden biases begin a net of sigmoid units, a softmax
layer goes on top, and the whole is trained by back-propagation. Beside it the same net begins at
random (Glorot). With few labels the gain is greatest, for what the images look like was learnt
without any.

    python launch.py --experiment=deep_belief_net
    python launch.py --experiment=deep_belief_net --layers.units=500,500,2000 --epochs=50 \\
      --optimizer.name=adam --optimizer.learning_rate=0.001 --optimizer.schedule=linear

Expected: test errors of 8.8 % with 1,000 labels (14.2 % from random weights) and 3.2 % with all
(7.7 %); three minutes of one CPU core. The second command, Hinton's net, gave 7.74 % (13.35 %) and
1.24 % (1.61 %) with seed 0, where he has 1.2 % (1.6 %); 23 minutes of a core that others shared.
"""

from collections.abc import Sequence

from flax import linen

import research as ln
from research.energy.greedy_layers import Greedy, greedy_layers
from research.energy.rbm import Rbm
from research.learner_transforms import begun


@ln.pytree_config
class Config:
  """The measured settings of the small net; Hinton's net is the docstring's second command."""

  layers: Greedy = ln.nested(Greedy())
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("sgd", 0.1))  # of back-propagation
  epochs: int = ln.static(10, "passes over all labelled images", at_least=1)
  few: int = ln.static(1000, "labelled images of the small set", at_least=10, at_most=60_000)
  few_epochs: int = ln.static(1000, "passes over them", at_least=1)
  batch_size: int = ln.static(100, "examples per step", at_least=1)


def classifier(steps: int) -> ln.Learner:
  """The net of sigmoid units under a softmax, begun at random."""
  glorot = ln.initializer("xavier_normal")
  return ln.supervised(
    lambda config: ln.MLP((*config.layers.units, 10), linen.sigmoid, glorot),
    ln.softmax_cross_entropy,
    lambda config: ln.sets.spec("mnist").image_shape,
    lambda config: ln.make_optimizer(config.optimizer, steps),
  )


def begun_with(learner: ln.Learner, machines: Sequence[Rbm]) -> ln.Learner:
  """The learner whose hidden layers begin as machines."""

  def change(config: Config, state: ln.TrainState) -> ln.TrainState:
    layers = {
      f"Dense_{number}": {"kernel": machine.weights, "bias": machine.hidden}
      for number, machine in enumerate(machines)
    }
    return state._replace(params=state.params | layers)

  return begun(learner, change)


def tuning(config: Config, labels: str, machines: Sequence[Rbm] | None) -> ln.Training:
  """Back-propagation, with all labels or with few; from the machines, or from random weights."""
  splits, is_few = ln.sets.load("mnist"), labels == "few"
  train = {name: array[: config.few if is_few else None] for name, array in splits.train.items()}
  epochs = config.few_epochs if is_few else config.epochs
  epoch = max(1, len(train["label"]) // config.batch_size)
  steps, every = epochs * epoch, max(1, epochs // 20) * epoch
  learner = classifier(steps) if machines is None else begun_with(classifier(steps), machines)
  sampler = ln.sampling.by_epoch(config.batch_size)
  return ln.Training(learner, train, sampler, steps, {"test": splits.test}, every, every)


# Test errors by hidden units and labels: pre-trained, and from random weights.
SOURCES = {
  ((500, 500), "few"): (0.1255, "16.76 % at random"),
  ((500, 500), "all"): (0.0528, "7.83 % at random"),
  ((500, 500, 2000), "all"): (0.012, "1.6 % at random"),
}


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The machines, then four nets: few labels and all, from the machines and from random weights."""
  machines = greedy_layers(lab, config.layers, ln.sets.load("mnist").train["image"])
  fits = {
    (labels, begin): lab.fit(f"{labels} labels {begin}", config, tuning(config, labels, start))
    for labels in ("few", "all")
    for begin, start in (("pre-trained", machines), ("random", None))
  }
  errors = {key: round(1 - fit.last("test/accuracy"), 4) for key, fit in fits.items()}
  net = "-".join(map(str, (784, *config.layers.units, 10)))
  claim, claims = ln.claims("U04", unit="%"), []
  counts = {"few": f"{config.few:,} labels", "all": f"all labels, {config.epochs} epochs"}
  for labels, least in (("few", 0.02), ("all", 0)):
    trained, random = errors[labels, "pre-trained"], errors[labels, "random"]
    error, at_random = SOURCES.get((config.layers.units, labels), (None, "none"))
    if error:
      what, bar = f"{net}, {counts[labels]}: test error of the pre-trained net", ln.at_most(error)
      claims.append(claim(what, f"{100 * error:.4g} %", trained, bar))
    what = f"{net}, {counts[labels]}: random less pre-trained, points"
    claims.append(claim(what, at_random, random - trained, ln.above(least), "points"))
  return ln.Report(claims, [test_errors(fits, {"few": counts["few"], "all": "all labels"})])


def test_errors(fits: dict[tuple[str, str], ln.Fit], titles: dict[str, str]) -> ln.Picture:
  """Test errors while the nets are trained, a panel for few labels and one for all."""
  panels = []
  for labels, title in titles.items():
    curves = {}
    for begin in ("pre-trained", "random"):
      steps, accuracy = ln.series(fits[labels, begin], "test/accuracy")
      curves[begin] = (steps, 100 * (1 - accuracy))
    panels.append(ln.Panel("test error (%)", curves, title, log="y"))
  return ln.function_curves(
    panels,
    title="MNIST, from learnt and from random weights",
    x="step",
    caption="Pre-trained: hidden layers that begin as Boltzmann machines, learnt without labels.",
    file="errors",
  )


experiment = ln.Experiment(Config, run)
