"""A restricted Boltzmann machine finds features of MNIST without labels (U03).

Hinton 2010, "A practical guide to training restricted Boltzmann machines": 784 visible and 500
hidden units, one step of contrastive divergence, batches of 100, momentum 0.5 and after five epochs
0.9, weight cost 0.0002, first visible biases from the pixels' means. A softmax layer then learns
the classes from the hidden units' chances, from the pixels, and from as many random features (the
same machine with its weights in a random order). The free energy of training and of test images
stays close as long as nothing is learnt by heart (the guide, section 6). There is no data set of
one's own: a visible unit is on or off, with the brightness of a pixel on a black ground for its
chance, which pictures in general and the columns of a table are not.

    python launch.py --experiment=rbm_features

Expected: 4.4 % test error on the features, 7.6 % on the pixels, 8.7 % on random features;
75 seconds of one CPU core.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import research as ln
from research.energy import contrastive, rbm
from research.energy.contrastive import Contrastive
from research.energy.greedy_layers import hidden_chances
from research.energy.rbm import Rbm


@ln.pytree_config
class Softmax:
  """Settings of the softmax layer."""

  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 1e-3, "linear"))
  batch_size: int = ln.static(100, "examples per step", at_least=1)
  epochs: int = ln.static(10, "passes over the images", at_least=1)


@ln.pytree_config
class Config:
  """The guide's settings; of the classifier, ours."""

  dataset: str = ln.static(
    "mnist", "images of ten classes", choices=("mnist", "fashion_mnist", "digits")
  )
  machine: Contrastive = ln.nested(Contrastive())
  batch_size: int = ln.static(100, "examples per step", at_least=1)
  epochs: int = ln.static(10, "passes over the images", at_least=1)
  steady: int = ln.static(5, "epochs from which on the momentum is the later one", at_least=0)
  classifier: Softmax = ln.nested(Softmax())


def unlabelled(config: Config, seed: int) -> ln.Task:
  """Images without their labels; those that are learned from are evaluated too."""
  splits = ln.sets.load(config.dataset)
  train, test = ({"image": split["image"]} for split in (splits.train, splits.test))
  return ln.Task(train, {"train set": train, "test": test})


training = contrastive.contrastive_training(
  unlabelled,
  lambda config: contrastive.pixel_log_odds(ln.sets.load(config.dataset).train["image"]),
)


def softmax_layer(config: Config, features: Rbm | None) -> ln.Training:
  """Learns the classes from the machine's hidden units, or without one from the pixels."""

  def seen(split: ln.HostData) -> ln.HostData:
    image = split["image"].reshape(len(split["image"]), -1)
    return {**split, "image": hidden_chances(features, image) if features else image}

  splits = ln.sets.load(config.dataset)
  task = ln.Task(seen(splits.train), {"test": seen(splits.test)})
  make = ln.supervised_training(lambda config: ln.MLP((10,)), lambda config, seed: task)
  return make(config.classifier, 0)


def shuffled(learnt: Rbm, key: Array) -> Rbm:
  """The machine with each unit's weights at random places."""
  order = jax.random.permutation(key, jnp.asarray(learnt.weights), axis=0, independent=True)
  return Rbm(order, *jax.tree.map(jnp.asarray, learnt[1:]))


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The machine, then three softmax layers."""
  fit = lab.fit("train", config, training(config, lab.seed))
  learnt = contrastive.learnt(fit)
  mixed, errors = shuffled(learnt, lab.key("shuffled")), {}
  for name, by in (("features", learnt), ("random features", mixed), ("pixels", None)):
    layer = lab.fit(name, config.classifier, softmax_layer(config, by))
    errors[name] = round(1 - layer.last("test/accuracy"), 4)
  gap = fit.last("test/free_energy") - fit.last("train set/free_energy")
  claim, error = ln.claims("U03"), ln.claims("U03", unit="%")
  features, no_worse = errors["features"], ln.at_least(errors["features"])
  pixel = (
    f"{config.dataset}, mean squared error of a pixel after {config.epochs} epochs, from "
    "sampled hidden units"
  )
  free = "free energy of test less that of training images (nats)"
  claims = [
    claim(pixel, "0.0110", fit.last("train/loss"), ln.at_most(0.013)),
    error("softmax on the features: test error", "5.55 %", features, ln.at_most(0.06)),
    error("softmax on the pixels", "7.72 %", errors["pixels"], no_worse),
    error("softmax on random features", "9.79 %", errors["random features"], no_worse),
    claim(free, "near 0 unless over-fitted", gap, ln.within(0, 5)),
  ]
  shape = (*ln.sets.spec(config.dataset).image_shape, -1)
  kernels = lambda machine: np.asarray(machine.weights)[:, :100].reshape(shape)
  montage = ln.filter_montage(
    {"at first": kernels(fit.initial().rbm), "learnt": kernels(learnt)},
    title="What 100 hidden units look for",
    shared_scale=False,
    caption="Weights of the first 100 hidden units, before and after learning.",
    file="features",
  )
  pictures = [montage, reconstructions(config, learnt), errors_and_free_energies(fit)]
  return ln.Report(claims, pictures)


def reconstructions(config: Config, learnt: Rbm) -> ln.Picture:
  """Ten test images, and their reconstructions."""
  images = ln.inputs_of({"image": jnp.asarray(ln.sets.load(config.dataset).test["image"][:10])})
  keys = jax.random.split(jax.random.key(0), len(images))
  again = rbm.reconstruction(learnt, images.reshape(len(images), -1), keys).reshape(images.shape)
  return ln.image_grid(
    np.concatenate([images, again]),
    title="Images and their reconstructions",
    value_range=(0, 1),
    caption="Test images (above) and what the machine makes of its own sampled hidden units.",
    file="reconstructions",
  )


def errors_and_free_energies(fit: ln.Fit) -> ln.Picture:
  """Error and difference of free energies over the epochs."""
  sets = ("train set", "test")
  of = lambda metric: {name: ln.series(fit, f"{name}/{metric}", epochs=True) for name in sets}
  (epochs, train), (_, test) = of("free_energy").values()
  return ln.function_curves(
    [
      ln.Panel("squared error of a pixel", of("loss"), log="y"),
      ln.Panel("free energy, test less train set (nats)", {"difference": (epochs, test - train)}),
    ],
    title="Contrastive divergence",
    x="epoch",
    caption="A difference that grows would tell of over-fitting.",
    file="curves",
  )


experiment = ln.Experiment(Config, run, training)
