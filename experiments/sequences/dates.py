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
from research.analysis.alignment import decoder_maps
from research.data.text import tasks
from research.data.text.vocabulary import padded
from research.learner import variables_of
from research.models.decoding import written
from research.models.encoder_decoder import encoder_decoder

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
  return encoder_decoder(config, (len(CHARACTERS), len(CHARACTERS)), max(tasks.DATE_LENGTHS))


def task(config: Config, seed: int) -> ln.Task:
  """Training dates, and others to be judged by, of which none is one of their days."""
  train, pairs = tasks.dates(config.examples, seed)
  test, _ = tasks.dates(2000, seed + 1_000_000, without={day for _, day in pairs})
  return ln.Task(train, {"test": test})


training = ln.pair_training(model, task, evaluations=6)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Each net on the same dates; then what it writes, and where it looks."""
  lab.keep("characters.json", CHARACTERS.to_json())
  fits = ln.fit_each(lab, {net: ln.replace(config, {"net": net}) for net in NETS}, training)
  test = fits["GRU"].training.evaluate["test"]
  targets = texts(test["target"])
  right = {name: np.mean(answers(fit, test["source"]) == targets) for name, fit in fits.items()}
  rows = (("S07", "GRU", 0.95), ("S11", "GRU with attention", 0.99), ("S13", "Transformer", 0.99))
  what = "dates right as a whole, of days never seen, decoded greedily"
  exact = ln.compare_curves(
    fits,
    "test/exact",
    title="Dates, written in one way",
    y="right as a whole (%)",
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


def texts(rows: np.ndarray) -> np.ndarray:
  """The texts of rows of tokens."""
  return np.array(["".join(CHARACTERS.decode(row)) for row in rows])


def answers(fit: ln.Fit, source: np.ndarray) -> np.ndarray:
  """The net's output for each source, as texts."""
  return texts(written(model(fit.config), variables_of(fit.state), source, TARGET_LENGTH))


def drawn(fit: ln.Fit) -> ln.Picture:
  """Four dates, and where the decoder looked for each character that it wrote."""
  source = padded([CHARACTERS.encode(text) for text in EXAMPLES], SOURCE_LENGTH)
  dates = answers(fit, source)
  target = padded([CHARACTERS.encode(text) for text in dates], TARGET_LENGTH, begin=True)
  pairs = {"source": source, "target": target}
  maps = decoder_maps(
    model(fit.config), fit.state.params, pairs, CHARACTERS.decode, CHARACTERS.decode
  )
  return ln.attention_maps(
    {f"{way} → {date}": shown for way, date, shown in zip(EXAMPLES, dates, maps, strict=True)},
    caption="A row is a character that was written, a column one of the date that was read.",
  )


experiment = ln.Experiment(Config, run, training)
