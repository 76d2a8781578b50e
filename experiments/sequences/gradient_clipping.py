"""Gradients that are cut: by norm, by value, and at every time of their way back (O09).

Dive into Deep Learning, section 9.5, trains a recurrent net of 512 units at a learning rate of 1,
cutting gradients longer than theta = 1; here on a generated text, where nothing is learnt without
the cut. With 128 units it depends on the seed whether the net also trains without. Every entry of
the gradient may be cut instead, at a bound, which turns it. Graves 2013, section 2.1, cuts the
error itself at every time: then nothing explodes on the way back, while in a gradient that is cut
as a whole the last times have nothing left to say. The net is that of `backprop_through_time`.

    python launch.py --experiment=gradient_clipping

Expected: over three seeds, perplexity 2.62 to 2.68 after 300 updates cut by norm, 2.50 to 2.53 cut
by value (with a bound of 0.01 instead of 0.003: 40, seed 1), and more than 1e31 without; about half
a minute on two CPU cores.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

import research as ln
from research.data.text import tasks
from research.figures.functions import errors_through_time
from research.models.vanilla_rnn import Params, back_propagate, error_through_time, init, loss


@ln.pytree_config
class Config:
  """The net, its text and its training."""

  vocabulary: int = ln.static(12, "different letters", at_least=2)
  hidden: int = ln.static(512, "units", at_least=1)
  times: int = ln.static(35, "times through which gradients flow", at_least=2)
  batch: int = ln.static(32, "strands of text", at_least=1)
  updates: int = ln.static(300, "updates with and without clipping", at_least=1)
  rate: float = ln.traced(1.0, "step size", above=0)
  theta: float = ln.traced(1.0, "longest gradient", above=0)
  bound: float = ln.traced(0.003, "largest entry of a gradient that is cut by value", above=0)
  gain: float = ln.traced(1.0, "deviation of the recurrent weights, times sqrt(hidden)", above=0)


def by_norm(gradient: Any, theta: float | Array) -> Any:
  """A gradient of one array or several, its direction kept, no longer than theta."""
  factor = jnp.minimum(1, theta / optax.tree.norm(gradient))
  return jax.tree.map(lambda leaf: factor * leaf, gradient)


def by_value(gradient: Any, bound: float | Array) -> Any:
  """The gradient with every entry in [-bound, bound]; its direction may change."""
  return jax.tree.map(lambda leaf: jnp.clip(leaf, -bound, bound), gradient)


CUTS: dict[str, Callable[[Config, Params], Params]] = {
  "cut by norm": lambda config, gradient: by_norm(gradient, config.theta),
  "cut by value": lambda config, gradient: by_value(gradient, config.bound),
  "not cut": lambda config, gradient: gradient,
}


def train(
  config: Config, params: Params, text: Int[Array, " letters"], cut: str
) -> tuple[Params, tuple[Float[Array, " updates"], Float[Array, " updates"]]]:
  """The last parameters, and perplexity and length of the gradient before every update.

  The segments of an update are drawn by its number.
  """

  def update(p: Params, number: Array) -> tuple[Params, tuple[Array, Array]]:
    key = jax.random.fold_in(jax.random.key(0), number)
    starts = jax.random.randint(key, (config.batch,), 0, len(text) - config.times - 1)
    places = jnp.arange(config.times + 1)[:, None] + starts[None]
    letters = jax.nn.one_hot(text[places], config.vocabulary)
    x, y = letters[:-1], letters[1:]
    value, gradient = loss(p, x, y), back_propagate(p, x, y)
    used = CUTS[cut](config, gradient)
    p = {name: w - config.rate * used[name] for name, w in p.items()}
    return p, (jnp.exp(value), optax.tree.norm(gradient))

  return jax.lax.scan(update, params, jnp.arange(config.updates))


def cut_through_time(config: Config, p: Params, x: Array) -> dict[str, Array]:
  """Lengths of an error that explodes, uncut and cut in three ways, all at theta."""
  whole = error_through_time(p, x)
  value = config.theta / p["b"].size ** 0.5  # a vector of such entries is of length theta
  return {
    "not cut": whole,
    "cut as a whole": by_norm(whole, config.theta),
    "at every time, by norm": error_through_time(p, x, lambda error: by_norm(error, config.theta)),
    "at every time, by value": error_through_time(p, x, lambda error: by_value(error, value)),
  }


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Training with and without a cut, and an error that explodes on its way back."""
  text = jnp.asarray(tasks.two_followers(config.vocabulary, lab.seed))
  sizes = config.vocabulary, config.hidden, config.gain
  with jax.enable_x64(True):
    params = jax.tree.map(lambda w: w.astype(float), init(*sizes, lab.key("check")))
    letters = jax.nn.one_hot(text[: config.times, None], config.vocabulary, dtype=float)
    cuts = cut_through_time(config, params | {"W": 3 * params["W"]}, letters)
  start = init(*sizes, lab.key("training"))
  training = jax.jit(train, static_argnames="cut")
  runs = {cut: jax.device_get(training(config, start, text, cut)[1]) for cut in CUTS}
  norm, value, without = (float(np.mean(perplexity[-20:])) for perplexity, _ in runs.values())
  through_time = errors_through_time(
    cuts,
    title="An exploding error on its way back, cut",
    caption="An error of length 1 at the last time flows back, the recurrent weights times 3. Cut "
    "as a whole, it keeps its shape; else it is cut at every time on its way.",
  )
  claim, end = ln.claims("O09"), "perplexity at the end"
  whole = f"RNN at rate {config.rate:g}, gradients cut at {config.theta:g}: {end}"
  entries = f"the same with entries cut at {config.bound:g}: {end}"
  uncut = f"the same without: {end}, as a multiple of guessing's (1e9 where infinite)"
  thrown = (without if np.isfinite(without) else 1e9) / config.vocabulary
  return ln.Report(
    [
      claim(whole, "trains; 2 is the best", norm, ln.at_most(3.0)),
      claim(entries, "trains (proposed)", value, ln.at_most(3.0)),
      claim(uncut, "diverges", thrown, ln.at_least(1.0)),
    ],
    [clipping(config, runs), through_time],
  )


def clipping(config: Config, runs: dict[str, tuple[np.ndarray, np.ndarray]]) -> ln.Picture:
  """Perplexity and gradient length over the updates."""
  finite = lambda values: np.where(np.isfinite(values), np.asarray(values, np.float64), np.nan)
  numbers = np.arange(config.updates)
  perplexity, length = (
    {name: (numbers, finite(values[which])) for name, values in runs.items()} for which in (0, 1)
  )
  best, theta = {"best": 2}, {"theta": float(config.theta)}
  return ln.function_curves(
    [
      ln.Panel("perplexity", perplexity, log="y", y_range=(1, 1e3), levels=best),
      ln.Panel("length of the gradient", length, log="y", y_range=(0.3, 1e3), levels=theta),
    ],
    title=f"A recurrent net at rate {config.rate:g}",
    x="update",
    caption="Before every update, and before the cut; no perplexity is below 2. A curve ends where "
    "it leaves the panel or is no number.",
    file="clipping",
  )


experiment = ln.Experiment(Config, run)
