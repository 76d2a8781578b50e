"""Strings of 30 letters, backwards: attention, a fixed context, a Transformer (S07, S11-S13).

A fixed context has to hold the whole string in one vector; Bahdanau et al. 2015 let the decoder
look back at the encoder's outputs. Here it is known where it must look: letter t of the answer
stands at place n - t of the string. Random letters in strings of 1 to 30, always tested at length
30; a string counts when every letter and the end are right. The same Transformer (Vaswani et al.
2017, norms before the sublayers) without positional encoding cannot know the order.

What is looked at depends on which way the encoder reads. An output at a place also holds the
letters read before it, and the decoder finds its place by the letter that it wrote last. Reading
in the order of the answer (here from the end, as in Sutskever et al. 2014, section 3.3) puts the
weight on the letter itself. Reading the other way, it lies one place further (3 % of letters at
their own place, seed 0), and reading both ways it is shared (68 %), with answers as good.

    python launch.py --experiment=reversal

Expected, over three seeds, after 2,000 updates: with attention 99.2 +- 0.2 % of strings, all
letters written while looking most at their own place; the Transformer 99.7 +- 0.1 %; the GRU with
a fixed context and the Transformer without positions none. Ten minutes of one CPU core that others
use too.
"""

import flax.linen as nn
import numpy as np

import research as ln
from research.data.text import tasks
from research.data.text.tasks import LETTERS
from research.figures.attention_maps import Map
from research.models.decoding import looks
from research.models.encoder_decoder import NETS, encoder_decoder


@ln.pytree_config
class Config:
  """Strings, one of the nets, its training."""

  net: str = ln.static("GRU with attention", "set by the run, one after the other", choices=NETS)
  longest: int = ln.static(30, "letters of the longest strings, and of the test's", at_least=2)
  examples: int = ln.static(100_000, "training strings", at_least=100)
  embedding: int = ln.static(32, "features of a letter in the recurrent nets", at_least=1)
  hidden: int = ln.static(128, "units of the recurrent nets", at_least=1)
  features: int = ln.static(64, "features of the Transformer, a multiple of 8", at_least=8)
  layers: int = ln.static(2, "layers of the Transformer's encoder and decoder", at_least=1)
  clip: float = ln.traced(1.0, "longest gradient", above=0)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 3e-3, schedule="cosine"))
  batch_size: int = ln.static(64, "strings per step", at_least=1)
  steps: int = ln.static(2000, "updates of each net", at_least=1)


def model(config: Config) -> nn.Module:
  """GRUs of one layer, or Transformers of four heads, norms before the sublayers.

  The fixed context is of both ways of reading, which is the best for it.
  """
  both = config.net == "GRU"
  tokens, places = (len(LETTERS), len(LETTERS)), config.longest + 2
  return encoder_decoder(config, tokens, places, bidirectional=both, backwards=True)


def task(config: Config, seed: int) -> ln.Task:
  """Training strings of 1 to `longest` letters, and others of that length to be judged by."""
  longest = config.longest
  train = tasks.reversal(config.examples, seed, (1, longest))
  make = lambda count, seed: tasks.reversal(count, seed, (longest, longest))
  return ln.Task(train, {"test": tasks.held_out(make, 1000, seed + 1_000_000, train)})


training = ln.pair_training(model, task, evaluations=8)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Each net on the same strings, then where those that attend have looked."""
  fits = ln.fit_each(lab, {net: ln.replace(config, {"net": net}) for net in NETS}, training)
  test = fits["Transformer"].training.evaluate["test"]
  maps = {name: attention(fits[name], test) for name in ("GRU with attention", "Transformer")}
  what = f"strings of {config.longest} letters reversed"
  exact = {name: fit.last("test/exact") for name, fit in fits.items()}
  rows = (
    ("S11", "GRU with attention", "at least 98 % (proposed)", ln.at_least(0.98)),
    ("S13", "Transformer", "at least 99 % (proposed)", ln.at_least(0.99)),
    ("S12", "Transformer without positions", "fails (proposed)", ln.at_most(0.01)),
    ("S07", "GRU", "at most 70 % (proposed)", ln.at_most(0.7)),
  )
  looked = "GRU with attention: letters written while looking most at the right place"
  due, share = "at least 95 % (proposed)", alignment(maps["GRU with attention"])
  claims = [
    *(
      ln.claims(id, "%")(f"{name}: {what} without a mistake", source, exact[name], bar)
      for id, name, source, bar in rows
    ),
    ln.claims("S11", "%")(looked, due, share, ln.at_least(0.95)),
  ]
  curves = ln.compare_curves(
    fits,
    "test/exact",
    title=what.capitalize(),
    y="without a mistake (%)",
    caption="Test strings of which every token is the likeliest, given those before it.",
    file="exact",
  )
  read, written = (LETTERS.decode(test[side][0]) for side in ("source", "target"))
  first = ln.attention_maps(
    {name: Map(weights[0], read, [*written, "end"]) for name, weights in maps.items()},
    caption="A row is a letter that is written, the last one the end mark; a column is a letter of "
    "the string. The Transformer shows the mean of the four heads in its last layer.",
  )
  return ln.Report(claims, [curves, first])


def attention(fit: ln.Fit, test: ln.HostData) -> np.ndarray:
  """Weights [strings, places, letters] on 100 test strings, the mean over the heads."""
  return looks(model(fit.config), fit.state.params, test["source"][:100], test["target"][:100])


def alignment(weights: np.ndarray) -> float:
  """Share of letters for which the largest weight is on their place in the string.

  The weights [strings, places, letters] have a row for the end mark last, which stands nowhere.
  """
  letters = weights.shape[2]
  places = np.arange(letters)[::-1]
  return float(np.mean(np.argmax(weights[:, :letters], axis=2) == places))


experiment = ln.Experiment(Config, run, training)
