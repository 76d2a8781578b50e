"""The networks of Szegedy et al. 2014 on MNIST, and the digits that they are attacked with."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from research.analysis.adversarial import Images, Labels, Logits, nearest_taken_for
from research.batch import inputs_of
from research.config import replace
from research.data import sets
from research.learner import predict
from research.models import szegedy2014
from research.models.szegedy2014 import Row
from research.task import Task, images, supervised_training
from research.training import Fit, Fits, Training, fit_each


class Digits(NamedTuple):
  """Images to attack, their labels, and for each another label that it shall be taken for."""

  images: Images
  labels: Labels
  targets: Labels


def attacked_training(
  networks: Mapping[str, Row], task: Callable[[Any, int], Task] = images
) -> Callable[[Any, int], Training]:
  """The training of the network that the config's `network` names, with its weight decay."""
  return supervised_training(
    lambda config: szegedy2014.network(networks[config.network]),
    task,
    loss=szegedy2014.loss,
    metrics={"accuracy": szegedy2014.right},
    optimizer=szegedy2014.with_penalty(networks),
  )


def fit_networks(
  lab: Fits, config: Any, networks: Mapping[str, Row], training: Callable[[Any, int], Training]
) -> dict[str, Fit]:
  """Trains every network, one after the other; the fits' own names have no brackets or commas."""
  plain = {name: re.sub(r"[(),]", " ", name).strip() for name in networks}
  configs = {plain[name]: replace(config, {"network": name}) for name in networks}
  fits = fit_each(lab, configs, training)
  return {name: fits[plain[name]] for name in networks}


def logits_of(networks: Mapping[str, Row], fit: Fit) -> Logits:
  """The fitted network as a function of images."""
  network = szegedy2014.network(networks[fit.config.network])
  return lambda x: predict(network, fit.state, {"image": x})


def nearest_examples(nets: Mapping[str, Logits], digits: Digits) -> dict[str, Images]:
  """For each net, the nearest images that it takes for the digits' targets."""
  return {
    name: jnp.asarray(nearest_taken_for(net, digits.images, digits.targets))
    for name, net in nets.items()
  }


def first_digits(count: int, key: Key[Array, ""]) -> Digits:
  """The first test images of MNIST; the other labels are drawn."""
  few = {name: jnp.asarray(array[:count]) for name, array in sets.load("mnist").test.items()}
  labels = few["label"]
  targets = (labels + jax.random.randint(key, labels.shape, 1, 10)) % 10
  return Digits(inputs_of(few), labels, targets)
