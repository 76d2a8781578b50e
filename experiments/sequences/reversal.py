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

import functools
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import research as ln
from research.data.spec import Arrays
from research.data.text import tasks
from research.data.text.vocabulary import Vocabulary
from research.figures.attention_maps import Map
from research.metrics import exact_match
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


class Task(NamedTuple):
  """What is asked, and how it is read.

  Attributes:
    tokens: of source and answer.
    lengths: tokens of the longest source, and of the longest answer with its end mark.
    data: (config, how many, seed, whether for the test) -> the pairs.
    backwards: whether a recurrent encoder of one direction reads from the end.
    looks_at: places of the source where the answer's tokens stand, for the longest one; or None.
  """

  tokens: Vocabulary
  lengths: Callable[[Config], tuple[int, int]]
  data: Callable[[Config, int, int, bool], Arrays]
  backwards: bool
  looks_at: Callable[[Config], np.ndarray] | None


def strings(make: Callable[..., Arrays]) -> Callable[[Config, int, int, bool], Arrays]:
  """Pairs of strings; the test's are all of the greatest length."""
  return lambda config, count, seed, is_test: make(
    count, seed, (config.longest if is_test else 1, config.longest), longest=config.longest
  )


OF_STRINGS = lambda config: (config.longest, config.longest + 1)
TASKS = {
  "reversal": Task(
    tasks.LETTERS,
    OF_STRINGS,
    strings(tasks.reversal),
    True,
    lambda config: np.arange(config.longest)[::-1],
  ),
  "copy": Task(
    tasks.LETTERS,
    OF_STRINGS,
    strings(tasks.copying),
    False,
    lambda config: np.arange(config.longest),
  ),
  "addition": Task(
    tasks.DIGITS,
    lambda config: (2 * config.digits + 1, config.digits + 2),
    lambda config, count, seed, is_test: tasks.addition(count, seed, config.digits),
    False,
    None,
  ),
}


def recurrent(config: Config, *, attention: bool) -> nn.Module:
  """GRUs of one layer. The fixed context is of both ways of reading, which is the best for it."""
  task = TASKS[config.task]
  return Seq2Seq(
    len(task.tokens),
    len(task.tokens),
    config.embedding,
    config.hidden,
    attention=attention,
    bidirectional=not attention,
    backwards=task.backwards,
  )


def transformer(config: Config, *, positions: bool) -> nn.Module:
  """Four heads, norms before the sublayers; with or without the places of the tokens."""
  task = TASKS[config.task]
  return Transformer(
    len(task.tokens),
    len(task.tokens),
    config.layers,
    config.features,
    4,
    2 * config.features,
    longest=max(task.lengths(config)) + 1,
    pre_norm=True,
    positions=positions,
  )


def example(config: Config) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
  """The shapes of one source and one answer."""
  read, written = TASKS[config.task].lengths(config)
  return jax.ShapeDtypeStruct((read,), jnp.int32), jax.ShapeDtypeStruct((written,), jnp.int32)


MODELS = {
  "GRU": functools.partial(recurrent, attention=False),
  "GRU with attention": functools.partial(recurrent, attention=True),
  "Transformer": functools.partial(transformer, positions=True),
  "Transformer without positions": functools.partial(transformer, positions=False),
}
LEARNERS = {
  name: ln.supervised(
    model,
    ln.token_cross_entropy,
    example,
    lambda config: optax.chain(
      optax.clip_by_global_norm(config.clip), ln.make_optimizer(config.optimizer, config.steps)
    ),
    metrics={"exact": exact_match, "accuracy": ln.token_accuracy},
    inputs=ln.pair_inputs,
  )
  for name, model in MODELS.items()
}


def pairs_of(config: Config, seed: int) -> tuple[Arrays, Arrays]:
  """Pairs to learn, and others to be judged by."""
  data = TASKS[config.task].data
  train = data(config, config.examples, seed, False)
  make = lambda count, seed: data(config, count, seed, True)
  return train, tasks.held_out(make, 1000, seed + 1_000_000, train)


