"""The surprise of real text: an LSTM beside five-grams and file compressors (S01, S04).

A language model gives every character a probability after those before it; exp of the mean negative
log-likelihood on text that was held out is the perplexity (1 for a prophet, the vocabulary's size
for one who knows nothing), and its logarithm to the base 2 the bits per character to which a coder
could press the text. The LSTM is trained by truncated back-propagation with its carries handed on.
Beside it stand an interpolated Kneser-Ney five-gram (Chen and Goodman 1999) on the same
characters, and what gzip and lzma need for the held-out text behind the training text. A character
for which the vocabulary has no room costs the net and the five-gram what it takes to name it
besides (`data.text.vocabulary.naming_nats`), or leaving characters out would look like skill.

The text is what seven open-source packages say to their users in English (465,000 characters,
`research/data/text/catalogs.py`), lines in random order, or a file of one's own, of which the last
tenth is held out.

    python launch.py --experiment=character_model --text=FILE

Expected (seed 0): perplexity 3.373 beside the five-gram's 3.60; 1.75 bits per character beside
1.85 (five-gram), 2.02 (lzma) and 2.91 (gzip). Strands make the difference: 32 of
them instead of 16, and so half the updates in as many passes, ended 0.19 higher in perplexity (one
seed). Five minutes of one CPU core.
"""

import math
from hashlib import sha256

import numpy as np

import research as ln
from research.analysis.compression import compressed_bits, counted_bits
from research.data.text import corpora, language
from research.data.text.vocabulary import MARKS, Vocabulary, naming_nats, vocabulary
from research.figures.texts import text_columns
from research.models.language_model import LanguageModel, lines
from research.truncated_bptt import BPTTState


@ln.pytree_config
class Config:
  """The text and the net."""

  text: str = ln.static("", "a UTF-8 text file; nothing for what programs say")
  vocabulary: int = ln.static(128, "room for different characters, marks included", at_least=8)
  cell: str = ln.static("lstm", "the recurrent cell", choices=("rnn", "gru", "lstm"))
  embedding: int = ln.static(64, "features of a character; 0 for one-hot", at_least=0)
  hidden: int = ln.static(256, "units", at_least=1)
  layers: int = ln.static(1, "recurrent layers", at_least=1)
  times: int = ln.static(64, "characters through which gradients flow", at_least=1)
  dropout: float = ln.traced(0.1, "rate on the embedding and the outputs", at_least=0, below=1)
  clip: float = ln.traced(1.0, "longest gradient", above=0)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 4e-3, schedule="cosine"))
  batch_size: int = ln.static(16, "strands of text", at_least=1)
  steps: int = ln.static(6000, "updates; fifteen passes over the packages' text", at_least=1)


SEGMENT = 2048  # characters; the held-out text is read from a carry of zero at every so many
ORDERS = range(1, 6)


def model(config: Config) -> LanguageModel:
  """The recurrent language model."""
  sizes = (config.vocabulary, config.embedding, config.hidden, config.layers, config.cell)
  return LanguageModel(*sizes, dropout=config.dropout)


def with_naming(learner: ln.Learner) -> ln.Learner:
  """The learner whose evaluated loss holds what naming the unknown characters costs, too."""

  def evaluate(config: Config, state: BPTTState, batch: ln.Batch) -> dict[str, ln.Mean]:
    tokens = learner.evaluate(config, state, batch)["loss"]
    naming = ln.batch_means({"naming": batch["naming"]}, batch)["naming"]
    return {"loss": ln.Mean(tokens.total + naming.total, tokens.weight)}

  return learner._replace(evaluate=evaluate)


def characters_of(config: Config, train: str) -> Vocabulary:
  """Returns the characters of the training text, the frequent first."""
  return vocabulary(train, most=config.vocabulary - len(MARKS))


def segments(values: np.ndarray) -> language.Arrays:
  """Those of the held-out text, the last one padded with 0."""
  return language.windows(np.pad(values, (0, (1 - len(values)) % SEGMENT)), SEGMENT, SEGMENT)


def task(config: Config, seed: int) -> ln.Task:
  """Strands of the text; the held-out text, whose last segment is padded."""
  train, test = corpora.text(config.text, seed)
  characters = characters_of(config, train)
  strands = lambda values: language.partition(values, config.batch_size, config.times)
  data, held_out = strands(characters.encode(train)), segments(characters.encode(test))
  for text, cut, into in ((train, strands, data), (test, segments, held_out)):
    naming = naming_nats(characters, train, text).astype(np.float32)
    into["naming"] = cut(naming)["target"][:, 1:].sum(axis=1)
  return ln.Task(data, {"test": held_out})


training = ln.bptt_training(model, task, transform=with_naming, evaluation_batch_size=32)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The fit; what counting and compressing make of the same text; what the net writes."""
  train, test = corpora.text(config.text, lab.seed)
  characters = characters_of(config, train)
  to_train = training(config, lab.seed)  # refuses a text that is too short, so before all else
  lab.keep("characters.json", characters.to_json())
  lab.keep("text.sha256", sha256((train + test).encode()).hexdigest() + "\n")
  fit = lab.fit("text", config, to_train)
  counted, pressed = counted_bits(characters, train, test, ORDERS), compressed_bits(train, test)
  bits, (best, fewest) = fit.last("test/loss") / math.log(2), list(counted.items())[-1]
  claim, known = ln.claims("S01"), "below a file compressor's (proposed)"
  what = f"perplexity of held-out characters: {config.cell} of {config.hidden} units"
  smoothed = ln.at_most(round(2**fewest, 3))
  claims = [
    claim(
      f"{what} (the bar is a smoothed {best}'s)",
      f"below the {best}'s (proposed)",
      2**bits,
      smoothed,
    ),
    *(
      claim(
        f"bits per character of the same (the bar is {name}'s)",
        known,
        bits,
        ln.at_most(round(needed, 3)),
      )
      for name, needed in pressed.items()
    ),
  ]
  net = model(config), fit.state.params, characters
  own_lines = text_columns(
    {
      f"temperature {temperature:g}": lines(*net, 10, 100, lab.key("written"), temperature)
      for temperature in (0.3, 0.6, 1.0)
    },
    title="What the net says",
    caption="Lines drawn from the model, each begun behind the end of a line; the lower the "
    "temperature, the likelier the characters that are drawn.",
    file="written",
  )
  naming = naming_nats(characters, train, train).mean()
  return ln.Report(claims, [bits_over_time(fit, naming, counted | pressed), own_lines])


def bits_over_time(fit: ln.Fit, naming: float, others: dict[str, float]) -> ln.Picture:
  """Bits per character over the updates, and what others need for the held-out text.

  `naming` is what it takes to name the training text's unknown characters, which its loss lacks.
  """
  curves = {}
  for name, part, more in (("held-out", "test", 0.0), ("training", "train", naming)):
    steps, nats = ln.series(fit, f"{part}/loss")
    curves[f"net, {name} text"] = (steps, (nats + more) / math.log(2))
  return ln.function_curves(
    [ln.Panel("bits per character", curves, y_range=(1, 4), levels=others)],
    title="How surprising is real text?",
    x="step",
    panel_inches=(7.0, 4.0),
    caption="Level lines: what n-grams and file compressors need for the held-out text.",
    file="bits",
  )


experiment = ln.Experiment(Config, run, training)
