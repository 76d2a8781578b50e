"""A second layer, and reading from both ends: what is gained and what is only leaked (S05, S06).

Character models of LSTMs on dates in eleven ways, one after the other, drawn anew for the test;
stretches of 36 characters are drawn at random, each read from carries of zero (Dive into Deep
Learning, sections 10.3 and 10.4). A net that reads both ways sees, at every place but the last, the
very character that it is asked for: its perplexity is of no use as a language model's. At the last
place, where there is nothing to its right, it does worse than a net that only reads forwards.

    python launch.py --experiment=deep_and_both_ways

Expected, over three seeds (95 % intervals): perplexity 2.89 ± 0.02 with one layer, 2.80 ± 0.09 with
two, 1.04 both ways; at the last place 2.72 ± 0.29 with one layer and 3.43 ± 0.39 both ways. A
minute of one CPU core.
"""

import math
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from research.batch import Batch, text_inputs
from research.config import config, part, replace, static, traced
from research.data import sampling
from research.data.spec import Arrays
from research.data.text import language, tasks
from research.figures.curves import compare_curves
from research.lab.lab import Lab
from research.learner import supervised
from research.losses import token_cross_entropy
from research.models.language_model import LanguageModel
from research.optimizers import Optimizer, make
from research.report import Claim, Picture, Report, at_least, at_most
from research.training import Fit, Training


class Net(NamedTuple):
  """Layers, and whether they read both ways."""

  layers: int
  bidirectional: bool


NETS = {"one layer": Net(1, False), "two layers": Net(2, False), "both ways": Net(1, True)}


@config
class Config:
  """One of the nets and its training."""

  net: str = static("two layers", "set by the run, one after the other", choices=tuple(NETS))
  hidden: int = static(64, "units of a layer and direction", at_least=1)
  times: int = static(35, "characters that are predicted in a stretch", at_least=1)
  characters: int = static(200_000, "of the training text", at_least=1000)
  clip: float = traced(1.0, "longest gradient", above=0)
  optimizer: Optimizer = part(Optimizer("adam", 5e-3, schedule="cosine"))
  batch_size: int = static(64, "stretches per step", at_least=1)
  steps: int = static(800, "updates of each net", at_least=1)


class Logits(nn.Module):
  """A language model that begins anew with every stretch."""

  layers: int
  hidden: int
  bidirectional: bool

  @nn.compact
  def __call__(
    self, tokens: Int[Array, "batch places"], train: bool = False
  ) -> Float[Array, "batch places vocabulary"]:
    """Logits of the next character at every place."""
    size = len(tasks.DATE_CHARACTERS)
    model = LanguageModel(size, 0, self.hidden, self.layers, "lstm", self.bidirectional)
    return model(tokens, train=train)[0]


def loss_at_the_end(
  logits: Float[Array, "batch places vocabulary"], batch: Batch
) -> Float[Array, " batch"]:
  """Negative log-likelihood in nats of the stretch's last character."""
  return optax.softmax_cross_entropy_with_integer_labels(logits[:, -1], batch["target"][:, -1])


def model(config: Config) -> Logits:
  """The config's net."""
  net = NETS[config.net]
  return Logits(net.layers, config.hidden, net.bidirectional)


learner = supervised(
  model,
  token_cross_entropy,
  lambda config: jax.ShapeDtypeStruct((config.times,), jnp.int32),
  lambda config: optax.chain(
    optax.clip_by_global_norm(config.clip), make(config.optimizer, config.steps)
  ),
  metrics={"end": loss_at_the_end},
  inputs=text_inputs,
)


HELD_OUT = 40_000  # characters to be judged by


def texts(config: Config, seed: int) -> tuple[str, str]:
  """A generated text to learn, and one to be judged by, of days that the first does not have."""
  _, train = tasks.dates(config.characters // 8, seed)
  _, test = tasks.dates(HELD_OUT // 8, seed + 1_000_000, without={day for _, day in train})
  joined = lambda pairs: " ".join(source for source, _ in pairs)
  return joined(train)[: config.characters], joined(test)[:HELD_OUT]


def stretches(config: Config, text: str, stride: int) -> Arrays:
  """Stretches of a text; the numbers of its characters follow `DATE_CHARACTERS`."""
  return language.windows(tasks.DATE_CHARACTERS.encode(text), config.times, stride)


def training(config: Config, seed: int) -> Training:
  """The config's net on the training stretches."""
  train, test = texts(config, seed)
  every = max(1, config.steps // 8)
  return Training(
    learner,
    stretches(config, train, 5),
    sampling.by_epoch(config.batch_size),
    steps=config.steps,
    evaluate={"test": stretches(config, test, config.times)},
    evaluate_every=every,
    log_every=every,
  )


def run(config: Config, lab: Lab) -> Report:
  """The three nets on the same stretches."""
  fits: dict[str, Fit] = {}
  for name in NETS:
    one = replace(config, {"net": name})
    fits[name] = lab.fit(name, one, training(one, lab.seed))
  everywhere = {name: math.exp(fit.last("test/loss")) for name, fit in fits.items()}
  at_the_end = {name: math.exp(fit.last("test/end")) for name, fit in fits.items()}
  alone = everywhere["one layer"]
  return Report(
    [
      Claim(
        "S05",
        "perplexity of two layers over one's",
        "at most 1 (d2l: 1.0 after 1.1)",
        everywhere["two layers"] / alone,
        at_most(1.0),
      ),
      Claim(
        "S06",
        "perplexity of reading both ways: too good to be true",
        "1.1 (d2l), and useless",
        everywhere["both ways"],
        at_most(1.1),
      ),
      Claim(
        "S06",
        "perplexity at the last place, both ways over one layer's",
        "no better than forwards (proposed)",
        at_the_end["both ways"] / at_the_end["one layer"],
        at_least(1.0),
      ),
    ],
    [
      Picture(
        "test_loss",
        compare_curves(
          {name: [fit.history] for name, fit in fits.items()},
          "test/loss",
          title="Characters of dates that are drawn anew",
          y="test loss (nats per character)",
        ),
        "Reading both ways, the net is shown what it is asked for, and falls towards nothing. The "
        "other two end at what the dates leave open.",
      ),
    ],
  )
