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
(seed 0), training loss at 8, 20 and 44 layers: plain 0.357, 0.407 and 0.98 ± 0.21 nats, residual
0.357, 0.276 and 0.292 ± 0.035, when the cycle began at a rate of 0, not at a 25th of its peak.
Six minutes of one core.
"""

import math

import numpy as np
from matplotlib.figure import Figure

import research as ln
from research.data.spec import Arrays
from research.models.resnet import CIFAR_DEPTHS, CifarResNet


@ln.pytree_config
class Config:
  """The nets, and how they are trained."""

  dataset: str = ln.static("fashion_mnist", "images", choices=("mnist", "fashion_mnist"))
  depths: tuple[int, ...] = ln.static((8, 20, 44), "layers, 6n + 2 each", at_least=8)
  width: int = ln.static(4, "channels of the first stage", at_least=1)
  examples: int = ln.static(6000, "training images", at_least=1, at_most=60_000)
  repeats: int = ln.static(3, "nets of each kind and depth", at_least=1)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("momentum", 0.1, "one_cycle", weight_decay=1e-4))
  batch_size: int = ln.static(100, "examples per step", at_least=1)
  epochs: int = ln.static(8, "passes over the training images", at_least=1)


@ln.pytree_config
class One:
  """One of the nets."""

  depth: int = ln.static(8, "layers, 6n + 2", at_least=8)
  residual: bool = ln.static(True, "whether there are shortcuts")
  settings: Config = ln.nested(Config())


def steps_per_epoch(config: Config) -> int:
  """Batches that hold every training image once."""
  return math.ceil(config.examples / config.batch_size)


learner = ln.supervised(
  lambda one: CifarResNet(one.depth, one.settings.width, residual=one.residual),
  ln.softmax_cross_entropy,
  lambda one: (14, 14, 1),
  lambda one: ln.make_optimizer(
    one.settings.optimizer, one.settings.epochs * steps_per_epoch(one.settings)
  ),
)


def halved(data: Arrays, examples: int) -> Arrays:
  """The first so many images, each 2x2 pixels averaged."""
  images = data["image"][:examples].astype(np.float32)
  count, height, width, channels = images.shape
  means = images.reshape(count, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))
  return {"image": means.round().astype(np.uint8), "label": data["label"][:examples]}


def training_of(one: One, train: Arrays, test: Arrays) -> ln.Training:
  """The training loss of an interval is its mean over the last epoch."""
  config = one.settings
  return ln.Training(
    learner,
    train,
    ln.sampling.by_epoch(config.batch_size),
    steps=config.epochs * steps_per_epoch(config),
    evaluate={"test": test},
    evaluate_every=config.epochs * steps_per_epoch(config),
    log_every=steps_per_epoch(config),
  )


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """All nets of all depths; those of one depth start alike and see the same batches."""
  if unknown := sorted(set(config.depths) - set(CIFAR_DEPTHS)):
    raise ln.UserError(
      f"--depths holds {unknown[0]}; these nets have 6n + 2 layers: 8, 14, 20, 26..."
    )
  splits = ln.sets.load(config.dataset)
  train, test = halved(splits.train, config.examples), halved(splits.test, 2000)
  fits: dict[tuple[bool, int], list[ln.Fit]] = {}
  for depth in config.depths:
    twins = {"plain": One(depth, False, config), "residual": One(depth, True, config)}
    found = lab.compare(
      f"{depth} layers",
      twins,
      lambda one, seed: training_of(one, train, test),
      repeats=config.repeats,
    )
    fits |= {(False, depth): found["plain"], (True, depth): found["residual"]}
  return report(config, fits)


def report(config: Config, fits: dict[tuple[bool, int], list[ln.Fit]]) -> ln.Report:
  """Compares the losses on the training set over depths."""
  loss = lambda residual, depth: np.array([fit.last("train/loss") for fit in fits[residual, depth]])
  shallow, deep = min(config.depths), max(config.depths)
  return ln.Report(
    [
      ln.Claim(
        "A06",
        f"plain nets: training loss of {deep} layers less that of {shallow}, nats",
        "28.54 > 27.94 % error (34, 18 layers)",
        (loss(False, deep) - loss(False, shallow)).mean(),
        ln.above(0),
        repeats=loss(False, deep) - loss(False, shallow),
      ),
      ln.Claim(
        "A06",
        f"residual nets: training loss of {deep} layers less that of {shallow}, nats",
        "25.03 < 27.88 % error (34, 18 layers)",
        (loss(True, deep) - loss(True, shallow)).mean(),
        ln.below(0),
        repeats=loss(True, deep) - loss(True, shallow),
      ),
      ln.Claim(
        "A06",
        f"{deep} layers: training loss of plain nets less that of residual ones, nats",
        "28.54 > 25.03 % error",
        (loss(False, deep) - loss(True, deep)).mean(),
        ln.above(0),
        repeats=loss(False, deep) - loss(True, deep),
      ),
    ],
    [
      ln.Picture(
        "depth",
        depth_figure(config, fits),
        "Without shortcuts the training loss rises with depth although the deeper net could copy "
        "the shallower one; with them it falls or stays.",
      ),
      ln.compare_curves(
        {
          f"{'residual' if residual else 'plain'}-{depth}": found
          for (residual, depth), found in fits.items()
          if depth in (shallow, deep)
        },
        "train/loss",
        title="Shallowest and deepest nets while they train",
        y="training loss (nats)",
        epochs=True,
        caption="The paper's figure 6: dashed and solid curves change places.",
        file="curves",
      ),
    ],
  )


def depth_figure(config: Config, fits: dict[tuple[bool, int], list[ln.Fit]]) -> Figure:
  """Training loss and test accuracy against depth, one point a net."""
  figure, grid = ln.new_figure("Depth with and without shortcuts", columns=2)
  for axes, metric, unit in zip(
    grid[0],
    ("train/loss", "test/accuracy"),
    ("training loss (nats)", "test accuracy (fraction)"),
    strict=True,
  ):
    for residual in (False, True):
      look = ln.stroke(int(residual))
      values = np.array(
        [[fit.last(metric) for fit in fits[residual, depth]] for depth in config.depths]
      )
      name = "residual" if residual else "plain"
      axes.plot(config.depths, values.mean(1), color=look.colour, linestyle=look.dashes, label=name)
      axes.plot(
        config.depths, values, color=look.colour, linestyle="none", marker=look.marker, markersize=5
      )
    ln.label_axes(axes, f"layers (lines: means over {config.repeats} nets)", unit)
    axes.set_xticks(config.depths)
  ln.legend_below(figure)
  return figure


experiment = ln.Experiment(Config, run)
