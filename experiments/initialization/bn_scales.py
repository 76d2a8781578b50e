"""Batch normalisation against none at 16 scales of the initial weights (I05).

Saito 2016, section 6.3.2 (the notes' figure 5.9): 784-100x5-10 with ReLU, normal weights of
deviation logspace(0, -4, 16), the first 1,000 images of MNIST, SGD with rate 0.01, batches of 100
drawn with replacement, 20 epochs. Normalisation stands before every activation, with epsilon 10e-7.
It is no free gift: at deviations 0.29 and 0.16, near He's 0.14 of these layers, the plain net wins.
The book looks first after one update and last after 191; here it is 0 and 190.

    python launch.py --experiment=bn_scales

Expected: the book's winner at every scale; about 40 seconds on two CPU cores.
"""

import functools

import flax.linen as nn
import numpy as np
from jaxtyping import Array, Float

import research as ln


@ln.pytree_config
class Config:
  """The book's settings; a scale and whether to normalise are a member of the comparison."""

  scale: float = ln.traced(1.0, "standard deviation of the initial weights", above=0)
  batch_norm: bool = ln.static(True, "normalise before every activation")
  epsilon: float = ln.traced(1e-6, "added to the variance", above=0)
  hidden: tuple[int, ...] = ln.static((100,) * 5, "units of the hidden layers", at_least=1)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer(name="sgd", learning_rate=0.01))
  examples: int = ln.static(1000, "training images, the first of MNIST", at_least=1, at_most=60_000)
  batch_size: int = ln.static(100, "examples per step", at_least=1)
  epochs: int = ln.static(20, "looks at the training set, the first before learning", at_least=2)
  repeats: int = ln.static(3, "seeds of every member", at_least=1)


SCALES = np.logspace(0, -4, 16)
NETS = ("batch normalisation", "plain")
# Accuracies of the book's code at the 16 scales with normalisation, the least and most of 3 runs.
SOURCE = (
  (0.42, 0.46),
  (0.42, 0.52),
  (0.63, 0.67),
  (0.76, 0.81),
  (0.87, 0.89),
  (0.94, 0.96),
  (0.99, 0.99),
  (1.0, 1.0),
  (1.0, 1.0),
  (0.91, 1.0),
  (0.87, 1.0),
  (0.83, 0.91),
  (0.53, 0.80),
  (0.60, 0.64),
  (0.53, 0.62),
  (0.43, 0.52),
)
PLAIN_WINS = (2, 3)  # places of 0.29 and 0.16


class Network(nn.Module):
  """Dense layers, normalised or not, with ReLU between them."""

  config: Config

  @nn.compact
  def __call__(
    self, x: Float[Array, " batch *pixels"], train: bool = False
  ) -> Float[Array, "batch class"]:
    """The logits."""
    dense = functools.partial(nn.Dense, kernel_init=ln.initializer("normal", self.config.scale))
    x = x.reshape(x.shape[0], -1)
    for width in self.config.hidden:
      x = dense(width)(x)
      if self.config.batch_norm:
        x = ln.BatchNorm(epsilon=self.config.epsilon)(x, train)
      x = nn.relu(x)
    return dense(10)(x)


def steps_per_epoch(config: Config) -> int:
  """Batches that hold as many images as there are."""
  return max(config.examples // config.batch_size, 1)


def steps(config: Config) -> int:
  """Updates between the first look and the last."""
  return (config.epochs - 1) * steps_per_epoch(config)


learner = ln.supervised(
  Network,
  ln.softmax_cross_entropy,
  lambda config: ln.sets.spec("mnist").image_shape,
  lambda config: ln.make_optimizer(config.optimizer, steps(config)),
)


def training(config: Config, seed: int) -> ln.Training:
  """Few images, which are looked at after every epoch."""
  few = {name: a[: config.examples] for name, a in ln.sets.load("mnist").train.items()}
  return ln.Training(
    learner,
    few,
    ln.sampling.with_replacement(config.batch_size),
    steps=steps(config),
    evaluate={"train set": few},
    evaluate_every=steps_per_epoch(config),
    log_every=steps_per_epoch(config),
  )


def label(net: str, scale: float) -> str:
  """A member's name."""
  return f"{net} {scale:.2g}"


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Both nets at all scales, side by side."""
  members = {
    label(net, scale): ln.replace(config, {"scale": float(scale), "batch_norm": net == NETS[0]})
    for net in NETS
    for scale in SCALES
  }
  fits = lab.compare("race", members, training, repeats=config.repeats)
  normalised, plain = (
    np.array([final_accuracy(fits[label(net, scale)]) for scale in SCALES]) for net in NETS
  )
  agrees = (plain > normalised) == np.isin(np.arange(len(SCALES)), PLAIN_WINS)
  row = lambda what, source, ours, bar, unit="%": ln.Claim("I05", what, source, ours, bar, unit)
  return ln.Report(
    [
      row(
        f"scales of {len(SCALES)} with the book's winner",
        "normalisation wins, but at 0.29 and 0.16",
        agrees.sum(),
        ln.equals(len(SCALES)),
        "",
      ),
      row("plain, 0.29: accuracy", "95-99.7 %", plain[2], ln.at_least(0.95)),
      row("plain, 0.16: accuracy", "82-89 %", plain[3], ln.within(0.855, 0.035)),
      row(
        "plain, 0.046 and less: best accuracy", "at most 25 %", plain[5:].max(), ln.at_most(0.25)
      ),
      *(
        row(
          f"normalised, {scale:.2g}: accuracy",
          f"{100 * least:.0f} %" if least == most else f"{100 * least:.0f}-{100 * most:.0f} %",
          ours,
          ln.within(round((least + most) / 2, 4), max(round((most - least) / 2, 4), 0.005)),
        )
        for scale, ours, (least, most) in zip(SCALES, normalised, SOURCE, strict=True)
      ),
    ],
    [
      ln.compare_panels(
        {
          f"deviation {scale:.2g}": {net: fits[label(net, scale)] for net in NETS}
          for scale in SCALES
        },
        "train set/accuracy",
        title="Batch normalisation at 16 scales of the initial weights",
        y="accuracy (%)",
        columns=4,
        epochs=True,
        caption=(
          "The book's figure 5.9: accuracy on the training images. Without normalisation only the "
          "scales near 0.2 learn, and there they learn faster than with it. Lines are means over "
          f"{config.repeats} seeds, bands reach one standard deviation to both sides."
        ),
        file="scales",
      )
    ],
  )


def final_accuracy(repeats: list[ln.Fit]) -> float:
  """Mean over the seeds."""
  return float(np.mean([fit.last("train set/accuracy") for fit in repeats]))


experiment = ln.Experiment(Config, run, training)
