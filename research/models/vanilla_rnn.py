"""A recurrent net by its equations, and its gradient by back-propagation through time, by hand.

Elman 1990: a = b + W h + U x, h = tanh(a), o = c + V h, softmax(o). The
gradient adds every later time's part: d a_t = (V' d o_t + W' d a_(t+1)) * (1 - h_t^2).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

Params = dict[str, Array]


def init(vocabulary: int, hidden: int, gain: float | Array, key: Key[Array, ""]) -> Params:
  """Normal weights, the recurrent ones of deviation gain / sqrt(hidden); zero biases."""
  u, w, v = jax.random.split(key, 3)
  normal = lambda key, rows, columns, deviation: deviation * jax.random.normal(key, (rows, columns))
  return {
    "U": normal(u, hidden, vocabulary, 0.3),
    "W": normal(w, hidden, hidden, gain / hidden**0.5),
    "V": normal(v, vocabulary, hidden, 0.1),
    "b": jnp.zeros(hidden),
    "c": jnp.zeros(vocabulary),
  }


def forward(p: Params, x: Float[Array, "time batch vocabulary"]) -> tuple[Array, Array]:
  """Hidden states and log-probabilities at all times, from a state of zero."""

  def step(h: Array, x_t: Array) -> tuple[Array, tuple[Array, Array]]:
    h = jnp.tanh(p["b"][None] + h @ p["W"].T + x_t @ p["U"].T)  # 3.1, 3.2
    return h, (h, jax.nn.log_softmax(p["c"][None] + h @ p["V"].T))  # 3.3, 3.4

  zero = jnp.zeros((x.shape[1], len(p["b"])), x.dtype)
  return jax.lax.scan(step, zero, x)[1]


def loss(p: Params, x: Array, y: Float[Array, "time batch vocabulary"]) -> Float[Array, ""]:
  """Mean negative log-likelihood in nats of the one-hot letters y."""
  return -jnp.mean(jnp.sum(y * forward(p, x)[1], axis=-1))


def back_propagate(p: Params, x: Array, y: Array) -> Params:
  """The loss's gradient by hand."""
  h, log_probabilities = forward(p, x)
  d_o = (jnp.exp(log_probabilities) - y) / (x.shape[0] * x.shape[1])

  def step(from_later: Array, at: tuple[Array, Array]) -> tuple[Array, Array]:
    h_t, d_o_t = at
    d_a = (d_o_t @ p["V"] + from_later) * (1 - h_t**2)
    return d_a @ p["W"], d_a

  _, d_a = jax.lax.scan(step, jnp.zeros_like(h[0]), (h, d_o), reverse=True)
  before = jnp.concatenate([jnp.zeros_like(h[:1]), h[:-1]])
  over_time = lambda a, b: jnp.einsum("tbi,tbj->ij", a, b)
  return {
    "U": over_time(d_a, x),
    "W": over_time(d_a, before),
    "V": over_time(d_o, h),
    "b": d_a.sum(axis=(0, 1)),
    "c": d_o.sum(axis=(0, 1)),
  }


def error_through_time(
  p: Params, x: Array, cut: Callable[[Array], Array] = lambda error: error
) -> Float[Array, " time"]:
  """Length at every time of an error that enters at the last one with length 1, cut at each."""
  h, _ = forward(p, x)

  def step(error: Array, h_t: Array) -> tuple[Array, Array]:
    error = cut(error)
    return (error * (1 - h_t**2)) @ p["W"], jnp.linalg.norm(error)

  start = jnp.full_like(h[0], h[0].size ** -0.5)
  return jax.lax.scan(step, start, h, reverse=True)[1]
