"""The test of the best neuron: does any one of many know a class that it was never told of?

Le et al. 2012, section 5: a neuron says "yes" above a threshold, and the best of all neurons with
its best threshold is told by its accuracy. There both were chosen on the images of the test; here
they are chosen on half of the images and tested on the other half.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

BLOCK = 512  # neurons looked at together; it bounds the memory


class Best(NamedTuple):
  """The neuron that was chosen.

  Attributes:
    neuron: its number.
    threshold: above which it says yes.
    chosen: its accuracy on the images on which it was chosen.
    accuracy: that on the others.
  """

  neuron: int
  threshold: float
  chosen: float
  accuracy: float


def best_neuron(
  responses: Float[np.ndarray, "image neuron"], is_class: Bool[np.ndarray, " image"]
) -> Best:
  """Chooses neuron and threshold on the first half of the images, and tests them on the second."""
  half = len(is_class) // 2
  found = [
    (*_best_threshold(column, is_class[:half]), first)
    for first in range(0, responses.shape[1], BLOCK)
    for column in [responses[:half, first : first + BLOCK]]
  ]
  chosen, threshold, number, first = max(found)
  neuron = first + number
  accuracy = accuracy_of(responses[half:, neuron], threshold, is_class[half:])
  return Best(neuron, threshold, chosen, accuracy)


def accuracy_of(
  response: Float[np.ndarray, " image"], threshold: float, is_class: Bool[np.ndarray, " image"]
) -> float:
  """The share of the images for which the neuron says what is so."""
  return float(np.mean((response > threshold) == is_class))


def _best_threshold(
  responses: Float[np.ndarray, "image neuron"], is_class: Bool[np.ndarray, " image"]
) -> tuple[float, float, int]:
  """Accuracy, threshold and number of the best of some neurons.

  The threshold lies in the middle between two responses, or is the largest one.
  """
  images = len(is_class)
  order = np.argsort(responses, axis=0)
  ordered = np.take_along_axis(responses, order, axis=0)
  # Where the n lowest are called no: all of the class right at first, then what is lost and won.
  right = is_class.sum() + np.cumsum(np.where(is_class[order], -1, 1), axis=0)
  is_last = np.ones(responses.shape, bool)
  is_last[:-1] = ordered[1:] > ordered[:-1]  # equal responses are called the same
  right = np.where(is_last, right, -1)
  place, number = map(int, np.unravel_index(np.argmax(right), right.shape))
  below = ordered[place, number]
  above = ordered[min(place + 1, images - 1), number]
  middle = below + (above - below) / 2
  threshold = middle if middle < above else below
  return float(right[place, number] / images), float(threshold), number


def optimal_stimulus(
  response: Callable[[Array], Float[Array, ""]],
  start: Float[Array, "..."],
  norm: float,
  steps: int = 200,
  rate: float = 0.05,
) -> Float[Array, "..."]:
  """The input of a length that excites a neuron most, by gradient ascent on the sphere.

  The paper's equation: the largest response to x with ||x|| = norm. Each step goes `rate` times the
  norm along the gradient's direction, and back onto the sphere.

  Args:
    response: of the neuron to an input.
    start: the first input, of any length but 0.
    norm: the length.
    steps: of the ascent.
    rate: of a step, which falls linearly to zero.
  """
  onto = lambda x: norm * x / jnp.maximum(jnp.linalg.norm(x.ravel()), 1e-12)

  def step(x: Array, number: Array) -> tuple[Array, None]:
    slope = onto(jax.grad(response)(x))
    return onto(x + rate * (1 - number / steps) * slope), None

  return jax.lax.scan(step, onto(start), jnp.arange(steps))[0]
