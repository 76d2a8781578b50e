"""Rows of an image that is spread over devices by location.

Where every device holds some of the rows, all in order, the mapped axis is called `LOCATION_AXIS`.
What lies beyond a device's own rows comes from its neighbours, and nothing else moves. Without that
axis all rows are here, and zeros lie beyond them, as they do beyond the first and the last device.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

LOCATION_AXIS = "location"

Rows = Float[Array, " row *rest"]


def with_borders(x: Rows, above: int, below: int) -> Float[Array, " wider_row *rest"]:
  """The rows between `above` rows before them and `below` rows behind them."""
  try:
    devices = jax.lax.axis_size(LOCATION_AXIS)
  except NameError:  # jax's word for "no axis of that name here"
    return jnp.pad(x, [(above, below), *[(0, 0)] * (x.ndim - 1)])
  before = _neighbours(x[::-1], above, devices, 1)[::-1]
  return jnp.concatenate([before, x, _neighbours(x, below, devices, -1)])


def _neighbours(x: Rows, count: int, devices: int, step: int) -> Float[Array, " border *rest"]:
  """The first rows of the devices `step`, 2 `step`, ... before this one; zeros beyond the ends."""
  parts, distance = [x[:0]], step
  while count > 0:
    # A ring, since under vmap every device must get something; what went round is zeroed. Where
    # a border is wider than a device's rows, the next but one sends too.
    pairs = [(i, (i + distance) % devices) for i in range(devices)]
    received = jax.lax.ppermute(x[:count], LOCATION_AXIS, pairs)
    sender = jax.lax.axis_index(LOCATION_AXIS) - distance
    parts.append(jnp.where((sender >= 0) & (sender < devices), received, 0))
    count, distance = count - len(x), distance + step
  return jnp.concatenate(parts)
