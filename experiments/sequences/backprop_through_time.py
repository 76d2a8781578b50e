"""A recurrent net by the notes' equations, its gradient by hand, and clipping (S02, S04, O09).

The notes' equations 3.1 to 3.4: a = b + W h + U x, h = tanh(a), o = c + V h, softmax(o).
Back-propagation through time adds every later time's part: d a_t = (V' d o_t + W' d a_(t+1)) * (1 -
h_t^2). The LSTM is theirs too, gate by gate (3.5 to 3.10) and with one stacked matrix (3.11 to
3.13). Dive into Deep Learning, section 9.5, trains 512 units at a learning rate of 1, cutting
gradients longer than theta = 1; here on a generated text, where nothing is learnt without the cut.
With 128 units it depends on the seed whether the net also trains without. Every entry of the
gradient may be cut instead, at a bound, which turns it. Graves 2013, section 2.1, cuts the error
itself at every time: then nothing explodes on the way back, while in a gradient that is cut as a
whole the last times have nothing left to say.

    python launch.py --experiment=backprop_through_time

Expected: both gradients equal to 1e-12 in float64; over three seeds, perplexity 2.62 to 2.68 after
300 updates cut by norm, 2.50 to 2.53 cut by value (with a bound of 0.01 instead of 0.003: 40, seed
1), and more than 1e31 without; about half a minute on two CPU cores.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key
from matplotlib.figure import Figure

import research as ln

Params = dict[str, Array]
Tree = TypeVar("Tree", Params, Array)


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


def init(config: Config, key: Key[Array, ""]) -> Params:
  """Normal weights; zero biases."""
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


def norm(gradient: Tree) -> Float[Array, ""]:
  """Length of all arrays together."""
  return jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(gradient)))


def by_norm(gradient: Tree, theta: float | Array) -> Tree:
  """The gradient, its direction kept, no longer than theta."""
  factor = jnp.minimum(1, theta / norm(gradient))
  return jax.tree.map(lambda leaf: factor * leaf, gradient)


def by_value(gradient: Tree, bound: float | Array) -> Tree:
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
    return p, (jnp.exp(value), norm(gradient))

  return jax.lax.scan(update, params, jnp.arange(config.updates))


def generated_text(config: Config, seed: int, letters: int = 40_000) -> Int[Array, " letters"]:
  """Letters, each one of two that may follow the two before it: no perplexity is below 2."""
  rng = np.random.default_rng(seed)
  follows = rng.integers(config.vocabulary, size=(config.vocabulary, config.vocabulary, 2))
  text = [0, 1]
  for which in rng.integers(2, size=letters - 2):
    text.append(int(follows[text[-2], text[-1], which]))
  return jnp.asarray(text)


def lstm_by_gates(p: dict[str, Any], x: Array, h: Array, c: Array) -> tuple[Array, Array]:
  """Equations 3.5 to 3.10, a matrix for each gate: the next h and c of one example."""
  part = lambda gate: p["W"][gate] @ x + p["U"][gate] @ h + p["b"][gate]
  keep, write, read = (jax.nn.sigmoid(part(gate)) for gate in ("f", "i", "o"))
  c = keep * c + write * jnp.tanh(part("c"))
  return read * jnp.tanh(c), c


def distance_of_lstm_forms(key: Key[Array, ""], times: int = 20, size: int = 8) -> float:
  """Largest difference of a hidden state between gate by gate and the library's stacked layer."""
  x = jax.random.normal(key, (1, times, size), float)
  layer = ln.Recurrent(size, "lstm")
  stacked = jax.tree.map(
    lambda leaf: leaf.astype(x.dtype), layer.init(jax.random.fold_in(key, 1), x)
  )
  split = lambda name: jnp.split(stacked["params"][name], 4, axis=-1)
  names = ("i", "f", "c", "o")
  p = {
    "W": {gate: matrix.T for gate, matrix in zip(names, split("kernel"), strict=True)},
    "U": {gate: matrix.T for gate, matrix in zip(names, split("recurrent"), strict=True)},
    "b": dict(zip(names, split("bias"), strict=True)),
  }
  h = c = jnp.zeros(size, x.dtype)
  worst = 0.0
  for t, expected in enumerate(layer.apply(stacked, x)[0][0]):
    h, c = lstm_by_gates(p, x[0, t], h, c)
    worst = max(worst, float(jnp.max(jnp.abs(h - expected))))
  return worst


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The gradient by hand in float64, the LSTM's two forms, then training with and without a cut."""
  text = generated_text(config, lab.seed)
  with jax.enable_x64(True):
    params = jax.tree.map(lambda w: w.astype(float), init(config, lab.key("check")))
    letters = jax.nn.one_hot(text[: config.times + 1, None], config.vocabulary, dtype=float)
    by_hand = back_propagate(params, letters[:-1], letters[1:])
    by_jax = jax.grad(loss)(params, letters[:-1], letters[1:])
    error = max(float(norm(by_hand[name] - by_jax[name]) / norm(by_jax[name])) for name in by_jax)
    lstm_error = distance_of_lstm_forms(lab.key("lstm"))
    flows = {
      f"recurrent weights times {factor:g}": error_through_time(
        params | {"W": factor * params["W"]}, letters[:-1]
      )
      for factor in (0.5, 1, 3)
    }
    cuts = cut_through_time(config, params | {"W": 3 * params["W"]}, letters[:-1])
  start = init(config, lab.key("training"))
  training = jax.jit(train, static_argnames="cut")
  runs = {cut: jax.device_get(training(config, start, text, cut)[1]) for cut in CUTS}
  last = {cut: float(np.mean(found[0][-20:])) for cut, found in runs.items()}
  without = last["not cut"]
  return ln.Report(
    [
      ln.Claim(
        "S02",
        "back-propagation through time by hand against jax.grad, float64, worst |a-b|/|b|",
        "equal",
        error,
        ln.at_most(1e-12),
      ),
      ln.Claim(
        "S04",
        "LSTM gate by gate against the stacked matrix, float64, largest difference",
        "equal",
        lstm_error,
        ln.at_most(1e-12),
      ),
      ln.Claim(
        "O09",
        f"RNN at rate {config.rate:g}, gradients cut at {config.theta:g}: perplexity at the end",
        "trains; 2 is the best",
        last["cut by norm"],
        ln.at_most(3.0),
      ),
      ln.Claim(
        "O09",
        f"the same with entries cut at {config.bound:g}: perplexity at the end",
        "trains (proposed)",
        last["cut by value"],
        ln.at_most(3.0),
      ),
      ln.Claim(
        "O09",
        "the same without: perplexity at the end, as a multiple of guessing's (1e9 where infinite)",
        "diverges",
        (without if np.isfinite(without) else 1e9) / config.vocabulary,
        ln.at_least(1.0),
      ),
    ],
    [
      ln.Picture(
        "clipping",
        clipping(config, runs),
        "With either cut the perplexity falls towards 2, which is the best there is; without, it "
        "is thrown ever further until it is no number.",
      ),
      ln.Picture(
        "through_time",
        through_time(flows, cuts),
        "An error of length 1 at the last time flows back through the same text. Each time "
        "multiplies it by W' and tanh': it dies with small weights and explodes with large ones. "
        "Cut as a whole, the exploded gradient keeps its shape, and the last times count for "
        "nothing; cut at every time on its way, it never explodes.",
      ),
      ln.Picture(
        "tanh",
        tanh_and_slope(),
        "The slope is 1 at zero and falls fast: a saturated unit passes next to nothing back.",
      ),
    ],
  )


