"""Dates in eleven ways, written in one: with attention, without, by a Transformer (S07, S11, S13).

Encoder and decoder of GRUs (Cho et al. 2014) with teacher forcing and a loss that leaves padding
out; with Bahdanau's attention; and a Transformer of two layers. Dates of 1900 to 2099, such as
"Friday, 9 July 2004" or "07/09/2004"; the days of the test's are in the training set in no way. A
date counts when it is right as a whole; the tests' decoding is greedy, with a key-value cache in
the Transformer.

    python launch.py --experiment=dates

Expected (seed 0): with attention all 2,000 dates of days never seen are written rightly from 250
updates on; without, 93.6 % after 500 and all but one after 1,000; by the Transformer 99.8 % after
750 and all after 1,000. Four minutes of one CPU core.
"""

import flax.linen as nn
import numpy as np

import research as ln
from research.data.spec import Arrays
from research.data.text import tasks
from research.data.text.vocabulary import padded
from research.figures.attention_maps import Map
from research.metrics import exact_match
from research.models.decoding import looks, written
from research.models.seq2seq import Seq2Seq
from research.models.transformer import Transformer

CHARACTERS = tasks.DATE_CHARACTERS
SOURCE_LENGTH, TARGET_LENGTH = tasks.DATE_LENGTHS
NETS = ("GRU", "GRU with attention", "Transformer")
EXAMPLES = ("Friday, 9 July 2004", "the 31st of October 1999", "12/03/1957", "Feb 1 2080")


@ln.pytree_config
class Config:
  """Dates, one of the nets, its training."""

  net: str = ln.static("GRU with attention", "set by the run, one after the other", choices=NETS)
  examples: int = ln.static(20_000, "training dates", at_least=100)
  embedding: int = ln.static(32, "features of a character in the recurrent nets", at_least=1)
  hidden: int = ln.static(128, "units of the recurrent nets", at_least=1)
  features: int = ln.static(64, "features of the Transformer, a multiple of 8", at_least=8)
  clip: float = ln.traced(1.0, "longest gradient", above=0)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 3e-3, schedule="cosine"))
  batch_size: int = ln.static(64, "dates per step", at_least=1)
  steps: int = ln.static(1500, "updates of each net", at_least=1)


def model(config: Config) -> nn.Module:
  """A GRU layer, read both ways by the encoder; or two layers of four heads, norms first."""
  characters = (len(CHARACTERS), len(CHARACTERS))
  if config.net == "Transformer":
    sizes = (2, config.features, 4, 2 * config.features, max(tasks.DATE_LENGTHS))
    return Transformer(*characters, *sizes, pre_norm=True)
  attention = config.net == "GRU with attention"
  units = (config.embedding, config.hidden)
  return Seq2Seq(*characters, *units, attention=attention, bidirectional=True)


def held_out(train: list[tuple[str, str]], seed: int) -> tuple[Arrays, list[tuple[str, str]]]:
  """Dates to be judged by, as arrays and as text; no training date is one of their days."""
  return tasks.dates(2000, seed + 1_000_000, without={day for _, day in train})


def task(config: Config, seed: int) -> ln.Task:
  """Training dates and held-out ones."""
  train, pairs = tasks.dates(config.examples, seed)
  return ln.Task(train, {"test": held_out(pairs, seed)[0]})


training = ln.supervised_training(
  model,
  task,
  loss=ln.token_cross_entropy,
  metrics={"exact": exact_match, "accuracy": ln.token_accuracy},
  inputs=ln.pair_inputs,
  evaluations=6,
  evaluation_batch_size=250,
)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Each net on the same dates; then what it writes, and where it looks."""
  lab.keep("characters.json", CHARACTERS.to_json())
  fits = ln.fit_each(lab, {net: ln.replace(config, {"net": net}) for net in NETS}, training)
  test, pairs = held_out(tasks.dates(config.examples, lab.seed)[1], lab.seed)
  targets = np.array([target for _, target in pairs])
  right = {name: float(np.mean(answers(fit, test) == targets)) for name, fit in fits.items()}
  rows = (("S07", "GRU", 0.95), ("S11", "GRU with attention", 0.99), ("S13", "Transformer", 0.99))
  what = "dates right as a whole, of days never seen, decoded greedily"
  exact = ln.compare_curves(
    fits,
    "test/exact",
    title="Dates, written in one way",
    y="right as a whole (share)",
    caption="Held-out dates of which every character is the likeliest, given those before it.",
    file="exact",
  )
  return ln.Report(
    [
      ln.claims(id, "%")(
        f"{name}: {what}", f"at least {100 * bar:g} % (proposed)", right[name], ln.at_least(bar)
      )
      for id, name, bar in rows
    ],
    [exact, drawn(fits["GRU with attention"])],
  )


def answers(fit: ln.Fit, test: Arrays) -> np.ndarray:
  """The net's output for each source, as texts."""
  rows = written(model(fit.config), fit.state.params, test["source"], TARGET_LENGTH)
  return np.array(["".join(CHARACTERS.decode(row)) for row in rows])


def drawn(fit: ln.Fit) -> ln.Picture:
  """Four dates, and where the decoder looked for each character that it wrote."""
  source = padded([CHARACTERS.encode(text) for text in EXAMPLES], SOURCE_LENGTH)
  texts = answers(fit, {"source": source})
  target = padded([CHARACTERS.encode(text) for text in texts], TARGET_LENGTH, begin=True)
  weights = looks(model(fit.config), fit.state.params, source, target)
  return ln.attention_maps(
    {
      f"{text} → {answer}": Map(shown[0, : len(answer), : len(text)], list(text), list(answer))
      for text, answer, shown in zip(EXAMPLES, texts, weights, strict=True)
    },
    title="Where the decoder looks",
    caption="A row is a character that was written, a column one of the date that was read.",
    file="attention",
  )


experiment = ln.Experiment(Config, run, training)
