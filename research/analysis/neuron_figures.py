"""Figures of a neuron that is to know a class: how well, in spite of what, and what it likes."""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, UInt8

from research.analysis.single_neurons import Best, optimal_stimulus
from research.batch import by_parts
from research.data import sets
from research.data.lone_objects import placed
from research.data.planted_faults import turn
from research.figures.functions import Panel, function_curves
from research.figures.image_grids import image_grid
from research.report import Picture

BLOCK = 250  # images looked at together
DIGITS = 200  # that are changed
SIZE, CANVAS = 20, 32  # pixels along a side of an object's image and of all
SHIFTS, SIZES, ANGLES = np.arange(-8, 9), np.arange(10, 33, 2), np.arange(-90, 91, 15)

Responses = Callable[[Array], Float[Array, " image"]]


def accuracies(found: Mapping[str, Sequence[Best]], linear: Best) -> Picture:
  """The accuracy of the best neuron of every stage of some nets, and of the best linear filter."""
  curves = {
    net: (np.arange(1, len(bests) + 1), np.array([100 * best.accuracy for best in bests]))
    for net, bests in found.items()
  }
  return function_curves(
    [Panel("accuracy (%)", curves, levels={"linear filter": 100 * linear.accuracy})],
    title="The best neuron of every stage",
    x="stage",
    caption="Neuron and threshold are chosen on half of the test images, and tested on the others.",
    file="accuracies",
  )


def invariance(digit: int, response: Responses, threshold: float) -> Picture:
  """The share of test digits with a response above the threshold, moved, scaled and turned."""
  mnist = sets.load("mnist").test
  images = mnist["image"][mnist["label"] == digit][:DIGITS, ..., 0]

  def yes(size: int = SIZE, right: int = 0, down: int = 0, degrees: float = 0) -> float:
    turned = turn(images[..., None], degrees)[..., 0]
    place = np.tile(np.array([down, right]) + (CANVAS - size) // 2, (len(images), 1))
    shown = placed(turned, np.full(len(images), size), place, CANVAS)
    return 100 * float(np.mean(by_parts(response, shown, BLOCK) > threshold))

  name = "images with a yes (%)"
  across = np.array([yes(right=int(shift)) for shift in SHIFTS])
  down = np.array([yes(down=int(shift)) for shift in SHIFTS])
  by_size = np.array([yes(size=int(size)) for size in SIZES])
  by_angle = np.array([yes(degrees=float(angle)) for angle in ANGLES])
  return function_curves(
    [
      Panel(name, {"across": (SHIFTS, across), "down": (SHIFTS, down)}, x="moved by (pixels)"),
      Panel(name, {"scaled": (SIZES, by_size)}, x="size (pixels)"),
      Panel(name, {"turned": (ANGLES, by_angle)}, x="turned by (degrees)"),
    ],
    title="Invariance of the best neuron",
    share_y=True,
    caption=f"{len(images)} test digits, {SIZE} pixels wide and in the middle but for one change "
    "each.",
    file="invariance",
  )


def stimulus(
  response: Callable[[Array], Float[Array, " image"]],
  inputs: Callable[[ArrayLike], Array],
  images: UInt8[np.ndarray, "image row column 1"],
) -> Picture:
  """The input that excites a neuron most, of the images' mean length, and nine that excite it.

  `response` is of the network's inputs, which `inputs` makes of bytes. The ascent begins at the
  mean of the nine.
  """
  best = np.argsort(-by_parts(lambda image: response(inputs(image)), images, BLOCK))[:9]
  lengths = jnp.linalg.norm(inputs(images).reshape(len(images), -1), axis=1)
  ascend = jax.jit(lambda x, norm: optimal_stimulus(lambda x: response(x[None])[0], x, norm))
  start = inputs(images[best]).mean(axis=0)
  found = np.asarray(ascend(start, lengths.mean()))
  return image_grid(
    np.concatenate([found[None] / np.abs(found).max() / 2 + 0.5, images[best] / 255]),
    title="The optimal stimulus of the best neuron, and the best images",
    value_range=(0, 1),
    caption="First the best input of an image's length, by gradient ascent from the mean of the "
    f"others (grey is zero), then the nine of {len(images):,} test images with the largest "
    "responses.",
    file="stimulus",
  )
