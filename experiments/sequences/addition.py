"""Sums of three-digit numbers, written digit by digit by a GRU with attention (S07, S11).

Encoder and decoder with the attention of Bahdanau et al. 2015 learn to add from examples such as
"345+78" alone; nobody tells them what a digit is worth, or what is carried. A sum counts when each
of its digits and its end are right, for pairs of numbers that stand in no example.

    python launch.py --experiment=addition

Expected (seed 0): 99.0 % of sums after 4,000 updates, 69 % after 1,000; about two minutes of one
CPU core.
"""

import flax.linen as nn

import research as ln
from research.data.text import tasks
from research.models.encoder_decoder import encoder_decoder

NETS = ("GRU", "GRU with attention")


@ln.pytree_config
class Config:
  """Sums, the net and its training."""

  net: str = ln.static("GRU with attention", "encoder and decoder", choices=NETS)
  digits: int = ln.static(3, "digits of the largest numbers that are added", at_least=1)
  examples: int = ln.static(50_000, "training sums", at_least=100)
  embedding: int = ln.static(32, "features of a character", at_least=1)
  hidden: int = ln.static(128, "units of each layer", at_least=1)
  clip: float = ln.traced(1.0, "longest gradient", above=0)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 3e-3, schedule="cosine"))
  batch_size: int = ln.static(64, "sums per step", at_least=1)
  steps: int = ln.static(4000, "updates", at_least=1)


def model(config: Config) -> nn.Module:
  """A GRU layer, read both ways by the encoder."""
  tokens = len(tasks.DIGITS)
  return encoder_decoder(config, (tokens, tokens), 2 * config.digits + 1)


def task(config: Config, seed: int) -> ln.Task:
  """Training sums, and a thousand others to be judged by."""
  make = lambda count, seed: tasks.addition(count, seed, config.digits)
  train = make(config.examples, seed)
  return ln.Task(train, {"test": tasks.held_out(make, 1000, seed + 1_000_000, train)})


training = ln.pair_training(model, task, evaluations=8)


def report(config: Config, fit: ln.Fit) -> ln.Report:
  """Sums that are right as a whole."""
  what = f"sums of numbers of up to {config.digits} digits without a mistake"
  claim = ln.claims("S11", "%")(
    f"{config.net}: {what}", "at least 95 % (proposed)", fit.last("test/exact"), ln.at_least(0.95)
  )
  curves = ln.compare_curves(
    {config.net: fit},
    "test/exact",
    title="Sums, digit by digit",
    y="right as a whole (%)",
    caption="Held-out sums of which every digit is the likeliest, given those before it.",
    file="exact",
  )
  return ln.Report([claim], [curves])


experiment = ln.single_fit(Config, training, report)