def training(config: Config, seed: int) -> ln.Training:
  """The config's net on the training strings."""
  train, test = pairs_of(config, seed)
  every = max(1, config.steps // 8)
  return ln.Training(
    LEARNERS[config.net],
    train,
    ln.sampling.by_epoch(config.batch_size),
    steps=config.steps,
    evaluate={"test": test},
    evaluate_every=every,
    log_every=every,
    evaluation_batch_size=250,
  )


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Each net on the same strings, then where those that attend have looked."""
  fits: dict[str, ln.Fit] = {}
  for name in NETS:
    one = ln.replace(config, {"net": name})
    fits[name] = lab.fit(name, one, training(one, lab.seed))
  task, (_, test) = TASKS[config.task], pairs_of(config, lab.seed)
  maps = {
    name: attention(MODELS[name](config), fits[name], test)
    for name in ("GRU with attention", "Transformer")
  }
  what = {
    "reversal": f"strings of {config.longest} letters reversed",
    "copy": f"strings of {config.longest} letters copied",
    "addition": f"sums of numbers of up to {config.digits} digits",
  }[config.task]
  exact = lambda id, name, source, bar: ln.Claim(
    id, f"{name}: {what} without a mistake", source, fits[name].last("test/exact"), bar, "%"
  )
  claims = [
    exact("S11", "GRU with attention", "at least 98 % (proposed)", ln.at_least(0.98)),
    exact("S13", "Transformer", "at least 99 % (proposed)", ln.at_least(0.99)),
    exact("S12", "Transformer without positions", "fails (proposed)", ln.at_most(0.01)),
  ]
  if task.looks_at:
    claims += [
      exact("S07", "GRU", "at most 70 % (proposed)", ln.at_most(0.7)),
      ln.Claim(
        "S11",
        "GRU with attention: letters written while looking most at the right place",
        "at least 95 % (proposed)",
        alignment(maps["GRU with attention"], task.looks_at(config)),
        ln.at_least(0.95),
        "%",
      ),
    ]
  return ln.Report(
    claims,
    [
      ln.compare_curves(
        fits,
        "test/exact",
        title=what.capitalize(),
        y="without a mistake (share)",
        caption=(
          "Attention solves it, with recurrence first. One vector is too small for thirty letters, "
          "and a Transformer that is not told the places cannot begin."
        ),
        file="exact",
      ),
      ln.Picture(
        "attention",
        drawn(task, maps, test),
        "Each written letter looks at its mirror image. The last row is the end mark. The "
        "Transformer shows the mean of the four heads in its last layer, which shares the work "
        "with the layer before.",
      ),
    ],
  )


def attention(model: nn.Module, fit: ln.Fit, test: Arrays) -> np.ndarray:
  """Weights [strings, places, letters] on 100 test strings, the mean over the heads."""
  inputs = ln.pair_inputs({name: jnp.asarray(array[:100]) for name, array in test.items()})
  apply = jax.jit(lambda params, inputs: model.apply(params, inputs, method="with_weights")[1])
  return np.asarray(apply({"params": fit.state.params}, inputs).mean(axis=1))


def alignment(weights: np.ndarray, places: np.ndarray) -> float:
  """Share of written letters whose largest weight is on the place [letters] where they stand."""
  return float(np.mean(np.argmax(weights[:, : len(places)], axis=2) == places))


def drawn(task: Task, maps: dict[str, np.ndarray], test: Arrays) -> Figure:
  """The first test string under every net that attends."""
  read = task.tokens.decode(test["source"][0])
  written = [*task.tokens.decode(test["target"][0]), "end"]
  return ln.attention_maps(
    {
      name: Map(weights[0, : len(written), : len(read)], read, written)
      for name, weights in maps.items()
    },
    title="Where the decoder looks",
    caption="",
  ).figure


experiment = ln.Experiment(Config, run, training)