def clipping(config: Config, runs: dict[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
  """Perplexity and gradient length over the updates."""
  figure, grid = ln.new_figure(f"A recurrent net at rate {config.rate:g}", columns=2)
  for index, (name, values) in enumerate(runs.items()):
    look = ln.stroke(index)
    for axes, series in zip(grid[0], values, strict=True):
      shown = np.where(np.isfinite(series), np.asarray(series, np.float64), np.nan)
      axes.plot(shown, color=look.colour, linestyle=look.dashes, label=name, linewidth=1.2)
  grid[0, 0].axhline(2, color="#555555", linewidth=0.9, label="the best perplexity; theta")
  grid[0, 1].axhline(config.theta, color="#555555", linewidth=0.9)
  ln.label_axes(grid[0, 0], "update", "perplexity")
  ln.label_axes(grid[0, 1], "update", "length of the gradient, uncut")
  for axes in grid[0]:
    axes.set_yscale("log")
  grid[0, 0].set_ylim(1, 1e3)  # without clipping it soon leaves every scale
  grid[0, 1].set_ylim(0.3, 1e3)
  ln.legend_below(figure)
  return figure


def tanh_and_slope() -> Figure:
  """The activation, and what it multiplies errors by."""
  x = np.linspace(-4, 4, 161)
  curves = {"tanh(a)": (x, np.tanh(x)), "its derivative 1 - tanh(a)^2": (x, 1 - np.tanh(x) ** 2)}
  return ln.function_curves(
    [ln.Panel("value", curves)], title="tanh and its derivative", x="a", caption=""
  ).figure


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


def through_time(flows: dict[str, Array], cuts: dict[str, Array]) -> Figure:
  """Length of the error over time."""
  figure, grid = ln.new_figure(
    "The error on its way back through time", columns=2, panel_inches=(5.2, 4.0)
  )
  for axes, title, curves in zip(
    grid[0], ("three sizes of weights", "weights times 3, cut"), (flows, cuts), strict=True
  ):
    for index, (name, flow) in enumerate(curves.items()):
      look = ln.stroke(index)
      axes.plot(np.asarray(flow), color=look.colour, linestyle=look.dashes, label=name)
    axes.set_yscale("log")
    axes.legend(loc="upper right", fontsize=8)
    ln.label_axes(axes, "time", "length of the error", title)
  return figure


experiment = ln.Experiment(Config, run)
