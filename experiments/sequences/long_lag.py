"""Remembering the first symbol for 100 steps: an LSTM does, a vanilla RNN does not (S04, S03, S02).

In a vanilla net the gradient is multiplied by the recurrent matrix at every step, so it dies or
explodes; the LSTM's inner state is carried by addition. The task is after Hochreiter and
Schmidhuber 1997: one of eight symbols, then `lag` random distractors, then the question which it
was. Guessing is right 12.5 % of the time. The gates that keep start open, at a bias of 5: after 100
steps half is left. With the usual 1 a hundred-millionth of a millionth is, and the LSTM learns lag
100 no better than the vanilla net (13.4 % after 1,000 updates).

    python launch.py --experiment=long_lag

Expected (seed 0): LSTM and GRU 100 % at lag 100; the vanilla net 100 % up to lag 20, 24.8 % at 50
and 14.0 % at 100. Two minutes on two CPU cores.
"""

import functools

import flax.linen as nn
from jaxtyping import Array, Float, Int

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


def model(config: Config) -> Classifier:
  """The config's cell."""
  return Classifier(config.cell, config.symbols, config.hidden, config.keep_bias)


def task(config: Config, seed: int) -> ln.Task:
  """Sequences of the config's lag; no test sequence is learnt."""
  data = functools.partial(tasks.long_lag, lag=config.lag, symbols=config.symbols)
  train = data(config.examples, seed)
  return ln.Task(train, {"test": tasks.held_out(data, 1000, seed + 1_000_000, train, "tokens")})


training = ln.supervised_training(model, task, inputs=lambda batch: batch["tokens"], rows=10)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Every cell at every lag."""
  configs = {
    f"{cell} lag {lag}": ln.replace(config, {"cell": cell, "lag": lag})
    for cell in NAMES
    for lag in config.lags
  }
  fits = ln.fit_each(lab, configs, training)
  right = lambda cell, lag: fits[f"{cell} lag {lag}"].last("test/accuracy")
  longest, shortest = max(config.lags), min(config.lags)
  fails, learns = f"fails; {1 / config.symbols:.1%} is guessing", ln.at_least(0.99)
  rows = (
    ("S02", "rnn", shortest, "learns", learns),
    ("S02", "rnn", longest, fails, ln.at_most(0.3)),
    ("S03", "gru", longest, "learns", learns),
    ("S04", "lstm", longest, "learns", learns),
  )
  claims = [
    ln.claims(id, "%")(
      f"{NAMES[cell]}, a lag of {lag}: right answers", source, right(cell, lag), bar
    )
    for id, cell, lag, source, bar in rows
  ]
  accuracy = {
    name: (config.lags, [100 * right(cell, lag) for lag in config.lags])
    for cell, name in NAMES.items()
  }
  guessing = {"guessing": 100 / config.symbols}
  over_lags = ln.function_curves(
    [ln.Panel("right answers (%)", accuracy, log="x", y_range=(0, 105), levels=guessing)],
    title="Which symbol stood first?",
    x="distractors between symbol and question",
    caption="Each point is a net trained at that lag, judged on sequences that it has not seen.",
    file="over_lags",
  )
  return ln.Report(claims, [over_lags])


experiment = ln.Experiment(Config, run, training)
