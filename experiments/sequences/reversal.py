"""Strings of 30 letters, backwards: attention, a fixed context, a Transformer (S07, S11-S13).

A fixed context has to hold the whole string in one vector; Bahdanau et al. 2015 let the decoder
look back at the encoder's outputs. Here it is known where it must look: letter t of the answer
stands at place n - t of the string. Random letters in strings of 1 to 30, always tested at length
30; a string counts when every letter and the end are right. The same Transformer (Vaswani et al.
2017, norms before the sublayers) without positional encoding cannot know the order. `--task=copy`
and `--task=addition` train the same nets on strings as they are and on sums such as 1234+87.

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

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import numpy as np

import research as ln
from research.data.spec import Arrays
from research.data.text import tasks
from research.data.text.vocabulary import Vocabulary
from research.figures.attention_maps import Map
from research.metrics import exact_match
from research.models.decoding import looks
from research.models.seq2seq import Seq2Seq
from research.models.transformer import Transformer

NETS = ("GRU", "GRU with attention", "Transformer", "Transformer without positions")


@ln.pytree_config
class Config:
  """Strings, one of the nets, its training."""

  net: str = ln.static("GRU with attention", "set by the run, one after the other", choices=NETS)
  task: str = ln.static("reversal", "what to write", choices=("reversal", "copy", "addition"))
  longest: int = ln.static(30, "letters of the longest strings, and of the test's", at_least=2)
  digits: int = ln.static(4, "digits of the largest numbers that are added", at_least=1)
  examples: int = ln.static(100_000, "training strings", at_least=100)
  embedding: int = ln.static(32, "features of a letter in the recurrent nets", at_least=1)
  hidden: int = ln.static(128, "units of the recurrent nets", at_least=1)
  features: int = ln.static(64, "features of the Transformer, a multiple of 8", at_least=8)
  layers: int = ln.static(2, "layers of the Transformer's encoder and decoder", at_least=1)
  clip: float = ln.traced(1.0, "longest gradient", above=0)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 3e-3, schedule="cosine"))
  batch_size: int = ln.static(64, "strings per step", at_least=1)
  steps: int = ln.static(2000, "updates of each net", at_least=1)


class Asked(NamedTuple):
  """A task: what is asked, and how it is read.

  Attributes:
    what: in words.
    tokens: of source and answer.
    lengths: tokens of the longest source, and of the longest answer with its end mark.
    data: (config, how many, seed, whether for the test) -> the pairs.
    backwards: whether a recurrent encoder of one direction reads from the end.
    looks_at: places of the source where the answer's tokens stand, for the longest one; or None.
  """

  what: str
  tokens: Vocabulary
  lengths: Callable[[Config], tuple[int, int]]
  data: Callable[[Config, int, int, bool], Arrays]
  backwards: bool = False
  looks_at: Callable[[Config], np.ndarray] | None = None


def of_strings(
  what: str, make: Callable[..., Arrays], looks_at: Callable[[Config], np.ndarray], backwards: bool
) -> Asked:
  """A task of strings; the test's are all of the greatest length."""

  def data(config: Config, count: int, seed: int, is_test: bool) -> Arrays:
    lengths = (config.longest if is_test else 1, config.longest)
    return make(count, seed, lengths, longest=config.longest)

  lengths = lambda config: (config.longest, config.longest + 1)
  what = f"strings of {{longest}} letters {what}"
  return Asked(what, tasks.LETTERS, lengths, data, backwards, looks_at)


TASKS = {
  "reversal": of_strings(
    "reversed", tasks.reversal, lambda config: np.arange(config.longest)[::-1], backwards=True
  ),
  "copy": of_strings(
    "copied", tasks.copying, lambda config: np.arange(config.longest), backwards=False
  ),
  "addition": Asked(
    "sums of numbers of up to {digits} digits",
    tasks.DIGITS,
    lambda config: (2 * config.digits + 1, config.digits + 2),
    lambda config, count, seed, is_test: tasks.addition(count, seed, config.digits),
  ),
}


