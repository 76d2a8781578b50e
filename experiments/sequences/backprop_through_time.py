"""Back-propagation through time by hand: a recurrent net by its equations (S02).

Elman 1990: a = b + W h + U x, h = tanh(a), o = c + V h, softmax(o). Back-propagation through time
(`research/models/vanilla_rnn.py`) adds every later time's part: d a_t = (V' d o_t + W' d a_(t+1)) *
(1 - h_t^2). So each time multiplies an error on its way back by W' and by tanh', which is at most
1: with small weights it dies, with large ones it explodes. `gradient_clipping` trains this net.

    python launch.py --experiment=backprop_through_time

Expected: the gradient equals JAX's to 1e-12 in float64; a few seconds.
"""

import jax
import jax.numpy as jnp
import numpy as np

import research as ln
from research.data.text import tasks
from research.figures.functions import errors_through_time
from research.models.vanilla_rnn import back_propagate, error_through_time, init, loss


@ln.pytree_config
class Config:
  """The net and its text."""

  vocabulary: int = ln.static(12, "different letters", at_least=2)
  hidden: int = ln.static(512, "units", at_least=1)
  times: int = ln.static(35, "times through which gradients flow", at_least=2)
  gain: float = ln.traced(1.0, "deviation of the recurrent weights, times sqrt(hidden)", above=0)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The gradient by hand in float64, and the error's way back under three sizes of weights."""
  text = jnp.asarray(tasks.two_followers(config.vocabulary, lab.seed))
  with jax.enable_x64(True):
    sizes = config.vocabulary, config.hidden, config.gain
    params = jax.tree.map(lambda w: w.astype(float), init(*sizes, lab.key("check")))
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
  through_time = errors_through_time(
    flows,
    title="The error on its way back through time",
    caption="An error of length 1 at the last time flows back through the same text. Each time "
    "multiplies it by W' and tanh'.",
  )
  what = "back-propagation through time by hand against jax.grad, float64, worst |a-b|/|b|"
  return ln.Report(
    [claim(what, "equal", error, ln.at_most(1e-12))],
    [through_time, tanh_and_slope()],
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
