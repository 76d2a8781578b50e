"""Convolution as loops, as one matrix product, and as the library has it (C01-C05).

Saito 2016, sections 7.2 to 7.4: a filter slides over the image, multiplies and adds; the output has
(H + 2P - F) / S + 1 rows, which must be whole; `im2col` copies every window into a row, so that one
product does all the work, at the price of memory; pooling has no parameters and keeps the channels.
Beside it, what is said of it in words: a 1x1 convolution is a dense layer at every pixel, stacks of
3x3 windows see as far as 5x5 or 7x7 ones with fewer weights, and shared weights are few.

    python launch.py --experiment=convolution_by_hand

Expected: all forms equal to 1e-5; the book's sizes and counts exactly; under a minute.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from jaxtyping import Array, Float
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

import research as ln
from research.layers.convolution import convolve


@ln.pytree_config
class Config:
  """The random images on which the forms are compared."""

  images: int = ln.static(2, "images in the batch", at_least=1)
  size: int = ln.static(8, "their height and width", at_least=5)
  channels: int = ln.static(3, "their channels", at_least=1)
  filters: int = ln.static(4, "filters of 3x3", at_least=1)


Images = Float[Array, "n height width channel"]
Kernel = Float[Array, "size size channel filter"]
Columns = Float[Array, "windows values"]


def output_size(size: int, window: int, stride: int, padding: int) -> int:
  """(H + 2P - F) / S + 1.

  Raises:
    UserError: when the window does not fit, or the windows do not come out even.
  """
  if window > size + 2 * padding:
    raise ln.UserError(
      f"a window of {window} is larger than {size} pixels padded by {padding}; pad by at least "
      f"{-(-(window - size) // 2)}"
    )
  steps, rest = divmod(size + 2 * padding - window, stride)
  if rest:
    raise ln.UserError(
      f"({size} + 2 * {padding} - {window}) / {stride} + 1 is not a whole number of windows; "
      "change the padding or the stride"
    )
  return steps + 1


def windows(size: int, window: int, stride: int, padding: int) -> list[slice]:
  """The rows (or columns) of the padded image that each window covers."""
  count = output_size(size, window, stride, padding)
  return [slice(at * stride, at * stride + window) for at in range(count)]


def by_loops(x: np.ndarray, kernel: np.ndarray, stride: int, padding: int) -> np.ndarray:
  """Every output by itself: [n, h, w, c] and [f, f, c, k] to [n, h', w', k]."""
  rows, columns = (windows(size, len(kernel), stride, padding) for size in x.shape[1:3])
  padded = np.pad(x, ((0, 0), (padding,) * 2, (padding,) * 2, (0, 0)))
  y = np.zeros((len(x), len(rows), len(columns), kernel.shape[-1]))
  for image, i, j, k in np.ndindex(*y.shape):
    y[image, i, j, k] = np.sum(padded[image, rows[i], columns[j]] * kernel[..., k])
  return y


def im2col(x: Images, window: int, stride: int, padding: int) -> Columns:
  """Every window of every image as a row."""
  rows, columns = (windows(size, window, stride, padding) for size in x.shape[1:3])
  padded = jnp.pad(x, ((0, 0), (padding,) * 2, (padding,) * 2, (0, 0)))
  cut = [padded[:, row, column].reshape(len(x), -1) for row in rows for column in columns]
  return jnp.stack(cut, axis=1).reshape(-1, cut[0].shape[-1])


def col2im(cols: Columns, shape: tuple[int, ...], window: int, stride: int, padding: int) -> Images:
  """The adjoint: values go back to where they were copied from, and add up there."""
  rows, columns = (windows(size, window, stride, padding) for size in shape[1:3])
  n, height, width, channels = shape
  padded = jnp.zeros((n, height + 2 * padding, width + 2 * padding, channels))
  parts = cols.reshape(n, len(rows), len(columns), window, window, channels)
  for i, row in enumerate(rows):
    for j, column in enumerate(columns):
      padded = padded.at[:, row, column].add(parts[:, i, j])
  return padded[:, padding : padding + height, padding : padding + width]


def by_product(x: Images, kernel: Kernel, stride: int, padding: int) -> Images:
  """`im2col` times the filters as columns."""
  size = output_size(x.shape[1], len(kernel), stride, padding)
  product = im2col(x, len(kernel), stride, padding) @ kernel.reshape(-1, kernel.shape[-1])
  return product.reshape(len(x), size, -1, kernel.shape[-1])


def by_library(x: Images, kernel: Kernel, stride: int, padding: int) -> Images:
  """The convolution of all networks here, which is `lax.conv_general_dilated` or equal to it."""
  return convolve(x, kernel, (stride, stride), ((padding, padding), (padding, padding)))


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


def receptive_field(layers: int, window: int, size: int = 15) -> np.ndarray:
  """Finds the inputs that move the middle output of a stack of convolutions, by its gradient."""
  kernel, padding = jnp.ones((window, window, 1, 1)), window // 2

  def middle(x: Images) -> Array:
    for _ in range(layers):
      x = by_library(x, kernel, 1, padding)
    return x[0, size // 2, size // 2, 0]

  return np.asarray(jax.grad(middle)(jnp.zeros((1, size, size, 1)))[0, :, :, 0])


def parameters(layer: linen.Module) -> int:
  """Of a layer on images of 28x28; a dense one takes them flattened."""
  x = jnp.zeros((1, 28, 28, 1) if isinstance(layer, linen.Conv) else (1, 784))
  return sum(
    leaf.size for leaf in jax.tree.leaves(jax.eval_shape(layer.init, jax.random.key(0), x))
  )


def worst(a: ArrayLike, b: ArrayLike) -> float:
  """The largest difference."""
  return float(np.max(np.abs(np.asarray(a) - np.asarray(b))))


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """All forms on the same images, and the sentences of the books as numbers."""
  keys = jax.random.split(lab.key("images"), 4)
  x = jax.random.normal(keys[0], (config.images, config.size, config.size, config.channels))
  kernel = jax.random.normal(keys[1], (3, 3, config.channels, config.filters))
  cases = [(s, p) for s in (1, 2) for p in (0, 1, 2) if (config.size + 2 * p - 3) % s == 0]
  references = {case: by_loops(np.asarray(x), np.asarray(kernel), *case) for case in cases}
  book = im2col(jnp.zeros((10, 7, 7, 3)), 5, 1, 0)
  columns = im2col(x, 3, 1, 1)
  other = jax.random.normal(keys[2], columns.shape)
  one_by_one = kernel[:1, :1]
  claim = lambda id, what, source, ours, bar: ln.Claim(id, what, source, float(ours), bar)
  return ln.Report(
    [
      *(
        claim(
          "C01",
          f"{name} against loops, every stride and padding, largest difference",
          "equal",
          max(worst(form(x, kernel, *case), references[case]) for case in cases),
          ln.at_most(1e-5),
        )
        for name, form in (("one product", by_product), ("the library", by_library))
      ),
      claim("C01", "rows of 4x4 under 3x3", "2", output_size(4, 3, 1, 0), ln.equals(2)),
      claim("C01", "the same, padded by 1", "4", output_size(4, 3, 1, 1), ln.equals(4)),
      claim(
        "C01", "rows of 7x7 under 3x3 with stride 2", "3", output_size(7, 3, 2, 0), ln.equals(3)
      ),
      claim("C02", "windows of ten 7x7x3 images under 5x5", "90", len(book), ln.equals(90)),
      claim("C02", "values in each", "75", book.shape[1], ln.equals(75)),
      claim(
        "C02",
        "<im2col x, c> less <x, col2im c>, as a share",
        "adjoint",
        abs(jnp.vdot(columns, other) / jnp.vdot(x, col2im(other, x.shape, 3, 1, 1)) - 1),
        ln.at_most(1e-4),
      ),
      *(
        claim(
          "C03",
          f"{name} pooling 2x2 against loops, largest difference; parameters: none",
          "equal",
          worst(pool(x[:, :4, :4]), pool_by_loops(np.asarray(x[:, :4, :4]), of)),
          ln.at_most(1e-5),
        )
        for name, pool, of in (
          ("max", ln.max_pool, np.max),
          ("average", ln.avg_pool, np.mean),
          ("L2", l2_pool, lambda window: np.sqrt(np.sum(window**2))),
        )
      ),
      claim(
        "C03",
        "what one pixel's shift changes after max pooling, as a share of before",
        "1/2: every other point stays in its window",
        shift_robustness(keys[3]),
        ln.within(0.5, 0.1),
      ),
      claim(
        "C04",
        "1x1 convolution against a dense layer at every pixel, largest difference",
        "equal",
        worst(by_library(x, one_by_one, 1, 0), x @ one_by_one[0, 0]),
        ln.at_most(1e-5),
      ),
      *(
        claim(
          "C05",
          f"pixels seen by {layers} layers of 3x3, with {9 * layers} weights",
          f"{(2 * layers + 1) ** 2}",
          np.count_nonzero(receptive_field(layers, 3)),
          ln.equals((2 * layers + 1) ** 2),
        )
        for layers in (2, 3)
      ),
      claim(
        "C05",
        "parameters of 20 shared 5x5 filters",
        "520",
        parameters(ln.Conv(20, (5, 5))),
        ln.equals(520),
      ),
      claim(
        "C05",
        "of a dense layer to 30 units",
        "23,550",
        parameters(linen.Dense(30)),
        ln.equals(23_550),
      ),
    ],
    [
      ln.Picture(
        "receptive_fields",
        fields_figure(),
        "Gradients of one output: two 3x3 layers see what one 5x5 layer sees, three what one of "
        "7x7 sees; the middle counts most, for more paths lead there.",
      )
    ],
  )


def fields_figure() -> Figure:
  """Receptive fields side by side."""
  stacks = {"1 layer of 3x3": (1, 3), "2 of 3x3": (2, 3), "3 of 3x3": (3, 3), "1 of 7x7": (1, 7)}
  figure, grid = ln.new_figure("Receptive fields", columns=len(stacks), panel_inches=(2.3, 2.4))
  for axes, (name, stack) in zip(grid[0], stacks.items(), strict=True):
    field = receptive_field(*stack)
    axes.imshow(field / field.max(), cmap="gray_r", vmin=0, vmax=1)
    axes.set_title(name, fontsize=10, color=ln.INK)
    axes.set_xlabel("column (pixels)", fontsize=9, color=ln.INK)
    axes.set_ylabel("row (pixels)", fontsize=9, color=ln.INK)
  return figure


experiment = ln.Experiment(Config, run)