def model(config: Config) -> nn.Module:
  """GRUs of one layer, or Transformers of four heads, norms before the sublayers.

  The fixed context is of both ways of reading, which is the best for it.
  """
  task = TASKS[config.task]
  tokens, attention = (len(task.tokens), len(task.tokens)), config.net == "GRU with attention"
  if config.net.startswith("GRU"):
    ways = {"bidirectional": not attention, "backwards": task.backwards}
    return Seq2Seq(*tokens, config.embedding, config.hidden, attention=attention, **ways)
  sizes = (config.layers, config.features, 4, 2 * config.features, max(task.lengths(config)) + 1)
  return Transformer(*tokens, *sizes, pre_norm=True, positions=config.net == "Transformer")


def pairs_of(config: Config, seed: int) -> tuple[Arrays, Arrays]:
  """Pairs to learn, and others to be judged by."""
  data = TASKS[config.task].data
  train = data(config, config.examples, seed, False)
  make = lambda count, seed: data(config, count, seed, True)
  return train, tasks.held_out(make, 1000, seed + 1_000_000, train)


def task(config: Config, seed: int) -> ln.Task:
  """The training strings and those of the test."""
  train, test = pairs_of(config, seed)
  return ln.Task(train, {"test": test})


training = ln.supervised_training(
  model,
  task,
  loss=ln.token_cross_entropy,
  metrics={"exact": exact_match, "accuracy": ln.token_accuracy},
  inputs=ln.pair_inputs,
  evaluations=8,
  evaluation_batch_size=250,
)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Each net on the same strings, then where those that attend have looked."""
  fits = ln.fit_each(lab, {net: ln.replace(config, {"net": net}) for net in NETS}, training)
  asked, (_, test) = TASKS[config.task], pairs_of(config, lab.seed)
  maps = {name: attention(fits[name], test) for name in ("GRU with attention", "Transformer")}
  what = asked.what.format(longest=config.longest, digits=config.digits)
  rows = [
    ("S11", "GRU with attention", "at least 98 % (proposed)", ln.at_least(0.98)),
    ("S13", "Transformer", "at least 99 % (proposed)", ln.at_least(0.99)),
    ("S12", "Transformer without positions", "fails (proposed)", ln.at_most(0.01)),
  ]
  if asked.looks_at:
    rows.append(("S07", "GRU", "at most 70 % (proposed)", ln.at_most(0.7)))
  exact = {name: fit.last("test/exact") for name, fit in fits.items()}
  claims = [
    ln.claims(id, "%")(f"{name}: {what} without a mistake", source, exact[name], bar)
    for id, name, source, bar in rows
  ]
  if asked.looks_at:
    looked = "GRU with attention: letters written while looking most at the right place"
    share = alignment(maps["GRU with attention"], asked.looks_at(config))
    claim = ln.claims("S11", "%")
    claims.append(claim(looked, "at least 95 % (proposed)", share, ln.at_least(0.95)))
  curves = ln.compare_curves(
    fits,
    "test/exact",
    title=what.capitalize(),
    y="without a mistake (share)",
    caption="Test strings of which every token is the likeliest, given those before it.",
    file="exact",
  )
  return ln.Report(claims, [curves, drawn(asked, maps, test)])


def attention(fit: ln.Fit, test: Arrays) -> np.ndarray:
  """Weights [strings, places, letters] on 100 test strings, the mean over the heads."""
  weights = looks(model(fit.config), fit.state.params, test["source"][:100], test["target"][:100])
  return weights.mean(axis=1)


def alignment(weights: np.ndarray, places: np.ndarray) -> float:
  """Share of written letters whose largest weight is on the place [letters] where they stand."""
  return float(np.mean(np.argmax(weights[:, : len(places)], axis=2) == places))


def drawn(asked: Asked, maps: dict[str, np.ndarray], test: Arrays) -> ln.Picture:
  """The first test string under every net that attends."""
  read = asked.tokens.decode(test["source"][0])
  written = [*asked.tokens.decode(test["target"][0]), "end"]
  shown = {name: weights[0, : len(written), : len(read)] for name, weights in maps.items()}
  return ln.attention_maps(
    {name: Map(weights, read, written) for name, weights in shown.items()},
    title="Where the decoder looks",
    caption="A row is a letter that is written, the last one the end mark; a column is a letter of "
    "the string. The Transformer shows the mean of the four heads in its last layer.",
    file="attention",
  )


experiment = ln.Experiment(Config, run, training)
