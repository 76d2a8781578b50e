"""How surprising is real text? An LSTM beside five-grams and file compressors (S01, S04).

A language model gives every character a probability after those before it; exp of the mean negative
log-likelihood on text that was held out is the perplexity (1 for a prophet, the vocabulary's size
for one who knows nothing), and its logarithm to the base 2 the bits per character to which a coder
could press the text. The LSTM is trained by truncated back-propagation with its carries handed on.
Beside it stand an interpolated Kneser-Ney five-gram (Chen and Goodman 1999) on the same
characters, and what gzip and lzma need for the held-out text behind the training text. A character
for which the vocabulary has no room costs the net and the five-gram what it takes to name it
besides (`data.text.vocabulary.naming_nats`), or leaving characters out would look like skill.

The text is what seven open-source packages say to their users in English (456,000 characters,
`research/data/text/catalogs.py`), lines in random order, or a file of one's own, of which the last
tenth is held out.

    python launch.py --experiment=character_model --text=FILE

Expected, over three seeds: perplexity 3.367 +- 0.007 beside the five-gram's 3.54; 1.75 bits per
character beside 1.82 (five-gram), 1.97 (lzma) and 2.91 (gzip). Strands make the difference: 32 of
them instead of 16, and so half the updates in as many passes, ended 0.19 higher in perplexity (one
seed). Five minutes of one CPU core.
"""

import functools
import gzip
import lzma
import math
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import research as ln
from research.data.text import catalogs, language
from research.data.text.vocabulary import MARKS, Vocabulary, naming_nats, vocabulary
from research.figures.texts import text_columns
from research.models import ngrams
from research.models.decoding import Marks, sample
from research.models.language_model import LanguageModel
from research.truncated_bptt import BPTTState, truncated_bptt


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


def network(config: Config) -> LanguageModel:
  """The recurrent language model."""
  sizes = (config.vocabulary, config.embedding, config.hidden, config.layers, config.cell)
  return LanguageModel(*sizes, dropout=config.dropout)


reader = truncated_bptt(
  network,
  lambda config: optax.chain(
    optax.clip_by_global_norm(config.clip), ln.make_optimizer(config.optimizer, config.steps)
  ),
  lambda config: config.batch_size,
)


def evaluate(config: Config, state: BPTTState, batch: ln.Batch) -> dict[str, ln.Mean]:
  """The loss in nats per character, what naming the unknown ones costs included."""
  tokens = reader.evaluate(config, state, batch)["loss"]
  naming = ln.batch_means({"naming": batch["naming"]}, batch)["naming"]
  return {"loss": ln.Mean(tokens.total + naming.total, tokens.weight)}


learner = reader._replace(evaluate=evaluate)
SEGMENT = 2048  # characters; the held-out text is read from a carry of zero at every so many
ORDERS = range(1, 6)
MOST_BITS_SHOWN = 4


def text_of(config: Config, seed: int) -> tuple[str, str]:
  """The text to learn and the text that is held out."""
  if config.text:
    text = language.text_of_file(config.text)
  else:
    lines = list(dict.fromkeys(" ".join(english.split()) for english, _ in catalogs.load()))
    order = np.random.default_rng(seed).permutation(len(lines))
    text = "\n".join(lines[index] for index in order)
  end = len(text) * 9 // 10
  return text[:end], text[end:]


def training(config: Config, seed: int) -> ln.Training:
  """Strands of the text; the held-out text, whose last segment is padded."""
  train, test = text_of(config, seed)
  characters = characters_of(config, train)
  unseen = characters.encode(test)
  try:
    data = language.partition(characters.encode(train), config.batch_size, config.times)
    held_out = segments(unseen)
  except ValueError as error:
    raise ln.UserError(f"the text is too short: {error}") from error
  naming = naming_nats(characters, train, test).astype(np.float32)
  held_out["naming"] = segments(naming)["target"][:, 1:].sum(axis=1)
  epoch = len(data["target"]) // config.batch_size
  return ln.Training(
    learner,
    data,
    ln.sampling.in_order(config.batch_size),
    steps=config.steps,
    evaluate={"test": held_out},
    evaluate_every=epoch,
    log_every=epoch,
    evaluation_batch_size=32,
  )


def segments(values: np.ndarray) -> language.Arrays:
  """Those of the held-out text, the last one padded with 0."""
  return language.windows(np.pad(values, (0, (1 - len(values)) % SEGMENT)), SEGMENT, SEGMENT)


