"""Adversarial examples on MNIST: how near they lie (V08).

Szegedy et al. 2014, section 4: box-constrained L-BFGS minimises c |r| + loss(x + r, l) for the
nearest image that a network takes for another digit l. Their table 1 gives the mean distortion,
sqrt(mean (x' - x)^2), of softmax regression with weight decay 1e-4, 1e-2 and 1, of nets with two
hidden layers of 100 and of 200, and of a softmax on the code of a sparse auto-encoder of 400 units.
`adversarial_transfer` shows the examples to other networks, `adversarial_training` learns from
some.

    python launch.py --experiment=adversarial_examples

Expected by the source: every image has an example, at distortions of 0.058 to 0.14. Measured over
three seeds: all have one, at 0.052, 0.076, 0.100, 0.044, 0.045 and 0.054, in the order above. The
nets err (seed 0) on 7.2, 8.0, 14.9, 2.4, 1.9 and 4.0 % of the test images where the paper's,
trained longer, err on 7.4, 9.4, 20, 1.6, 1.5 and 1.9 %.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

import research as ln
from research.analysis import adversarial
from research.analysis.adversarial import Images, Labels, distortion
from research.analysis.attacked_nets import (
  attacked_training,
  first_digits,
  fit_networks,
  logits_of,
  nearest_examples,
)
from research.models.szegedy2014 import TABLE_1

LINEAR, DEEP = "FC10(1e-4)", "FC100-100-10"


@ln.pytree_config
class Config:
  """One of the networks, and how it is attacked."""

  network: str = ln.static(DEEP, "set by the experiment, one by one", choices=tuple(TABLE_1))
  images: int = ln.static(50, "test images that are attacked", at_least=1, at_most=1000)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 3e-3, "linear"))
  batch_size: int = ln.static(100, "examples per step", at_least=1)
  steps: int = ln.static(6000, "updates", at_least=1)


training = attacked_training(TABLE_1)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Trains the networks and attacks each."""
  fits = fit_networks(lab, config, TABLE_1, training)
  nets = {name: jax.jit(logits_of(TABLE_1, fit)) for name, fit in fits.items()}
  images, labels, targets = digits = first_digits(config.images, lab.key("targets"))
  examples = nearest_examples(nets, digits)
  return ln.Report(
    [
      *nearness(images, examples),
      closed_form(fits[LINEAR], images[:10], labels[:10], targets[:10]),
    ],
    [example_grid(images[:10], examples)],
  )


def nearness(images: Images, examples: Mapping[str, Images]) -> list[ln.Claim]:
  """Table 1: all images have an example, and how near it is."""
  sizes = {name: distortion(images, x) for name, x in examples.items()}
  share = min(float(jnp.mean(jnp.isfinite(size))) for size in sizes.values())
  claim, size_claim = ln.claims("V08", unit="%"), ln.claims("V08")
  found, mean = "images with an example, least of all nets", "distortion of the nearest examples"
  half_to_twice = lambda due: ln.within(1.25 * due, 0.75 * due)
  ours = {name: jnp.nanmean(size) for name, size in sizes.items()}
  return [
    claim(found, "100 %", share, ln.at_least(1)),
    *(
      size_claim(f"{name}: mean {mean}", f"{due:g}", ours[name], half_to_twice(due))
      for name, (_, _, due, _) in TABLE_1.items()
    ),
  ]


def closed_form(fit: ln.Fit, images: Images, labels: Labels, targets: Labels) -> ln.Claim:
  """Softmax regression between two digits is linear: without a box, the nearest image is known."""
  (layer,), logits, errors = fit.state.params.values(), logits_of(TABLE_1, fit), []
  for image, label, target in zip(images, labels, targets, strict=True):
    weights, bias = (layer[x][..., label] - layer[x][..., target] for x in ("kernel", "bias"))
    known = adversarial.nearest_on_the_other_side(image.ravel(), weights, bias)
    two = lambda x, a=label, b=target: logits(x)[:, jnp.stack([a, b])]
    other, search = jnp.ones(1, int), adversarial.nearest_taken_for
    found = search(two, image[None], other, box=None, halvings=14).ravel()
    errors.append(np.linalg.norm(found - known) / np.linalg.norm(known - image.ravel()))
  what = f"{LINEAR}, two digits, no box: change against the closed form, largest difference"
  source, off = "-(w x + b) w / |w|^2, to 1 %", np.max(errors)
  return ln.claims("V08", unit="%")(what, source, off, ln.at_most(0.01))


def example_grid(digits: Images, examples: Mapping[str, Images]) -> ln.Picture:
  """Digits, and for two networks their examples and the changes."""
  rows = [digits]
  for name in (LINEAR, DEEP):
    found = examples[name][: len(digits)]
    rows += [found, 0.5 + found - digits]
  return ln.image_grid(
    np.nan_to_num(np.concatenate(rows)),
    title="Ten digits, and the nearest images taken for others",
    note=f"rows: digits; {LINEAR}: examples, changes; {DEEP}: examples, changes",
    columns=len(digits),
    value_range=(0, 1),
    caption="Triples: digits, the nearest images that softmax regression and a net of three layers "
    "take for another digit, and what was changed (grey: nothing).",
    file="examples",
  )


experiment = ln.Experiment(Config, run, training)
