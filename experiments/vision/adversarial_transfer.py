"""Whom adversarial examples deceive: other networks, and nets that learnt from other images (V08).

Szegedy et al. 2014, tables 2 to 4: the nearest examples made for one network are shown to others,
and those for a net that learnt from one half of MNIST to one that learnt from the other half; then
once more, enlarged to a distortion of 0.1. Noise of the same size deceives nobody.

    python launch.py --experiment=adversarial_transfer

Expected by the source: 20.3 % of the examples for the wider net deceive the narrower one, and 26.2
% of those for the first half's net the second half's; enlarged, 98 %. Measured over three seeds:
36.7, 10 and 82.7 %; noise as large changes 1.4 % of the answers.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

import research as ln
from research.analysis import adversarial
from research.analysis.adversarial import Images, Logits
from research.analysis.attacked_nets import (
  attacked_training,
  first_digits,
  fit_networks,
  logits_of,
  nearest_examples,
)
from research.models.szegedy2014 import TABLE_1

DEEP, WIDE = "FC100-100-10", "FC200-200-10"
FIRST, SECOND = "FC100, first half", "FC100, second half"
HALVES = {FIRST: 0, SECOND: 1}
NETWORKS = {**TABLE_1, FIRST: TABLE_1[DEEP], SECOND: TABLE_1[DEEP]}
LOUD = 0.1  # distortion to which examples are enlarged


@ln.pytree_config
class Config:
  """One of the networks, and how it is attacked."""

  network: str = ln.static(DEEP, "set by the experiment, one by one", choices=tuple(NETWORKS))
  images: int = ln.static(50, "test images that are attacked", at_least=1, at_most=1000)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 3e-3, "linear"))
  batch_size: int = ln.static(100, "examples per step", at_least=1)
  steps: int = ln.static(6000, "updates", at_least=1)


def images(config: Config, seed: int) -> ln.Task:
  """All of MNIST, or one half of it."""
  train, evaluate, *_ = ln.images(config, seed)
  if config.network in HALVES:
    train = {name: np.split(array, 2)[HALVES[config.network]] for name, array in train.items()}
  return ln.Task(train, evaluate)


training = attacked_training(NETWORKS, images)


def changed_by_noise(
  nets: Mapping[str, Logits], images: Images, examples: Mapping[str, Images], noise: Images
) -> float:
  """Share of the answers that noise as large as the examples' changes alters, a mean over nets."""
  shares = []
  for name, net in nets.items():
    size = jnp.nan_to_num(adversarial.distortion(images, examples[name]))
    noisy = jnp.clip(images + adversarial.with_distortion(noise, size), 0, 1)
    shares.append(float(jnp.mean(net(images).argmax(-1) != net(noisy).argmax(-1))))
  return float(np.mean(shares))


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Trains the networks, attacks each, and shows the examples to all."""
  fits = fit_networks(lab, config, NETWORKS, training)
  nets = {name: jax.jit(logits_of(NETWORKS, fit)) for name, fit in fits.items()}
  attacked = first_digits(config.images, lab.key("targets"))
  (digits, labels, _), examples = attacked, nearest_examples(nets, attacked)
  error = lambda name, x: adversarial.error(nets[name], x, labels)
  changes = adversarial.with_distortion(examples[FIRST] - digits, LOUD)
  loud = jnp.clip(digits + changes, 0, 1)
  wide, half = error(DEEP, examples[WIDE]), error(SECOND, examples[FIRST])
  halves = "error of the second half's net on the first half's examples"
  noise = jax.random.normal(lab.key("noise"), digits.shape)
  flipped = changed_by_noise(nets, digits, examples, noise)
  claim = ln.claims("V08", unit="%")
  return ln.Report(
    [
      claim("answers changed by noise as large, all nets", "0 to 5 %", flipped, ln.at_most(0.05)),
      claim(f"error of {DEEP} on {WIDE}'s examples", "20.3 %", wide, ln.at_least(0.203)),
      claim(halves, "26.2 %", half, ln.at_least(0.262)),
      claim(f"{halves} at a distortion of {LOUD}", "98 %", error(SECOND, loud), ln.at_least(0.98)),
    ],
    [
      ln.heat_maps(
        {"error in %": [[100 * error(name, x) for name in nets] for x in examples.values()]},
        title="Errors on examples made for another network",
        x="network that is shown them",
        y="network that they were made for",
        columns=list(nets),
        rows=list(nets),
        value_range=(0, 100),
        colours="Blues",
        number=".0f",
        panel_inches=(8.2, 5.6),
        caption="A row holds the examples made for one network, a column the errors that a network "
        "makes on them. On the diagonal each is shown its own.",
        file="transfer",
      )
    ],
  )


experiment = ln.Experiment(Config, run, training)
