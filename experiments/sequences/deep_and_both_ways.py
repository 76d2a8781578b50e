"""A second layer, and reading from both ends: what is gained and what is only leaked (S05, S06).

Character models of LSTMs on dates in eleven ways, one after the other, drawn anew for the test;
segments of 36 characters are drawn at random, each read from carries of zero (Dive into Deep
Learning, sections 10.3 and 10.4). A net that reads both ways sees, at every place but the last, the
very character that it is asked for: its perplexity is of no use as a language model's. At the last
place, where there is nothing to its right, it does worse than a net that only reads forwards.

    python launch.py --experiment=deep_and_both_ways

Expected, over three seeds (95 % intervals): perplexity 2.89 ± 0.02 with one layer, 2.80 ± 0.09 with
two, 1.04 both ways; at the last place 2.72 ± 0.29 with one layer and 3.43 ± 0.39 both ways. A
minute of one CPU core.
"""

import math

import flax.linen as nn
import optax
from jaxtyping import Array, Float, Int

import research as ln
from research.data.text import language, tasks
from research.models.language_model import LanguageModel

# Layers, and whether they read both ways.
NETS = {"one layer": (1, False), "two layers": (2, False), "both ways": (1, True)}
HELD_OUT = 40_000  # characters to be judged by


@ln.pytree_config
class Config:
  """One of the nets and its training."""

  net: str = ln.static("two layers", "set by the run, one after the other", choices=tuple(NETS))
  hidden: int = ln.static(64, "units of a layer and direction", at_least=1)
  times: int = ln.static(35, "characters that are predicted in a segment", at_least=1)
  characters: int = ln.static(200_000, "of the training text", at_least=1000)
  clip: float = ln.traced(1.0, "longest gradient", above=0)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 5e-3, schedule="cosine"))
  batch_size: int = ln.static(64, "segments per step", at_least=1)
  steps: int = ln.static(800, "updates of each net", at_least=1)


class Logits(nn.Module):
  """A language model that begins anew with every segment."""

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
  logits: Float[Array, "batch places vocabulary"], batch: ln.Batch
) -> Float[Array, " batch"]:
  """Negative log-likelihood in nats of the segment's last character."""
  return optax.softmax_cross_entropy_with_integer_labels(logits[:, -1], batch["target"][:, -1])


def model(config: Config) -> Logits:
  """The config's net."""
  layers, bidirectional = NETS[config.net]
  return Logits(layers, config.hidden, bidirectional)


def task(config: Config, seed: int) -> ln.Task:
  """Segments of a generated text, and of one of days that the first does not have.

  Those to be judged by do not overlap.
  """
  _, train = tasks.dates(config.characters // 8, seed)
  _, test = tasks.dates(HELD_OUT // 8, seed + 1_000_000, without={day for _, day in train})

  def segments(pairs: list[tuple[str, str]], characters: int, stride: int) -> ln.HostData:
    text = " ".join(source for source, _ in pairs)[:characters]
    return language.windows(tasks.DATE_CHARACTERS.encode(text), config.times, stride)

  held_out = segments(test, HELD_OUT, config.times)
  return ln.Task(segments(train, config.characters, 5), {"test": held_out})


training = ln.supervised_training(
  model,
  task,
  loss=ln.token_cross_entropy,
  metrics={"end": loss_at_the_end},
  inputs=ln.text_inputs,
  evaluations=8,
)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The three nets on the same segments."""
  fits = ln.fit_each(lab, {name: ln.replace(config, {"net": name}) for name in NETS}, training)
  alone, deep, both = (math.exp(fit.last("test/loss")) for fit in fits.values())
  end_alone, _, end_both = (math.exp(fit.last("test/end")) for fit in fits.values())
  s05, s06 = ln.claims("S05"), ln.claims("S06")
  gain, known = "perplexity of two layers over one's", "at most 1 (d2l: 1.0 after 1.1)"
  too_good = "perplexity of reading both ways: too good to be true"
  end, no_better = "perplexity at the last place, both ways over one layer's", ln.at_least(1.0)
  loss = ln.compare_curves(
    fits,
    "test/loss",
    title="Characters of dates that are drawn anew",
    y="test loss (nats per character)",
    caption="Mean over all places of a segment. A net that reads both ways is shown what it is "
    "asked for at every place but the last.",
    file="test_loss",
  )
  return ln.Report(
    [
      s05(gain, known, deep / alone, ln.at_most(1.0)),
      s06(too_good, "1.1 (d2l), and useless", both, ln.at_most(1.1)),
      s06(end, "no better than forwards (proposed)", end_both / end_alone, no_better),
    ],
    [loss],
  )


experiment = ln.Experiment(Config, run, training)
