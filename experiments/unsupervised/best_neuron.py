"""A neuron that knows a class without having been told of it (U01, Y04).

Le et al. 2012, "Building high-level features using large scale unsupervised learning": three stages
of local filters, with weights of their own everywhere, L2 pooling and local contrast normalisation
(LCN) learn to give pictures back. One neuron then tells faces from other pictures in 81.7 % of
cases, where the best linear filter reaches 74 %, one stage 71 %, random weights 67 %, no LCN 78.5 %
and "no" to all 64.8 %. Here the faces are digits 0, 35 % of the images, among garments, all moved
and scaled. Neuron and threshold are chosen on half of the test images and tested on the others, of
all neurons of a net. Y04: parts of the net by location exchange borders only.

    python launch.py --experiment=best_neuron

Expected: 12 points above linear filters, 7 above correlations, 8 above random weights, as good as
without LCN; in the first stage for three seeds, so that depth gains nothing. 90 seconds of a core.
"""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

import research as ln
from research.analysis import local_features, neuron_figures
from research.analysis.single_neurons import Best
from research.data import lone_objects
from research.data.lone_objects import Objects, World
from research.models.local_autoencoder import LocalAutoencoder, Stage, sparse_cost

CONTRAST = 3.0  # by which pixels in [0, 1] are multiplied
FILTERS = 10_000  # linear ones: training images
PARTS = 4  # of the net by location


@ln.pytree_config
class Config:
  """The net and what it sees, small enough for one core."""

  digit: int = ln.static(0, "the class that a neuron is to know", at_least=0, at_most=9)
  maps: tuple[int, ...] = ln.static((8, 16, 32), "filters at each place, by stage", at_least=1)
  normalise: bool = ln.static(True, "whether local contrast is normalised")
  sparsity: float = ln.traced(0.1, "lambda, the cost of active neurons", at_least=0)
  images: int = ln.static(30_000, "images that are learned from", at_least=100)
  test_images: int = ln.static(5000, "images of the test", at_least=100)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 5e-3, "linear"))
  batch_size: int = ln.static(100, "examples per step", at_least=1)
  steps: int = ln.static(400, "updates", at_least=1)


def seen(image: ArrayLike) -> Array:
  """The net's inputs of bytes."""
  return CONTRAST * ln.inputs_of({"image": jnp.asarray(image)})


def model(config: Config) -> LocalAutoencoder:
  """Stages of ever wider fields: 4 pixels, 8 and 32 of them across, without the pools."""
  sizes = ((4, 2, 15), (4, 2, 7), (8, 2, 3))
  if len(config.maps) > len(sizes):
    raise ln.UserError(f"--maps of {len(config.maps)} stages: give at most {len(sizes)} numbers")
  pairs = zip(sizes, config.maps, strict=False)
  stages = tuple(Stage(*size[:2], maps, norm=size[2]) for size, maps in pairs)
  return LocalAutoencoder(stages, config.normalise, scale=0.3)


def pictures(config: Config, seed: int) -> ln.Task:
  """Digits and garments; that they are is not told."""
  world = World(digit=config.digit)
  made = lambda split, count: {"image": lone_objects.make(world, split, seed, count).image}
  return ln.Task(made("train", config.images), {"test": made("test", 500)})


training = ln.supervised_training(
  model,
  pictures,
  loss=ln.ReadsConfig(lambda coded, batch, config: sparse_cost(coded, config.sparsity)),
  metrics={},
  inputs=lambda batch: seen(batch["image"]),
  transform=lambda learner: learner._replace(outputs=None),
  evaluations=10,
  evaluation_batch_size=250,
)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Trains the net with and without normalisation, and tests their neurons and others."""
  plain = ln.replace(config, {"normalise": False})
  fit = lab.fit("train", config, training(config, lab.seed))
  fit_plain = lab.fit("without LCN", plain, training(plain, lab.seed))
  objects = lone_objects.make(World(digit=config.digit), "test", lab.seed + 1, config.test_images)
  of = lambda own, state: local_features.best_by_stage(model(own), state.params, objects, seen)
  found = {
    "learnt": of(config, fit.state),
    "without LCN": of(plain, fit_plain.state),
    "random weights": of(config, fit.initial()),
  }
  templates = fit.training.data["image"][:FILTERS]
  filters = [local_features.best_filter(templates, objects, seen, even) for even in (False, True)]
  stage, best = max(enumerate(found["learnt"]), key=lambda pair: pair[1].chosen)
  response = local_features.response(model(config), fit.state.params, stage, best.neuron)
  return ln.Report(
    [*comparisons(found, filters, objects), by_location(config, fit)],
    [
      neuron_figures.accuracies(found, filters[0]),
      neuron_figures.invariance(config.digit, lambda x: response(seen(x)), best.threshold),
      neuron_figures.stimulus(response, seen, objects.image[:2000]),
    ],
    [f"The best neuron stands in stage {stage + 1}."],
  )


def comparisons(
  found: Mapping[str, Sequence[Best]], filters: Sequence[Best], objects: Objects
) -> list[ln.Claim]:
  """The paper's ladder: the best neuron above whatever else there is."""
  top = {net: max(bests, key=lambda best: best.chosen) for net, bests in found.items()}
  best, half = top["learnt"].accuracy, len(objects.is_class) // 2
  rivals = (
    (f"the best of {FILTERS:,} linear filters", "7.7", filters[0].accuracy, 0.05),
    ("the best of them on images of equal contrast", "7.7", filters[1].accuracy, 0.05),
    ("that of its first stage alone", "10.7", found["learnt"][0].accuracy, 0.05),
    ("that of random weights", "14.7", top["random weights"].accuracy, 0.05),
    ("that without LCN", "3.2", top["without LCN"].accuracy, 0),
    ('"no" to all', "16.9", 1 - objects.is_class[half:].mean(), 0.05),
  )
  claim, than = ln.claims("U01", unit="points"), "best neuron of the net: accuracy less "
  return [
    claim(than + name, due, best - own, ln.at_least(least)) for name, due, own, least in rivals
  ]


def by_location(config: Config, fit: ln.Fit) -> ln.Claim:
  """The net's gradient in parts by location against that of the whole."""
  images = fit.training.data["image"][: config.batch_size]
  shared = model(config), PARTS, fit.state.params, seen(images)
  off, moved = local_features.error_in_parts(*shared), local_features.border_bytes(*shared)
  what = f"gradient of {PARTS} parts, each sending {moved:,} bytes a step: relative error (float64)"
  return ln.claims("Y04")(what, "equal", off, ln.at_most(1e-12))


experiment = ln.Experiment(Config, run, training)
