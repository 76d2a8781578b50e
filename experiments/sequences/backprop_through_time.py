"""Back-propagation through time by hand: a recurrent net by the notes' equations (S02).

The notes' equations 3.1 to 3.4: a = b + W h + U x, h = tanh(a), o = c + V h, softmax(o).
Back-propagation through time adds every later time's part: d a_t = (V' d o_t + W' d a_(t+1)) * (1 -
h_t^2). So each time multiplies an error on its way back by W' and tanh', which is at most 1: with
small weights it dies, with large ones it explodes. `gradient_clipping` trains this net.

    python launch.py --experiment=backprop_through_time

Expected: the gradient equals JAX's to 1e-12 in float64; a few seconds.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

import research as ln
from research.data.text import tasks

Params = dict[str, Array]


@ln.pytree_config
class Config:
  """The net and its text."""

  vocabulary: int = ln.static(12, "different letters", at_least=2)
  hidden: int = ln.static(512, "units", at_least=1)
  times: int = ln.static(35, "times through which gradients flow", at_least=2)
  gain: float = ln.traced(1.0, "deviation of the recurrent weights, times sqrt(hidden)", above=0)


def init(config: Any, key: Key[Array, ""]) -> Params:
  """Normal weights; zero biases. The config has `vocabulary`, `hidden` and `gain`."""
  u, w, v = jax.random.split(key, 3)
  normal = lambda key, rows, columns, deviation: deviation * jax.random.normal(key, (rows, columns))
  return {
    "U": normal(u, config.hidden, config.vocabulary, 0.3),
    "W": normal(w, config.hidden, config.hidden, config.gain / config.hidden**0.5),
    "V": normal(v, config.vocabulary, config.hidden, 0.1),
    "b": jnp.zeros(config.hidden),
    "c": jnp.zeros(config.vocabulary),
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


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The gradient by hand in float64, and the error's way back under three sizes of weights."""
  text = jnp.asarray(tasks.two_followers(config.vocabulary, lab.seed))
  with jax.enable_x64(True):
    params = jax.tree.map(lambda w: w.astype(float), init(config, lab.key("check")))
    letters = jax.nn.one_hot(text[: config.times + 1, None], config.vocabulary, dtype=float)
    by_hand = back_propagate(params, letters[:-1], letters[1:])
    by_jax = jax.grad(loss)(params, letters[:-1], letters[1:])
    length = jnp.linalg.norm
    error = max(
      float(length(by_hand[name] - by_jax[name]) / length(by_jax[name])) for name in by_jax
    )
    flows = {
      f"recurrent weights times {factor:g}": error_through_time(
        params | {"W": factor * params["W"]}, letters[:-1]
      )
      for factor in (0.5, 1, 3)
    }
  claim = ln.claims("S02")
  what = "back-propagation through time by hand against jax.grad, float64, worst |a-b|/|b|"
  return ln.Report(
    [claim(what, "equal", error, ln.at_most(1e-12))],
    [through_time(flows), tanh_and_slope()],
  )


def through_time(flows: dict[str, Array]) -> ln.Picture:
  """Length of the error over time."""
  curves = {name: (np.arange(len(flow)), np.asarray(flow)) for name, flow in flows.items()}
  return ln.function_curves(
    [ln.Panel("length of the error", curves, log="y")],
    title="The error on its way back through time",
    x="time",
    panel_inches=(5.2, 4.0),
    caption="An error of length 1 at the last time flows back through the same text. Each time "
    "multiplies it by W' and tanh'.",
    file="through_time",
  )


def tanh_and_slope() -> ln.Picture:
  """The activation, and what it multiplies errors by."""
  x = np.linspace(-4, 4, 161)
  curves = {"tanh(a)": (x, np.tanh(x)), "its derivative 1 - tanh(a)^2": (x, 1 - np.tanh(x) ** 2)}
  return ln.function_curves(
    [ln.Panel("value", curves)],
    title="tanh and its derivative",
    x="a",
    caption="The slope is 1 at zero and falls fast: a saturated unit passes next to nothing back.",
    file="tanh",
  )


experiment = ln.Experiment(Config, run)
