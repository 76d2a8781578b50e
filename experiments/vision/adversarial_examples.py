"""Adversarial examples on MNIST: how near they lie, and whom they deceive (V08).

Szegedy et al. 2014, section 4: box-constrained L-BFGS minimises c |r| + loss(x + r, l) for the
nearest image that a network takes for another digit l. Their table 1 gives the mean distortion,
sqrt(mean (x' - x)^2), of softmax regression with weight decay 1e-4, 1e-2 and 1, of nets with two
hidden layers of 100 and of 200, and of a softmax on the code of a sparse auto-encoder of 400 units;
tables 2 and 3 show the examples to other networks and to nets that learnt from the other half of
the images; noise of the same size deceives nobody. Goodfellow et al. 2015 and Madry et al. 2018
find examples by the gradient's sign, in one step or many, and train on them.

    python launch.py --experiment=adversarial_examples

Expected by the source: every image has an example, at distortions of 0.058 to 0.14. Measured over
three seeds: all have one, at 0.052, 0.076, 0.100, 0.044, 0.045 and 0.054, in the order above; noise
as large changes 1.4 % of the answers. The nets err (seed 0) on 7.2, 8.0, 14.9, 2.4, 1.9 and 4.0 %
of the test images where the paper's, trained longer, err on 7.4, 9.4, 20, 1.6, 1.5 and 1.9 %. Two
minutes on a busy core.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from jaxtyping import Array, Float, Int
from matplotlib.figure import Figure

import research as ln
from research.analysis.adversarial import (
  distortion,
  fast_gradient_sign,
  nearest_on_the_other_side,
  nearest_taken_for,
  projected_gradient,
)
from research.models.autoencoder import CodeClassifier, Coded, code_loss

Images = Float[Array, "batch height width channel"]
Labels = Int[Array, " batch"]
Logits = Callable[[Images], Float[Array, "batch class"]]
LOUD = 0.1  # distortion to which examples are enlarged for tables 3 and 4


class Network(NamedTuple):
  """A network of table 1, with the mean distortion and the test error that it has there.

  `decay` is the paper's: lambda sum w^2 / k with k units, so that our penalty is 2 lambda / k.
  """

  features: tuple[int, ...]
  decay: float
  source: float | None
  is_code: bool = False
  half: int | None = None
  hardened: bool = False


NETWORKS = {
  "FC10(1e-4)": Network((10,), 1e-4, 0.062),
  "FC10(1e-2)": Network((10,), 1e-2, 0.1),
  "FC10(1)": Network((10,), 1.0, 0.14),
  "FC100-100-10": Network((100, 100, 10), 1e-5, 0.058),
  "FC200-200-10": Network((200, 200, 10), 1e-5, 0.065),
  "AE400-10": Network((400, 10), 1e-6, 0.086, is_code=True),
  "FC100, first half": Network((100, 100, 10), 1e-5, None, half=0),
  "FC100, second half": Network((100, 100, 10), 1e-5, None, half=1),
  "FC100, hardened": Network((100, 100, 10), 1e-5, None, hardened=True),
}
DEEP = "FC100-100-10"
LINEAR, WIDE = "FC10(1e-4)", "FC200-200-10"
FIRST, SECOND, HARDENED = "FC100, first half", "FC100, second half", "FC100, hardened"


@ln.pytree_config
class Config:
  """One of the networks, and how it is attacked."""

  network: str = ln.static(
    DEEP, "set by the experiment, one after the other", choices=tuple(NETWORKS)
  )
  images: int = ln.static(50, "test images that are attacked", at_least=1, at_most=1000)
  size: float = ln.traced(0.1, "farthest change of a pixel for the signs' attacks", above=0)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 3e-3, "linear"))
  batch_size: int = ln.static(100, "examples per step", at_least=1)
  steps: int = ln.static(6000, "updates", at_least=1)


def model(config: Config) -> ln.MLP | CodeClassifier:
  """Sigmoids between the layers, as in the paper."""
  network, kernel_init = NETWORKS[config.network], ln.initializer("xavier_normal")
  if network.is_code:
    return CodeClassifier(*network.features, kernel_init=kernel_init)
  return ln.MLP(network.features, linen.sigmoid, kernel_init=kernel_init)


def loss(outputs: Float[Array, "batch class"] | Coded, batch: ln.Batch) -> Float[Array, " batch"]:
  """Cross-entropy; the auto-encoder also learns to give the image back."""
  if isinstance(outputs, Coded):
    return code_loss(outputs, batch)
  return ln.softmax_cross_entropy(outputs, batch)


def right(outputs: Float[Array, "batch class"] | Coded, batch: ln.Batch) -> Float[Array, " batch"]:
  """The classifier's accuracy."""
  return ln.accuracy(outputs.logits if isinstance(outputs, Coded) else outputs, batch)


