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

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import research as ln
from research.data.spec import Arrays
from research.data.text import tasks
from research.data.text.vocabulary import BEGIN, END, padded
from research.figures.attention_maps import Map
from research.metrics import exact_match
from research.models.decoding import Marks, greedy
from research.models.seq2seq import Seq2Seq
from research.models.transformer import Transformer

CHARACTERS = len(tasks.DATE_CHARACTERS)
SOURCE_LENGTH, TARGET_LENGTH = tasks.DATE_LENGTHS


NETS = ("GRU", "GRU with attention", "Transformer")


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


def recurrent(config: Config, *, attention: bool) -> nn.Module:
  """GRUs of one layer, the encoder's reading both ways."""
  return Seq2Seq(
    CHARACTERS,
    CHARACTERS,
    config.embedding,
    config.hidden,
    attention=attention,
    bidirectional=True,
  )


def transformer(config: Config) -> nn.Module:
  """Two layers of four heads, norms before the sublayers."""
  return Transformer(
    CHARACTERS,
    CHARACTERS,
    2,
    config.features,
    4,
    2 * config.features,
    longest=max(tasks.DATE_LENGTHS),
    pre_norm=True,
  )


MODELS: dict[str, Callable[[Config], nn.Module]] = {
  "GRU": functools.partial(recurrent, attention=False),
  "GRU with attention": functools.partial(recurrent, attention=True),
  "Transformer": transformer,
}
LEARNERS = {
  name: ln.supervised(
    model,
    ln.token_cross_entropy,
    lambda config: (
      jax.ShapeDtypeStruct((SOURCE_LENGTH,), jnp.int32),
      jax.ShapeDtypeStruct((TARGET_LENGTH - 1,), jnp.int32),
    ),
    lambda config: optax.chain(
      optax.clip_by_global_norm(config.clip), ln.make_optimizer(config.optimizer, config.steps)
    ),
    metrics={"exact": exact_match, "accuracy": ln.token_accuracy},
    inputs=ln.pair_inputs,
  )
  for name, model in MODELS.items()
}


def held_out(train: list[tuple[str, str]], seed: int) -> tuple[Arrays, list[tuple[str, str]]]:
  """Dates to be judged by, as arrays and as text; no training date is one of their days."""
  return tasks.dates(2000, seed + 1_000_000, without={day for _, day in train})


def training(config: Config, seed: int) -> ln.Training:
  """The config's net on the training dates."""
  data, pairs = tasks.dates(config.examples, seed)
  every = max(1, config.steps // 6)
  return ln.Training(
    LEARNERS[config.net],
    data,
    ln.sampling.by_epoch(config.batch_size),
    steps=config.steps,
    evaluate={"test": held_out(pairs, seed)[0]},
    evaluate_every=every,
    log_every=every,
    evaluation_batch_size=250,
  )


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Each net on the same dates; then what it writes, and where it looks."""
  lab.keep("characters.json", tasks.DATE_CHARACTERS.to_json())
  fits: dict[str, ln.Fit] = {}
  for name in NETS:
    one = ln.replace(config, {"net": name})
    fits[name] = lab.fit(name, one, training(one, lab.seed))
  test, test_pairs = held_out(tasks.dates(config.examples, lab.seed)[1], lab.seed)
  right = {
    name: written(MODELS[name](config), fit, test["source"]) == [t for _, t in test_pairs]
    for name, fit in fits.items()
  }
  claim = lambda id, name, source, bar: ln.Claim(
    id,
    f"{name}: dates right as a whole, of days never seen, decoded greedily",
    source,
    float(np.mean(right[name])),
    bar,
    "%",
  )
  return ln.Report(
    [
      claim("S07", "GRU", "at least 95 % (proposed)", ln.at_least(0.95)),
      claim("S11", "GRU with attention", "at least 99 % (proposed)", ln.at_least(0.99)),
      claim("S13", "Transformer", "at least 99 % (proposed)", ln.at_least(0.99)),
    ],
    [
      ln.compare_curves(
        fits,
        "test/exact",
        title="Dates, written in one way",
        y="right as a whole (share)",
        caption=(
          "With attention the decoder need not keep the date in one vector, and learns sooner."
        ),
        file="exact",
      ),
      ln.Picture(
        "attention",
        drawn(MODELS["GRU with attention"](config), fits["GRU with attention"]),
        "Each figure looks at where it stands in the text, and the month at its name, wherever "
        "that is.",
      ),
    ],
  )


def written(model: nn.Module, fit: ln.Fit, sources: np.ndarray) -> np.ndarray:
  """What the net writes for each source, as texts."""

  @jax.jit
  def decode(params: Any, source: jax.Array) -> jax.Array:
    next_token = lambda memory, token: model.apply(params, memory, token, method="next")
    memory = model.apply(params, source, TARGET_LENGTH, method="start")
    return greedy(next_token, memory, len(source), Marks(BEGIN, END), TARGET_LENGTH)

  rows = np.asarray(decode({"params": fit.state.params}, sources))
  return np.array(["".join(tasks.DATE_CHARACTERS.decode(row)) for row in rows])


EXAMPLES = ("Friday, 9 July 2004", "the 31st of October 1999", "12/03/1957", "Feb 1 2080")


def drawn(model: nn.Module, fit: ln.Fit) -> Figure:
  """Four dates, and where the decoder looked for each character that it wrote."""
  source = padded([tasks.DATE_CHARACTERS.encode(text) for text in EXAMPLES], SOURCE_LENGTH)
  texts = written(model, fit, source)
  rows = [tasks.DATE_CHARACTERS.encode(text) for text in texts]
  target = padded(rows, TARGET_LENGTH - 1, begin=True)
  look = jax.jit(functools.partial(model.apply, method="with_weights"))
  _, weights = look({"params": fit.state.params}, (source, target))
  return ln.attention_maps(
    {
      f"{text} → {answer}": Map(
        np.asarray(weights[i, 0, : len(answer), : len(text)]), list(text), list(answer)
      )
      for i, (text, answer) in enumerate(zip(EXAMPLES, texts, strict=True))
    },
    title="Where the decoder looks",
    caption="",
  ).figure


experiment = ln.Experiment(Config, run, training)
