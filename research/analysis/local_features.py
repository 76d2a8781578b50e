"""Measurements on the deep auto-encoder of local filters: its best neurons, and its parts."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AbstractMesh, AxisType
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from research.analysis.gradient_check import relative_difference
from research.analysis.single_neurons import Best, best_neuron
from research.batch import by_parts
from research.data.lone_objects import Objects
from research.flops import inner_programs
from research.layers.location_axis import LOCATION_AXIS
from research.models.local_autoencoder import LocalAutoencoder, cost_by_location, sparse_cost

Images = Float[Array, "image row column channel"]
BLOCK = 250  # images looked at together


def neurons(
  model: LocalAutoencoder, params: Any
) -> Callable[[Images], list[Float[Array, "image neuron"]]]:
  """The responses of all neurons to images, by stage: filters, then pools, then normalised."""

  params = jax.tree.map(jnp.asarray, params)  # those of a fit are on the host

  def of(images: Images) -> list[Array]:
    stages = model.apply({"params": params}, images).responses
    flat = lambda x: x.reshape(-1, len(images)).T
    return [jnp.concatenate([flat(x) for x in stage], axis=1) for stage in stages]

  return of


def response(
  model: LocalAutoencoder, params: Any, stage: int, neuron: int
) -> Callable[[Images], Float[Array, " image"]]:
  """The responses of one neuron of a stage to images."""
  of = neurons(model, params)
  return jax.jit(lambda images: of(images)[stage][:, neuron])


def best_by_stage(
  model: LocalAutoencoder,
  params: Any,
  objects: Objects,
  inputs: Callable[[ArrayLike], Images],
) -> list[Best]:
  """The best neuron of each stage."""
  of = neurons(model, params)
  responses = by_parts(jax.jit(lambda image: of(inputs(image))), objects.image, BLOCK)
  return [best_neuron(stage, objects.is_class) for stage in responses]


def best_filter(
  templates: ArrayLike,
  objects: Objects,
  inputs: Callable[[ArrayLike], Images],
  is_contrast_equal: bool = False,
) -> Best:
  """The best of some linear filters, each an image less its mean, of either sign.

  Where `is_contrast_equal`, of correlations: images and filters have equal means and lengths.
  """
  look = lambda x: of_equal_contrast(inputs(x)) if is_contrast_equal else inputs(x)
  filters = look(templates)
  filters = filters.reshape(len(filters), -1)
  filters = filters - filters.mean(axis=1, keepdims=True)
  of = jax.jit(lambda image: look(image).reshape(len(image), -1) @ filters.T)
  responses = by_parts(of, objects.image, BLOCK)
  signs = (best_neuron(sign * responses, objects.is_class) for sign in (1, -1))
  return max(signs, key=lambda best: best.chosen)


def of_equal_contrast(images: Images) -> Images:
  """The images less their means, of length 1."""
  images = images - images.mean(axis=(1, 2, 3), keepdims=True)
  lengths = jnp.sqrt(jnp.square(images).sum(axis=(1, 2, 3), keepdims=True))
  return images / jnp.maximum(lengths, 1e-6)


def cost_in_parts(
  model: LocalAutoencoder, parts: int, params: Any, images: Images, lambda_: float
) -> Float[Array, ""]:
  """The mean cost with the rows of locations shared out: the parts are rows of one `vmap`.

  Raises ValueError where the parts do not divide the rows of a stage.
  """
  split = lambda x, axis: jnp.stack(jnp.split(x, parts, axis))
  own = lambda params, x: sparse_cost(model.apply({"params": params}, x, train=True), lambda_)
  shares = jax.tree.map(lambda leaf: split(leaf, 0), params), split(images, 1)
  return jax.vmap(own, axis_name=LOCATION_AXIS)(*shares).sum(axis=0).mean()


def error_in_parts(model: LocalAutoencoder, parts: int, params: Any, images: Images) -> float:
  """The largest error of the gradient in parts, over the largest entry of the gradient.

  In double precision, where rounding is far below any mistake.
  """
  with jax.enable_x64(True):
    params, images = jax.tree.map(lambda x: jnp.asarray(np.asarray(x), float), (params, images))
    of = lambda parts: jax.jit(
      jax.grad(lambda params: cost_in_parts(model, parts, params, images, 0.1))
    )(params)
    return relative_difference(of(1), of(parts))


def border_bytes(model: LocalAutoencoder, parts: int, params: Any, images: Images) -> int:
  """The bytes that a device between two others sends in a step, in the gradient of its cost.

  Found by adding up what the program's permutations between devices move.
  """
  kinds = (AxisType.Auto,)
  mesh = AbstractMesh((parts,), (LOCATION_AXIS,), axis_types=kinds)
  gradient = jax.grad(cost_by_location(model, mesh))
  return _permuted(jax.make_jaxpr(gradient)(params, images, 0.1).jaxpr)


def _permuted(program: Any) -> int:
  moved = 0
  for equation in program.eqns:
    if equation.primitive.name == "ppermute":
      moved += sum(x.aval.size * x.aval.dtype.itemsize for x in equation.invars)
    moved += sum(map(_permuted, inner_programs(equation.params)))
  return moved