def penalised(config: Config) -> ln.Optimizer:
  """The optimizer with the network's weight decay."""
  network = NETWORKS[config.network]
  return dataclasses.replace(config.optimizer, weight_decay=2 * network.decay / network.features[0])


plain = ln.supervised(
  model,
  loss,
  lambda config: ln.sets.spec("mnist").image_shape,
  lambda config: ln.make_optimizer(penalised(config), config.steps),
  metrics={"accuracy": right},
)


def step(config: Config, state: ln.TrainState, batch: ln.Batch) -> tuple[ln.TrainState, ln.Metrics]:
  """The plain step; the hardened net sees every other image as the sign's attack makes it."""
  if NETWORKS[config.network].hardened:
    images = ln.inputs_of(batch)
    logits = lambda x: ln.predict(model(config), state, {"image": x})
    attacked = fast_gradient_sign(logits, images, batch["label"], config.size)
    is_attacked = (jnp.arange(len(images)) % 2 == 1)[:, None, None, None]
    batch = batch | {"image": jnp.where(is_attacked, attacked, images)}
  return plain.step(config, state, batch)


learner = plain._replace(step=step)


def training(config: Config, seed: int) -> ln.Training:
  """All of MNIST, or one half of it."""
  splits, half = ln.sets.load("mnist"), NETWORKS[config.network].half
  train = splits.train
  if half is not None:
    train = {name: np.split(array, 2)[half] for name, array in train.items()}
  return ln.Training(
    learner,
    train,
    ln.sampling.by_epoch(config.batch_size),
    steps=config.steps,
    evaluate={"test": splits.test},
    evaluate_every=config.steps,
    log_every=config.steps,
  )


class Found(NamedTuple):
  """The networks as functions, test images with labels, and each network's nearest examples."""

  nets: Mapping[str, Logits]
  images: Images
  labels: Labels
  examples: Mapping[str, Images]

  def error(self, name: str, images: Images) -> float:
    """Share of images, changed or not, whose label the network does not name."""
    return float(jnp.mean(self.nets[name](images).argmax(-1) != self.labels))


