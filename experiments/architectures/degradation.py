"""Degradation: plain nets learn worse as they grow deeper, residual nets do not (A06).

He et al. 2016, figures 4 and 6: on ImageNet a plain net of 34 layers has 28.54 % error, one of 18
layers 27.94 %, while with shortcuts 34 layers have 25.03 %; on CIFAR-10 plain nets of 20 to 56
layers get worse in training already, so that it is no over-fitting. Here the nets of section 4.2,
narrow, on images halved to 14x14: the same layers, weights, batches and optimizer with and without
shortcuts, which have no parameters. The measure is the loss on the training set.

The rate goes up before it comes down (one cycle). The sum of a residual net's blocks grows with
depth, and with it the first logits: at 44 layers the first loss is 8.5 nats where a plain net's is
2.7. A rate of 0.1 from the first step on costs such a net its first epochs; the paper, too, begins
its deepest net with a smaller one (section 4.2, n = 18).

    python launch.py --experiment=degradation
    python launch.py --experiment=degradation --depths=20,56 --examples=60000 --epochs=10

Expected by the source: plain nets rise, residual ones do not. Measured over three pairs of twins
(seed 0), training loss at 8, 20 and 44 layers: plain 0.36, 0.41 and 0.77 ± 0.21 nats, residual
0.36, 0.27 and 0.30 ± 0.05: from 8 to 44 layers residual nets gain 0.06 ± 0.10, which is undecided.
Six minutes of one core.
"""

import numpy as np

import research as ln
from research.data import painting
from research.data.spec import Arrays
from research.models.resnet import CIFAR_DEPTHS, CifarResNet


@ln.pytree_config
class Config:
  """The nets, and how they are trained."""

  depth: int = ln.static(8, "layers of one net, set by the comparison", at_least=8)
  is_residual: bool = ln.static(True, "whether it has shortcuts, set by the comparison")
  dataset: str = ln.static(
    "fashion_mnist", "images", choices=("mnist", "fashion_mnist", *ln.sets.OWN_IMAGES)
  )
  depths: tuple[int, ...] = ln.static((8, 20, 44), "layers, 6n + 2 each", at_least=8)
  width: int = ln.static(4, "channels of the first stage", at_least=1)
  examples: int = ln.static(6000, "training images", at_least=1, at_most=60_000)
  repeats: int = ln.static(3, "nets of each kind and depth", at_least=1)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("momentum", 0.1, "one_cycle", weight_decay=1e-4))
  batch_size: int = ln.static(100, "examples per step", at_least=1)
  epochs: int = ln.static(8, "passes over the training images", at_least=1)


def halved(data: Arrays, examples: int) -> Arrays:
  """The first so many images, each 2x2 pixels averaged; an odd last row or column is left out."""
  means = painting.halved(data["image"][:examples].astype(np.float32))
  kind = data["image"].dtype
  halves = means.round().astype(kind) if kind.kind == "u" else means
  return {"image": halves, "label": data["label"][:examples]}


def images(config: Config, seed: int) -> ln.Task:
  """The first halved images to learn from, and 2,000 to be judged by."""
  splits = ln.sets.load(config.dataset)
  test = halved(splits.test, 2000)
  return ln.Task(halved(splits.train, config.examples), {"test": test})


def model(config: Config) -> CifarResNet:
  """The net of the paper's section 4.2, with a logit for each class of the data."""
  classes = ln.sets.spec(config.dataset).classes
  return CifarResNet(config.depth, config.width, classes, residual=config.is_residual)


training = ln.supervised_training(model, images, epochs_per_evaluation=0)

KINDS = {"plain": False, "residual": True}
Fits = dict[tuple[str, int], list[ln.Fit]]


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """All nets of all depths; those of one depth start alike and see the same batches."""
  if unknown := sorted(set(config.depths) - set(CIFAR_DEPTHS)):
    known = "these nets have 6n + 2 layers: 8, 14, 20, 26..."
    raise ln.UserError(f"--depths holds {unknown[0]}; {known}")
  fits: Fits = {}
  for depth in config.depths:
    at_depth = ln.replace(config, {"depth": depth})
    twins = {kind: ln.replace(at_depth, {"is_residual": has}) for kind, has in KINDS.items()}
    found = lab.compare(f"{depth} layers", twins, training, repeats=config.repeats)
    fits |= {(kind, depth): found[kind] for kind in KINDS}
  return report(config, fits)


def report(config: Config, fits: Fits) -> ln.Report:
  """Compares the losses on the training set over depths."""
  loss = lambda kind, depth: np.array([fit.last("train/loss") for fit in fits[kind, depth]])
  shallow, deep = min(config.depths), max(config.depths)
  less = f"training loss of {deep} layers less that of {shallow}, nats"
  of_both = f"{deep} layers: training loss of plain nets less that of residual ones, nats"
  rise = {kind: loss(kind, deep) - loss(kind, shallow) for kind in KINDS}
  apart, claim = loss("plain", deep) - loss("residual", deep), ln.claims("A06")
  worse, better = "28.54 > 27.94 % error (34, 18 layers)", "25.03 < 27.88 % error (34, 18 layers)"
  table = (
    (f"plain nets: {less}", worse, rise["plain"], ln.above(0)),
    (f"residual nets: {less}", better, rise["residual"], ln.below(0)),
    (of_both, "28.54 > 25.03 % error", apart, ln.above(0)),
  )
  claims = [claim(what, book, x.mean(), bar, repeats=x) for what, book, x, bar in table]
  curves = ln.compare_curves(
    {f"{kind}-{depth}": fits[kind, depth] for kind, depth in fits if depth in (shallow, deep)},
    "train/loss",
    title="Shallowest and deepest nets while they train",
    y="training loss (nats)",
    epochs=True,
    caption="The paper's figure 6: training loss with shortcuts and without, at two depths.",
    file="curves",
  )
  pictures = [depth_figure(config, fits), curves]
  return ln.Report(claims if config.dataset in ln.sets.names() else [], pictures)


def depth_figure(config: Config, fits: Fits) -> ln.Picture:
  """Training loss and test accuracy against depth, one point a net."""
  panels = []
  for metric, y, scale in (
    ("train/loss", "training loss (nats)", 1),
    ("test/accuracy", "test accuracy (%)", 100),
  ):
    values = {key: [scale * fit.last(metric) for fit in found] for key, found in fits.items()}
    mean = lambda kind, values=values: [np.mean(values[kind, depth]) for depth in config.depths]
    nets = [(depth, value) for (_, depth), found in values.items() for value in found]
    curves = {kind: (config.depths, mean(kind)) for kind in KINDS}
    panels.append(ln.Panel(y, curves, points={"one net": tuple(np.transpose(nets))}))
  return ln.function_curves(
    panels,
    title="Depth with and without shortcuts",
    x=f"layers (lines: means over {config.repeats} nets)",
    caption=(
      "The same nets without shortcuts (plain) and with them (residual): where a deeper plain net "
      "has the larger training loss it is no over-fitting, for it could copy the shallower one."
    ),
    file="depth",
  )


experiment = ln.Experiment(Config, run, training, takes=("lanes",))
