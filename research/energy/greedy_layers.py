"""Boltzmann machines learnt one on top of the other: the beginning of deep belief nets."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from research.batch import by_parts
from research.config import nested, pytree_config, replace, static
from research.energy import contrastive, rbm
from research.energy.contrastive import Contrastive, contrastive_training
from research.energy.rbm import Rbm
from research.task import Task
from research.training import Fits, HostData, Training


@pytree_config
class Greedy:
  """The machines, from the images upwards."""

  units: tuple[int, ...] = static((500, 500), "hidden units of the machines", at_least=1)
  machine: Contrastive = nested(Contrastive())
  epochs: int = static(10, "passes over the images, for each machine", at_least=1)
  steady: int = static(5, "epochs from which on the momentum is the later one", at_least=0)
  batch_size: int = static(100, "examples per step", at_least=1)


def greedy_layers(lab: Fits, config: Greedy, images: np.ndarray, prefix: str = "") -> list[Rbm]:
  """The machines; each learns what those below make of the images (Hinton et al. 2006, section 4).

  Args:
    lab: keeps a fit for each, "layer 1" and so on.
    config: of all.
    images: bytes, [image, ...].
    prefix: of the fits' names.
  """
  data: HostData = {"image": images}
  odds = contrastive.pixel_log_odds(images)
  machines: list[Rbm] = []
  for layer, units in enumerate(config.units):
    biases = jnp.zeros(config.units[layer - 1]) if layer else odds
    own = replace(config, {"machine.hidden": units})
    fit = lab.fit(f"{prefix}layer {layer + 1}", own, _training(own, data, biases))
    machines.append(contrastive.learnt(fit))
    if layer + 1 < len(config.units):
      data = {"image": hidden_chances(machines[-1], data["image"])}
  return machines


def hidden_chances(
  machine: Rbm, images: np.ndarray, block: int = 1000
) -> Float[np.ndarray, "image hidden"]:
  """P(h = 1 | image) for a whole set."""
  chances = jax.jit(lambda images: rbm.hidden_chance(machine, contrastive.flat({"image": images})))
  return by_parts(chances, images, block)


def _training(config: Greedy, data: HostData, biases: Float[Array, " visible"]) -> Training:
  return contrastive_training(lambda config, seed: Task(data, {}), lambda config: biases)(config, 0)
