"""Pooling as loops and as the library has it, and what it forgives (C03).

Saito 2016, section 7.2.3: a window of 2x2 gives its maximum or its mean, of every channel by
itself; there are no parameters. Nielsen, chapter 6, adds the root of the sum of squares (L2). What
is said of max pooling, that it forgives small shifts, is counted on sparse points.

    python launch.py --experiment=pooling_by_hand

Expected: all forms equal to 1e-5; a shift of one pixel changes half as much after max pooling;
seconds.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import research as ln

Images = Float[Array, "n height width channel"]


@ln.pytree_config
class Config:
  """The random images on which the forms are compared."""

  images: int = ln.static(2, "images in the batch", at_least=1)
  size: int = ln.static(8, "their height and width", at_least=5)
  channels: int = ln.static(3, "their channels", at_least=1)


def l2_pool(x: Images) -> Images:
  """Root of the sum of squares over 2x2 windows (Nielsen, chapter 6)."""
  return jnp.sqrt(4 * ln.avg_pool(jnp.square(x)))


def pool_by_loops(x: np.ndarray, of: Callable[[np.ndarray], float]) -> np.ndarray:
  """One number for every window of every channel."""
  n, height, width, channels = x.shape
  y = np.zeros((n, height // 2, width // 2, channels))
  for image, i, j, c in np.ndindex(*y.shape):
    y[image, i, j, c] = of(x[image, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, c])
  return y


def shift_robustness(key: Array) -> float:
  """Change by a shift of one pixel, of the pooled image over that of the image; sparse points."""
  x = jax.random.bernoulli(key, 0.01, (100, 28, 28, 1)).astype(float)
  moved = jnp.roll(x, 1, axis=2)
  change = lambda a, b: jnp.sum(jnp.abs(a - b)) / jnp.sum(jnp.abs(a))
  return float(change(ln.max_pool(x), ln.max_pool(moved)) / change(x, moved))


FORMS: dict[str, tuple[Callable[[Images], Images], Callable[[np.ndarray], float]]] = {
  "max": (ln.max_pool, np.max),
  "average": (ln.avg_pool, np.mean),
  "L2": (l2_pool, lambda window: np.sqrt(np.sum(window**2))),
}


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Every form against loops, and the shift."""
  x_key, _, _, shift_key = jax.random.split(lab.key("images"), 4)
  x = jax.random.normal(x_key, (config.images, config.size, config.size, config.channels))[
    :, :4, :4
  ]
  differs = lambda pool, of: np.max(np.abs(np.asarray(pool(x)) - pool_by_loops(np.asarray(x), of)))
  claim = ln.claims("C03")
  return ln.Report(
    [
      *(
        claim(
          f"{name} pooling 2x2 against loops, largest difference; parameters: none",
          "equal",
          differs(pool, of),
          ln.at_most(1e-5),
        )
        for name, (pool, of) in FORMS.items()
      ),
      claim(
        "what one pixel's shift changes after max pooling, as a share of before",
        "1/2: every other point stays in its window",
        shift_robustness(shift_key),
        ln.within(0.5, 0.1),
      ),
    ],
    [picture(x)],
  )


def picture(x: Images) -> ln.Picture:
  """One channel of an image as it is, and pooled."""
  pooled = {f"{name} pooling": pool(x)[0, ..., 0] for name, (pool, _) in FORMS.items()}
  return ln.heat_maps(
    {"a channel of an image": x[0, ..., 0], **pooled},
    title="Windows of 2x2, each one number",
    x="column",
    y="row",
    number=".2f",
    panel_inches=(2.9, 2.9),
    caption="Of random values the maximum, the mean, and the root of the sum of squares.",
    file="pooled",
  )


experiment = ln.Experiment(Config, run)
