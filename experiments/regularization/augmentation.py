"""Data augmentation: 1,000 digits made many inside the compiled step (R11, figure 7.3).

Nielsen, chapter 6, adds to MNIST its images moved by one pixel in four directions, 250,000 in all:
99.23 % become 99.37 %. With only 1,000 images there is more to gain. Every step draws new shifts,
turns and sizes of the images that it sees. Mirrored images are of no use: a mirrored digit is none.

    python launch.py --experiment=augmentation

Expected, over three seeds, in points of test accuracy: elastic distortion (Simard et al. 2003) 7.9,
shift, turn and size 6.6, crop 5.6, mirrored -2.2. Brightness was not measured, nor shift, turn and
size one by one. About a minute on two CPU cores.
"""

import jax
import jax.numpy as jnp
import numpy as np

import research as ln
from research.data import augmentation

KINDS = {
  "none": lambda c: augmentation.one_after_another(),
  "shift, rotate, scale": lambda c: augmentation.one_after_another(
    augmentation.shift(c.pixels), augmentation.rotate(c.degrees), augmentation.scale(c.scale)
  ),
  "elastic": lambda c: augmentation.elastic(c.elastic),
  "crop": lambda c: augmentation.crop(2),
  "flip": lambda c: augmentation.flip(),
  "brightness": lambda c: augmentation.brightness(c.brightness),
}


@ln.pytree_config
class Config:
  """One net; `run` compares the kinds."""

  kind: str = ln.static("shift, rotate, scale", "what is done to the images", choices=tuple(KINDS))
  pixels: float = ln.traced(2.0, "farthest shift in pixels", at_least=0)
  degrees: float = ln.traced(15.0, "largest turn in degrees", at_least=0)
  scale: float = ln.traced(0.1, "largest change of size, as a share", at_least=0, below=1)
  elastic: float = ln.traced(34.0, "strength of the distortion, Simard's alpha", at_least=0)
  brightness: float = ln.traced(
    0.3, "largest change of brightness, as a share", at_least=0, below=1
  )
  examples: int = ln.static(1000, "training images, the first of MNIST", at_least=1, at_most=60_000)
  hidden: int = ln.static(200, "hidden units", at_least=1)
  init: ln.Init = ln.nested(ln.Init("he_normal"))
  optimizer: ln.Optimizer = ln.nested(
    ln.Optimizer(name="adam", learning_rate=1e-3, schedule="linear")
  )
  batch_size: int = ln.static(100, "examples per step", at_least=1)
  steps: int = ln.static(4000, "updates", at_least=1)


def model(config: Config) -> ln.MLP:
  """784-200-10."""
  return ln.MLP((config.hidden, 10), kernel_init=ln.kernel_init(config.init))


def transformed(config: Config, key: jax.Array, images: jax.Array) -> jax.Array:
  """The images changed in the config's way, each anew."""
  return augmentation.augment(KINDS[config.kind](config), key, images)


training = ln.supervised_training(
  model, transform=lambda learner: ln.augmented(learner, transformed), evaluations=20
)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Every kind from the same settings."""
  fits = {}
  for kind in KINDS:
    case = ln.replace(config, {"kind": kind})
    fits[kind] = lab.fit(kind.replace(",", ""), case, training(case, lab.seed))
  accuracy = {kind: fit.last("test/accuracy") for kind, fit in fits.items()}
  gained, many = "test accuracy gained", f"on {config.examples:,} images"
  claim = ln.claims("R11", unit="points")
  return ln.Report(
    [
      claim(f"{kind}: {what}", source, accuracy[kind] - accuracy["none"], bar)
      for kind, what, source, bar in (
        (
          "shift, rotate, scale",
          f"{gained} {many}",
          "99.23 to 99.37 % on 250,000",
          ln.at_least(0.01),
        ),
        ("elastic", gained, "1.1 to 0.7 % error (Simard)", ln.at_least(0.01)),
        ("crop", gained, "the same idea", ln.at_least(0.01)),
        ("flip", gained, "none: it hurts, or is neutral", ln.at_most(0.002)),
      )
    ],
    [
      examples(config, lab.key("figure")),
      ln.compare_curves(
        fits,
        "test/accuracy",
        title=f"{config.examples:,} images, augmented",
        from_step=1,
        y="test accuracy (%)",
        caption="A line is one kind of augmentation, from the first evaluation after the start.",
        file="accuracy",
      ),
    ],
  )


def examples(config: Config, key: jax.Array) -> ln.Picture:
  """One digit, and nine draws of each kind, a row each."""
  image = ln.inputs_of({"image": jnp.asarray(ln.sets.load("mnist").train["image"][:1])})
  kinds, nine = [kind for kind in KINDS if kind != "none"], jnp.repeat(image, 9, axis=0)
  draws = [transformed(ln.replace(config, {"kind": kind}), key, nine) for kind in kinds]
  return ln.image_grid(
    np.concatenate([part for draw in draws for part in (image, draw)]),
    title="One digit, many times",
    note="first: as it is; rows: " + "; ".join(kinds),
    value_range=(0, 1),
    caption=(
      "A digit as it is, and nine draws of each kind. A mirrored digit is no digit any more."
    ),
    file="examples",
  )


experiment = ln.Experiment(Config, run, training)
