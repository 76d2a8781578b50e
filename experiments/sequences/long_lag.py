"""What was the first symbol? An LSTM knows after 100 steps, a vanilla RNN does not (S04, S03, S02).

The notes, section 3.2: in a vanilla net the gradient is multiplied by the recurrent matrix at every
step, so it dies or explodes; the LSTM's inner state is carried by addition. The task is after
Hochreiter and Schmidhuber 1997: one of eight symbols, then `lag` random distractors, then the
question which it was. Guessing is right 12.5 % of the time. The gates that keep start open, at a
bias of 5: after 100 steps half is left. With the usual 1 a hundred-millionth of a millionth is, and
the LSTM learns lag 100 no better than the vanilla net (13.4 % after 1,000 updates).

    python launch.py --experiment=long_lag

Expected (seed 0): LSTM and GRU 100 % at lag 100; the vanilla net 100 % up to lag 20, 24.8 % at 50
and 14.0 % at 100. Two minutes on two CPU cores.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int
from matplotlib.figure import Figure

import research as ln
from research.data.text import tasks

NAMES = {"rnn": "vanilla RNN", "gru": "GRU", "lstm": "LSTM"}


@ln.pytree_config
class Config:
  """The task and one of the nets."""

  cell: str = ln.static("lstm", "set by the run, one after the other", choices=tuple(NAMES))
  lag: int = ln.static(100, "set by the run; distractors", at_least=1)
  lags: tuple[int, ...] = ln.static((5, 10, 20, 50, 100), "distractors, a fit for each", at_least=1)
  symbols: int = ln.static(8, "symbols to remember", at_least=2)
  hidden: int = ln.static(32, "units", at_least=1)
  examples: int = ln.static(20_000, "training sequences", at_least=100)
  keep_bias: float = ln.traced(5.0, "initial bias of the gate that keeps what a cell holds")
  clip: float = ln.traced(1.0, "longest gradient", above=0)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 3e-3))
  batch_size: int = ln.static(64, "sequences per step", at_least=1)
  steps: int = ln.static(600, "updates of each net", at_least=1)


class Classifier(nn.Module):
  """The answer from the last hidden state; symbols come in one-hot."""

  cell: str
  symbols: int
  hidden: int
  keep_bias: float | Float[Array, ""]

  @nn.compact
  def __call__(
    self, tokens: Int[Array, "batch time"], train: bool = False
  ) -> Float[Array, "batch symbols"]:
    """Logits of the first symbol."""
    layer = ln.Recurrent(self.hidden, self.cell, keep_bias=self.keep_bias)
    outputs, _ = layer(nn.one_hot(tokens, 2 * self.symbols + 1))
    return nn.Dense(self.symbols)(outputs[:, -1])


def tokens_of(batch: ln.Batch) -> Array:
  """Returns the tokens that the net reads."""
  return batch["tokens"]


learner = ln.supervised(
  lambda config: Classifier(config.cell, config.symbols, config.hidden, config.keep_bias),
  ln.softmax_cross_entropy,
  lambda config: jax.ShapeDtypeStruct((config.lag + 2,), jnp.int32),
  lambda config: optax.chain(
    optax.clip_by_global_norm(config.clip), ln.make_optimizer(config.optimizer, config.steps)
  ),
  inputs=tokens_of,
)


def training(config: Config, seed: int) -> ln.Training:
  """The config's cell at the config's lag."""
  data = functools.partial(tasks.long_lag, lag=config.lag, symbols=config.symbols)
  train = data(config.examples, seed)
  return ln.Training(
    learner,
    train,
    ln.sampling.by_epoch(config.batch_size),
    steps=config.steps,
    evaluate={"test": tasks.held_out(data, 1000, seed + 1_000_000, train, "tokens")},
    evaluate_every=config.steps,
    log_every=max(1, config.steps // 10),
  )


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Every cell at every lag."""

  def right(cell: str, lag: int) -> float:
    one = ln.replace(config, {"cell": cell, "lag": lag})
    return lab.fit(f"{cell} lag {lag}", one, training(one, lab.seed)).last("test/accuracy")

  accuracy = {cell: [right(cell, lag) for lag in config.lags] for cell in NAMES}
  at = lambda cell, lag: accuracy[cell][config.lags.index(lag)]
  longest, shortest = max(config.lags), min(config.lags)
  claim = lambda id, cell, lag, source, bar: ln.Claim(
    id, f"{NAMES[cell]}, a lag of {lag}: right answers", source, at(cell, lag), bar, "%"
  )
  return ln.Report(
    [
      claim("S02", "rnn", shortest, "learns", ln.at_least(0.99)),
      claim("S02", "rnn", longest, f"fails; {1 / config.symbols:.1%} is guessing", ln.at_most(0.3)),
      claim("S03", "gru", longest, "learns", ln.at_least(0.99)),
      claim("S04", "lstm", longest, "learns", ln.at_least(0.99)),
    ],
    [
      ln.Picture(
        "over_lags",
        over_lags(config, accuracy),
        "All remember five steps back. The vanilla net loses the symbol as the lag grows; what "
        "the gated nets carry by addition survives.",
      )
    ],
  )


def over_lags(config: Config, accuracy: dict[str, list[float]]) -> Figure:
  """Share of right answers against the lag."""
  figure, grid = ln.new_figure("Which symbol stood first?", panel_inches=(6.0, 3.8))
  axes = grid[0, 0]
  for index, (cell, values) in enumerate(accuracy.items()):
    look = ln.stroke(index)
    axes.plot(
      config.lags,
      100 * np.asarray(values),
      color=look.colour,
      linestyle=look.dashes,
      marker=look.marker,
      label=NAMES[cell],
    )
  axes.axhline(100 / config.symbols, color="#555555", linewidth=0.9, label="guessing")
  axes.set_xscale("log")
  axes.set_xticks(config.lags, [str(lag) for lag in config.lags])
  axes.minorticks_off()
  axes.set_ylim(0, 105)
  ln.label_axes(axes, "distractors between symbol and question", "right answers (%)")
  ln.legend_below(figure)
  return figure


experiment = ln.Experiment(Config, run, training)
