"""States as flat dictionaries of arrays on the host, the form in which they are stored."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

State = Any


def to_host(state: State) -> dict[str, np.ndarray]:
  """Copies every leaf of a state to the host, by name; typed keys become their data."""
  leaves = jax.tree_util.tree_leaves_with_path(state)
  device_arrays = [jax.random.key_data(leaf) if _is_key(leaf) else leaf for _, leaf in leaves]
  # np.array copies: on a CPU the fetched array may share the buffer that the next step overwrites.
  host_arrays = [np.array(array) for array in jax.device_get(device_arrays)]
  names = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]
  return dict(zip(names, host_arrays, strict=True))


def from_host(arrays: dict[str, np.ndarray], template: State) -> State:
  """Returns the state in the template's form (of `jax.eval_shape`), leaves on the host.

  Raises:
    ValueError: when names, shapes or types differ from the template's, naming the first difference.
  """
  leaves = []
  paths, structure = jax.tree_util.tree_flatten_with_path(template)
  for path, wanted in paths:
    name = jax.tree_util.keystr(path, simple=True, separator="/")
    data = jax.eval_shape(jax.random.key_data, wanted) if _is_key(wanted) else wanted
    if 0 in data.shape:  # Orbax does not keep arrays without elements
      leaf = np.zeros(data.shape, data.dtype)
    elif name not in arrays:
      raise ValueError(f"the checkpoint has no {name!r}")
    else:
      leaf = arrays[name]
    if leaf.shape != data.shape:
      raise ValueError(f"{name!r} has shape {leaf.shape}, and {data.shape} is needed")
    if leaf.dtype != data.dtype:
      raise ValueError(f"{name!r} is of type {leaf.dtype}, and {data.dtype} is needed")
    leaves.append(_as_key(leaf, wanted) if _is_key(wanted) else leaf)
  return jax.tree_util.tree_unflatten(structure, leaves)


def _is_key(leaf: Any) -> bool:
  return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _as_key(data: np.ndarray, wanted: Any) -> jax.Array:
  implementation = jax.random.key_impl(jnp.empty((), wanted.dtype))
  return jax.random.wrap_key_data(jnp.asarray(data), impl=implementation)
