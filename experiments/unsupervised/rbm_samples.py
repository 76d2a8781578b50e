"""Samples of a restricted Boltzmann machine, and the likelihood of digits (U03).

Tieleman 2008, "Training restricted Boltzmann machines using approximations to the likelihood
gradient": the same machine of 500 hidden units learns MNIST, whose pixels become bits with their
grey value's chance, by contrastive divergence of one step and with persistent chains. Salakhutdinov
and Murray 2008, "On the quantitative analysis of deep belief networks", table 1, estimate log Z by
annealed importance sampling, and so the likelihood of test images: -125.5 nats after one step of
contrastive divergence, -105.5 after three, -86.3 after 25. The chains then run on for a thousand
steps, and a convolutional network that never saw them says whether they look like digits.

    python launch.py --experiment=rbm_samples

Expected, over three seeds: -88.9 nats, -122 after one step from the data; the judge is sure of 89 %
of the samples. Twelve times as many temperatures give -90.1 for seed 0, which has -89.2 here. Six
minutes of one CPU core.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import research as ln
from research.analysis.image_judge import Judge, judge
from research.energy import contrastive, rbm
from research.energy.contrastive import Contrastive
from research.energy.rbm import Estimate

CONFIDENT = 0.9


@ln.pytree_config
class Config:
  """The machines, and their judge."""

  machine: Contrastive = ln.nested(
    Contrastive(
      start="persistent", learning_rate=0.05, schedule="linear", momentum=0.5, weight_cost=1e-4
    )
  )
  batch_size: int = ln.static(100, "examples per step", at_least=1)
  epochs: int = ln.static(30, "passes over the images, for each machine", at_least=1)
  temperatures: int = ln.static(5000, "of annealed importance sampling", at_least=2)
  more: int = ln.static(1000, "steps of the chains after learning", at_least=1)
  judge: Judge = ln.nested(Judge())


def bits(split: str) -> dict[str, np.ndarray]:
  """MNIST's images as bytes 0 and 255, drawn once: a grey value is the chance of a one."""
  images = getattr(ln.sets.load("mnist"), split)["image"]
  drawn = np.random.default_rng(0).random(images.shape, np.float32) < images / np.float32(255)
  return {"image": 255 * drawn.astype(np.uint8)}


def base(config: Config) -> Float[Array, " visible"]:
  """Log odds of the training images' pixels."""
  del config
  return contrastive.pixel_log_odds(ln.sets.load("mnist").train["image"])


training = contrastive.contrastive_training(
  lambda config, seed: ln.Task(bits("train"), {"test": bits("test")}), base
)


def partition(config: Config, fit: ln.Fit, key: Array) -> Estimate:
  """log Z, from the pixels' own frequencies on; 100 chains."""
  machine, shares = contrastive.learnt(fit), jnp.linspace(0, 1, config.temperatures + 1)
  return jax.jit(rbm.annealed_importance, static_argnums=3)(machine, base(config), key, 100, shares)


def dreams(config: Config, fit: ln.Fit, key: Array) -> Float[np.ndarray, "chain height width 1"]:
  """The chains after some more steps, as probabilities of the pixels."""
  machine, start = contrastive.learnt(fit), jnp.asarray(fit.state.fantasies)
  run_keys, last_keys = jax.random.split(key, (2, len(start)))
  visible = jax.jit(rbm.gibbs, static_argnums=3)(machine, start, run_keys, config.more)
  images = rbm.reconstruction(machine, visible, last_keys)
  return np.asarray(images).reshape(-1, *ln.sets.spec("mnist").image_shape)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Two machines, their likelihoods, and the judge's opinion of one's dreams."""
  kinds = {"persistent": config, "CD-1": ln.replace(config, {"machine.start": "data"})}
  fits = ln.fit_each(lab, kinds, training)
  log_z = {name: partition(config, fit, lab.key(name)) for name, fit in fits.items()}
  likelihood = lambda name: -fits[name].last("test/free_energy") - float(log_z[name].value)
  reached, gain = likelihood("persistent"), likelihood("persistent") - likelihood("CD-1")
  images = dreams(config, fits["persistent"], lab.key("dreams"))
  verdict = judge(lab, config.judge, "mnist", images)
  is_sure = verdict.chances.max(axis=1) > CONFIDENT
  claim, share = ln.claims("U03"), ln.claims("U03", unit="%")
  best = "MNIST, persistent chains: test log-likelihood by annealed importance sampling (nats)"
  less = "persistent chains less one step from the data (nats)"
  error, of_log_z = "log Z, persistent: standard error (nats)", log_z["persistent"].error
  sure = f"samples that the judge is sure of, above {CONFIDENT}"
  claims = [
    claim(best, "-86.3 (25 steps from the data)", reached, ln.at_least(-86.3)),
    claim(less, "above 0", gain, ln.above(0)),
    claim(error, "below 1", of_log_z, ln.at_most(1)),
    share("accuracy of the judge on test images", "99 %", verdict.accuracy, ln.at_least(0.985)),
    share(sure, "80 % (proposed)", np.mean(is_sure), ln.at_least(0.8)),
  ]
  samples = ln.image_grid(
    images[:50],
    captions=[str(number) for number in verdict.chances[:50].argmax(axis=1)],
    title="Samples of the machine with persistent chains",
    value_range=(0, 1),
    caption=f"Each from a chain of its own, {config.more:,} steps after learning ended, as "
    "probabilities of the pixels; below, what the judge takes them for.",
    file="samples",
  )
  reconstruction = ln.compare_curves(
    fits,
    "test/loss",
    title="Reconstruction of test images",
    y="squared error of a pixel",
    log=True,
    caption="The error says little about the likelihood that a model gives to images.",
    file="curves",
  )
  return ln.Report(claims, [samples, reconstruction])


experiment = ln.Experiment(Config, run, training)
