"""Batch normalisation against none at 16 scales of the initial weights (I05).

Saito 2016, section 6.3.2: 784-100x5-10 with ReLU, normal weights of deviation logspace(0, -4, 16),
the first 1,000 images of MNIST, SGD with rate 0.01, batches of 100 drawn with replacement, 20
epochs. Normalisation stands before every activation, with epsilon 10e-7. It is no free gift: at
deviations 0.29 and 0.16, near He's 0.14 of these layers, the plain net wins. The book looks first
after one update and last after 191; here it is 0 and 190.

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
  looks: int = ln.static(20, "looks at the training set, the first before learning", at_least=2)
  repeats: int = ln.static(3, "seeds of every member", at_least=1)

  @property
  def evaluate_every(self) -> int:
    """Batches that hold as many images as there are."""
    return max(self.examples // self.batch_size, 1)

  @property
  def steps(self) -> int:
    """Updates between the first look and the last."""
    return (self.looks - 1) * self.evaluate_every


SCALES = np.logspace(0, -4, 16)
NETS = ("batch normalisation", "plain")
# Accuracies of the book's code at the 16 scales with normalisation, in percent, of 3 runs.
LEAST = (42, 42, 63, 76, 87, 94, 99, 100, 100, 91, 87, 83, 53, 60, 53, 43)
MOST = (46, 52, 67, 81, 89, 96, 99, 100, 100, 100, 100, 91, 80, 64, 62, 52)
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


def images(config: Config, seed: int) -> ln.Task:
  """Few images, which are looked at as a whole."""
  few = ln.images(config, seed).train
  return ln.Task(few, {"train set": few})


training = ln.supervised_training(Network, images, sampler=ln.sampling.with_replacement)


def label(net: str, scale: float) -> str:
  """A member's name."""
  return f"{net} {scale:.2g}"


def normalised_claim(scale: float, ours: float, least: int, most: int) -> ln.Claim:
  """Our accuracy within the book's range, which is in percent; the bar is half a point or more."""
  slack = max(round((most - least) / 200, 4), 0.005)
  source = f"{least} %" if least == most else f"{least}-{most} %"
  bar = ln.within(round((least + most) / 200, 4), slack)
  return ln.claims("I05", unit="%")(f"normalised, {scale:.2g}: accuracy", source, ours, bar)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Both nets at all scales, side by side."""
  members = {
    label(net, scale): ln.replace(config, {"scale": float(scale), "batch_norm": net == NETS[0]})
    for net in NETS
    for scale in SCALES
  }
  fits = lab.compare("race", members, training, repeats=config.repeats)
  normalised, plain = (
    np.array([ln.mean_of_last(fits[label(net, scale)], "train set/accuracy") for scale in SCALES])
    for net in NETS
  )
  agrees = (plain > normalised) == np.isin(np.arange(len(SCALES)), PLAIN_WINS)
  claim, best = ln.claims("I05", unit="%"), plain[5:].max()
  count, winner = len(SCALES), "normalisation wins, but at 0.29 and 0.16"
  what = f"scales of {count} with the book's winner"
  return ln.Report(
    [
      claim(what, winner, agrees.sum(), ln.equals(count), ""),
      claim("plain, 0.29: accuracy", "95-99.7 %", plain[2], ln.at_least(0.95)),
      claim("plain, 0.16: accuracy", "82-89 %", plain[3], ln.within(0.855, 0.035)),
      claim("plain, 0.046 and less: best accuracy", "at most 25 %", best, ln.at_most(0.25)),
      *map(normalised_claim, SCALES, normalised, LEAST, MOST),
    ],
    [
      ln.compare_panels(
        {f"deviation {s:.2g}": {net: fits[label(net, s)] for net in NETS} for s in SCALES},
        "train set/accuracy",
        title="Batch normalisation at 16 scales of the initial weights",
        y="accuracy (%)",
        columns=4,
        epochs=True,
        caption="The book's figure 5.9: accuracy on the training images. Lines are means over "
        f"{config.repeats} seeds, bands reach one standard deviation to both sides.",
        file="scales",
      )
    ],
  )


experiment = ln.Experiment(Config, run, training, takes=("lanes",))
