"""The receptive fields of stacked convolutions, and how few parameters shared weights are (C05).

Saito 2016, section 8.1.2: two layers of 3x3 see as far as one of 5x5 and three as far as one of
7x7, with fewer weights. Nielsen, chapter 6: 20 shared filters of 5x5 have 520 parameters, a dense
layer to 30 units has 23,550. Fields are found by the gradient of one output.

    python launch.py --experiment=receptive_fields

Expected: the books' counts exactly; seconds.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from jaxtyping import Array

import research as ln
from research.layers.convolution import convolve

STACKS = {"1 layer of 3x3": (1, 3), "2 of 3x3": (2, 3), "3 of 3x3": (3, 3), "1 of 7x7": (1, 7)}


@ln.pytree_config
class Config:
  """The image under the stacks."""

  size: int = ln.static(15, "height and width in pixels", at_least=7)


def receptive_field(layers: int, window: int, size: int = 15) -> np.ndarray:
  """Finds the inputs that move the middle output of a stack of convolutions, by its gradient."""
  kernel, padding = jnp.ones((window, window, 1, 1)), (window // 2, window // 2)

  def middle(x: Array) -> Array:
    for _ in range(layers):
      x = convolve(x, kernel, (1, 1), (padding, padding))
    return x[0, size // 2, size // 2, 0]

  return np.asarray(jax.grad(middle)(jnp.zeros((1, size, size, 1)))[0, :, :, 0])


def parameters(layer: linen.Module) -> int:
  """Parameters of a layer on images of 28x28; a dense one takes them flattened."""
  x = jnp.zeros((1, 28, 28, 1) if isinstance(layer, linen.Conv) else (1, 784))
  shapes = jax.eval_shape(layer.init, jax.random.key(0), x)
  return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The pixels that stacks see, and the parameters of two layers."""
  fields = {name: receptive_field(*stack, config.size) for name, stack in STACKS.items()}
  shared, dense = parameters(ln.Conv(20, (5, 5))), parameters(linen.Dense(30))
  claim = ln.claims("C05")
  return ln.Report(
    [
      *(
        claim(
          f"pixels seen by {layers} layers of 3x3, with {9 * layers} weights",
          f"{(2 * layers + 1) ** 2}",
          np.count_nonzero(fields[f"{layers} of 3x3"]),
          ln.equals((2 * layers + 1) ** 2),
        )
        for layers in (2, 3)
      ),
      claim("parameters of 20 shared 5x5 filters", "520", shared, ln.equals(520)),
      claim("of a dense layer to 30 units", "23,550", dense, ln.equals(23_550)),
    ],
    [
      ln.heat_maps(
        {name: field / field.max() for name, field in fields.items()},
        title="Receptive fields",
        x="column (pixels)",
        y="row (pixels)",
        value_range=(0, 1),
        colours="gray_r",
        panel_inches=(2.3, 2.4),
        caption=(
          "Gradients of one output with respect to the pixels, as shares of the largest. A pixel "
          "counts by the number of paths that lead from it to the output."
        ),
        file="receptive_fields",
      )
    ],
  )


experiment = ln.Experiment(Config, run)