def characters_of(config: Config, train: str) -> Vocabulary:
  """Returns the characters of the training text, the frequent first."""
  return vocabulary(train, most=config.vocabulary - len(MARKS))


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The fit; what counting and compressing make of the same text; what the net writes."""
  train, test = text_of(config, lab.seed)
  characters = characters_of(config, train)
  to_train = training(config, lab.seed)  # refuses a text that is too short, so before all else
  lab.keep("characters.json", characters.to_json())
  lab.keep("text.sha256", sha256((train + test).encode()).hexdigest() + "\n")
  fit = lab.fit("text", config, to_train)
  known, unseen = characters.encode(train), characters.encode(test)
  named = {
    name: naming_nats(characters, train, text).mean() / math.log(2)
    for name, text in {"train": train, "test": test}.items()
  }
  counted = {
    order: counted_bits(known, unseen, len(characters), order) + named["test"] for order in ORDERS
  }
  pressed = {
    "gzip": pressed_bits(lambda data: gzip.compress(data, 9), train, test),
    "lzma": pressed_bits(lambda data: lzma.compress(data, preset=9), train, test),
  }
  bits = fit.last("test/loss") / math.log(2)
  best = max(ORDERS)
  return ln.Report(
    [
      ln.Claim(
        "S01",
        f"perplexity of held-out characters: {config.cell} of {config.hidden} units (the bar is a "
        f"smoothed {best}-gram's)",
        f"below the {best}-gram's (proposed)",
        2**bits,
        ln.at_most(round(2 ** counted[best], 3)),
      ),
      *(
        ln.Claim(
          "S01",
          f"bits per character of the same (the bar is {name}'s)",
          "below a file compressor's (proposed)",
          bits,
          ln.at_most(round(needed, 3)),
        )
        for name, needed in pressed.items()
      ),
    ],
    [
      ln.Picture(
        "bits",
        bits_over_time(fit, counted, pressed, named["train"]),
        "Each order of counting helps less than the one before. The net passes them all and the "
        "compressors, which see nothing but repetitions.",
      ),
      text_columns(
        {
          f"temperature {temperature:g}": written(config, fit, characters, lab, temperature)
          for temperature in (0.3, 0.6, 1.0)
        },
        title="What the net says",
        caption=(
          "Lines drawn from the model, each begun behind the end of a line. At a low temperature "
          "they are safe and alike; at 1 they are as varied as the text, and less often right."
        ),
        file="written",
      ),
    ],
  )


def counted_bits(known: np.ndarray, unseen: np.ndarray, size: int, order: int) -> float:
  """Bits per character of the unseen text for an n-gram model of the known one."""
  likelihood = ngrams.log_likelihoods(ngrams.count(known, size, order), unseen)
  return float(-likelihood.mean() / math.log(2))


def pressed_bits(compress: Callable[[bytes], bytes], train: str, test: str) -> float:
  """Bits per character by which a compressed file grows when the held-out text is added."""
  both, one = (len(compress(text.encode())) for text in (train + test, train))
  return 8 * (both - one) / len(test)


def written(
  config: Config, fit: ln.Fit, characters: Vocabulary, lab: ln.Lab, temperature: float
) -> list[str]:
  """Ten lines of the net's own, of up to 100 characters."""
  model, lines = network(config), 10
  (newline,) = characters.encode("\n")

  def following(params: Any, carries: tuple, token: jax.Array) -> tuple[jax.Array, tuple]:
    logits, carries = model.apply({"params": params}, token[:, None], carries)
    number = jnp.arange(config.vocabulary)
    is_character = (number >= len(MARKS)) & (number < len(characters))
    return jnp.where(is_character[None], logits[:, 0], -jnp.inf), carries

  carries = jax.tree.map(lambda leaf: jnp.zeros((lines, leaf.shape[1])), fit.state.carries)

  @jax.jit
  def draw(params: Any, key: jax.Array) -> jax.Array:
    writer, marks = functools.partial(following, params), Marks(newline, newline)
    return sample(writer, carries, lines, marks, 100, key, temperature)

  rows = draw(fit.state.params, lab.key("written"))
  return ["".join(characters.decode(row)).rstrip("\n") for row in np.asarray(rows)]


def bits_over_time(
  fit: ln.Fit, counted: dict[int, float], pressed: dict[str, float], named: float
) -> Figure:
  """Bits per character of held-out and training text over the updates, and what others need.

  `named` is what naming the unknown characters of the training text costs, which its loss lacks.
  """
  figure, grid = ln.new_figure("How surprising is real text?", panel_inches=(7.0, 4.0))
  axes = grid[0, 0]
  for index, (name, key, more) in enumerate(
    [("net, held-out text", "test/loss", 0.0), ("net, training text", "train/loss", named)]
  ):
    steps, nats = ln.series(fit.history, key)
    ln.draw_curve(axes, steps, nats / math.log(2) + more, name=name, look=ln.stroke(index))
  for order, bits in counted.items():
    label_line(axes, f"{order}-gram", bits, is_inside=False)
  for name, bits in pressed.items():
    label_line(axes, name, bits, is_inside=True)
  axes.set_ylim(1, MOST_BITS_SHOWN)
  ln.label_axes(axes, "step", "bits per character")
  ln.legend_below(figure)
  return figure


def label_line(axes: Axes, name: str, bits: float, *, is_inside: bool) -> None:
  """A level line with its name at its right end, on it or behind it."""
  if bits < MOST_BITS_SHOWN:
    axes.axhline(bits, color="#777777", linewidth=0.9, linestyle="--" if is_inside else "-")
    axes.annotate(
      name,
      (0.99 if is_inside else 1.01, bits),
      xycoords=("axes fraction", "data"),
      fontsize=9,
      color=ln.INK,
      ha="right" if is_inside else "left",
      va="bottom" if is_inside else "center",
    )


experiment = ln.Experiment(Config, run, training)