def scaled(changes: Images, size: Float[Array, " batch"] | float) -> Images:
  """The changes, made to have distortions of `size`."""
  factor = size / distortion(jnp.zeros_like(changes), changes)
  return changes * jnp.broadcast_to(factor, len(changes))[:, None, None, None]


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Trains the networks, attacks each, and shows the examples to all."""
  nets, fits = {}, {}
  for name in NETWORKS:
    one = ln.replace(config, {"network": name})
    fit = lab.fit(re.sub(r"[(),]+", " ", name).strip(), one, training(one, lab.seed))
    nets[name], fits[name] = jax.jit(logits_of(fit)), fit
  test = {name: jnp.asarray(array) for name, array in ln.sets.load("mnist").test.items()}
  few = {name: array[: config.images] for name, array in test.items()}
  images, labels = ln.inputs_of(few), few["label"]
  targets = (labels + jax.random.randint(lab.key("targets"), labels.shape, 1, 10)) % 10
  examples = {
    name: jnp.asarray(nearest_taken_for(nets[name], images, targets))
    for name in NETWORKS
    if name != HARDENED
  }
  found = Found(nets, images, labels, examples)
  many = found._replace(images=ln.inputs_of(test)[:1000], labels=test["label"][:1000])
  return ln.Report(
    [
      *nearness(found, jax.random.normal(lab.key("noise"), images.shape)),
      closed_form(fits[LINEAR], images[:10], labels[:10], targets[:10]),
      *transfer(found),
      *hardening(config, many, fits),
    ],
    [
      ln.Picture(
        "examples",
        example_grid(found),
        "Triples: digits, the nearest images that softmax regression and a net of three "
        "layers take for another digit, and what was changed (grey: nothing).",
      ),
      ln.Picture(
        "transfer",
        transfer_figure(found),
        "Made for the row's network, the examples deceive some of the column's networks too, "
        "mostly such as are alike. On the diagonal all are deceived.",
      ),
      ln.Picture(
        "hardened",
        strength_figure(config, many),
        "One step of the sign deceives the plain net, and 20 steps more so. The net that was "
        "trained on the sign's examples withstands both for longer.",
      ),
    ],
  )


def logits_of(fit: ln.Fit) -> Logits:
  """The fitted network as a function of images."""
  return lambda x: ln.predict(model(fit.config), fit.state, {"image": x})


def nearness(found: Found, noise: Images) -> list[ln.Claim]:
  """Table 1: all images have an example, how near it is, and that noise as large does nothing."""
  sizes = {name: distortion(found.images, x) for name, x in found.examples.items()}
  share = min(float(jnp.mean(jnp.isfinite(size))) for size in sizes.values())
  flipped = []
  for name, size in sizes.items():
    noisy = jnp.clip(found.images + scaled(noise, jnp.nan_to_num(size)), 0, 1)
    answers = [found.nets[name](images).argmax(-1) for images in (found.images, noisy)]
    flipped.append(float(jnp.mean(answers[0] != answers[1])))
  row = lambda what, source, ours, bar: ln.Claim("V08", what, source, ours, bar, "%")
  return [
    row("images with an example, least of all nets", "100 %", share, ln.at_least(1)),
    *(
      ln.Claim(
        "V08",
        f"{name}: mean distortion of the nearest examples",
        f"{source:g}",
        float(jnp.nanmean(sizes[name])),
        ln.within(1.25 * source, 0.75 * source),  # half to twice,
      )
      for name, (_, _, source, *_) in NETWORKS.items()
      if source
    ),
    row(
      "answers changed by noise as large, all nets", "0 to 5 %", np.mean(flipped), ln.at_most(0.05)
    ),
  ]


def closed_form(fit: ln.Fit, images: Images, labels: Labels, targets: Labels) -> ln.Claim:
  """Softmax regression between two digits is linear: without a box, the nearest image is known."""
  (layer,) = fit.state.params.values()
  errors = []
  for image, label, target in zip(images, labels, targets, strict=True):
    weights, bias = (
      array[..., label] - array[..., target] for array in (layer["kernel"], layer["bias"])
    )
    known = nearest_on_the_other_side(image.ravel(), weights, bias).reshape(image.shape)
    two = lambda x, a=label, b=target: logits_of(fit)(x)[:, jnp.stack([a, b])]
    found = nearest_taken_for(two, image[None], jnp.ones(1, int), box=None, halvings=14)[0]
    errors.append(np.linalg.norm(found - known) / np.linalg.norm(known - image))
  return ln.Claim(
    "V08",
    f"{LINEAR}, two digits, no box: change against the closed form, largest difference",
    "-(w x + b) w / |w|^2, to 1 %",
    float(np.max(errors)),
    ln.at_most(0.01),
    "%",
  )


def transfer(found: Found) -> list[ln.Claim]:
  """Tables 2 to 4: other widths, and other training images."""
  row = lambda what, source, ours, bar: ln.Claim("V08", what, source, ours, ln.at_least(bar), "%")
  wide, first = found.examples[WIDE], found.examples[FIRST]
  loud = jnp.clip(found.images + scaled(first - found.images, LOUD), 0, 1)
  halves = "error of the second half's net on the first half's examples"
  return [
    row(f"error of {DEEP} on {WIDE}'s examples", "20.3 %", found.error(DEEP, wide), 0.203),
    row(halves, "26.2 %", found.error(SECOND, first), 0.262),
    row(f"{halves} at a distortion of {LOUD}", "98 %", found.error(SECOND, loud), 0.98),
  ]


def hardening(config: Config, found: Found, fits: Mapping[str, ln.Fit]) -> list[ln.Claim]:
  """Training on examples: the error on the test set, and what many steps of the sign do."""
  attack = lambda name: projected_gradient(
    found.nets[name], found.images, found.labels, config.size
  )
  errors = {name: found.error(name, attack(name)) for name in (DEEP, HARDENED)}
  row = lambda what, source, ours, bar: ln.Claim("V08", what, source, ours, bar, "%")
  return [
    row(
      "test error, hardened less plain net",
      "below 1.2 - 1.6 = -0.4 points",
      fits[DEEP].last("test/accuracy") - fits[HARDENED].last("test/accuracy"),
      ln.below(0),
    ),
    row(
      f"error under attack by {config.size:g} a pixel, plain less hardened net",
      "it falls (89.4 to 17.9 %, Goodfellow)",
      errors[DEEP] - errors[HARDENED],
      ln.at_least(0.2),
    ),
  ]


def example_grid(found: Found) -> Figure:
  """Ten digits, and for two networks their examples and the changes."""
  digits, rows = found.images[:10], [found.images[:10]]
  for name in (LINEAR, DEEP):
    examples = found.examples[name][:10]
    rows += [examples, 0.5 + examples - digits]
  return ln.image_grid(
    np.nan_to_num(np.concatenate(rows)),
    title="Ten digits, and the nearest images taken for others",
    note=f"rows: digits; {LINEAR}: examples, changes; {DEEP}: examples, changes",
    columns=len(digits),
    value_range=(0, 1),
    caption="",
  ).figure


def transfer_figure(found: Found) -> Figure:
  """Error of every network (column) on the examples made for each (row)."""
  names = list(found.nets)
  table = np.array([[found.error(net, x) for net in names] for x in found.examples.values()])
  figure, grid = ln.new_figure(
    "Errors on examples made for another network", panel_inches=(8.2, 5.6)
  )
  axes = grid[0, 0]
  axes.imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto")
  ln.label_axes(axes, "network that is shown them", "network that they were made for", "error in %")
  axes.grid(False)
  axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
  axes.set_yticks(range(len(table)), list(found.examples))
  for (row, column), value in np.ndenumerate(table):
    colour = "white" if value > 0.5 else ln.INK
    axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", color=colour)
  return figure


def strength_figure(config: Config, found: Found) -> Figure:
  """Accuracy against how far a pixel may move, for the plain and the hardened net."""
  sizes = config.size * np.linspace(0, 2, 9)
  curves = {}
  for title, name in (("plain", DEEP), ("hardened", HARDENED)):
    for many, attack in (("one step", fast_gradient_sign), ("20 steps", projected_gradient)):
      deceived = [attack(found.nets[name], found.images, found.labels, size) for size in sizes]
      accuracy = [100 * (1 - found.error(name, images)) for images in deceived]
      curves[f"{title}, {many}"] = (sizes, accuracy)
  return ln.function_curves(
    [ln.Panel("accuracy (%)", curves)],
    title="Training on examples",
    x="farthest change of a pixel (of 1)",
    caption="",
  ).figure


experiment = ln.Experiment(Config, run, training)
