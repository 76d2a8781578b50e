"""Convolution as loops, as one matrix product, and as the library has it (C01, C02, C04).

Saito 2016, sections 7.2 to 7.4: a filter slides over the image, multiplies and adds; the output has
(H + 2P - F) / S + 1 rows, which must be whole; `im2col` copies every window into a row, so that one
product does all the work, at the price of memory. A 1x1 convolution is a dense layer at every pixel
(section 8.2 of the book; Dive into Deep Learning, section 7.4).

    python launch.py --experiment=convolution_by_hand

Expected: all forms equal to 1e-5; the book's sizes exactly; under a minute.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

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


SIZES = {
  "rows of 4x4 under 3x3": (2, (4, 3, 1, 0)),
  "the same, padded by 1": (4, (4, 3, 1, 1)),
  "rows of 7x7 under 3x3 with stride 2": (3, (7, 3, 2, 0)),
}


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """All forms on the same images, and the book's sizes."""
  keys = jax.random.split(lab.key("images"), 4)
  x = jax.random.normal(keys[0], (config.images, config.size, config.size, config.channels))
  kernel = jax.random.normal(keys[1], (3, 3, config.channels, config.filters))
  cases = [(s, p) for s in (1, 2) for p in (0, 1, 2) if (config.size + 2 * p - 3) % s == 0]
  references = {case: by_loops(np.asarray(x), np.asarray(kernel), *case) for case in cases}
  worst = lambda a, b: float(np.max(np.abs(np.asarray(a) - np.asarray(b))))
  farthest = lambda form: max(worst(form(x, kernel, *case), references[case]) for case in cases)
  book, columns = im2col(jnp.zeros((10, 7, 7, 3)), 5, 1, 0), im2col(x, 3, 1, 1)
  other = jax.random.normal(keys[2], columns.shape)
  adjoint = abs(jnp.vdot(columns, other) / jnp.vdot(x, col2im(other, x.shape, 3, 1, 1)) - 1)
  dense = worst(by_library(x, kernel[:1, :1], 1, 0), x @ kernel[0, 0])
  form, copies, pixel = ln.claims("C01"), ln.claims("C02"), ln.claims("C04")
  one = "1x1 convolution against a dense layer at every pixel"
  against = "against loops, every stride and padding, largest difference"
  return ln.Report(
    [
      form(f"one product {against}", "equal", farthest(by_product), ln.at_most(1e-5)),
      form(f"the library {against}", "equal", farthest(by_library), ln.at_most(1e-5)),
      *(
        form(what, str(count), output_size(*sizes), ln.equals(count))
        for what, (count, sizes) in SIZES.items()
      ),
      copies("windows of ten 7x7x3 images under 5x5", "90", len(book), ln.equals(90)),
      copies("values in each", "75", book.shape[1], ln.equals(75)),
      copies("<im2col x, c> less <x, col2im c>, as a share", "adjoint", adjoint, ln.at_most(1e-4)),
      pixel(f"{one}, largest difference", "equal", dense, ln.at_most(1e-5)),
    ],
    [picture()],
  )


def picture() -> ln.Picture:
  """The windows of a small image, copied into rows."""
  image = jnp.arange(16.0).reshape(1, 4, 4, 1)
  return ln.heat_maps(
    {"an image of 4x4": image[0, ..., 0], "im2col: its windows of 3x3": im2col(image, 3, 1, 0)},
    title="Every window becomes a row",
    x="column",
    y="row",
    number=".0f",
    value_range=(0, 15),
    panel_inches=(4.6, 3.0),
    caption="Pixels are numbered. A product of the rows with the filters as columns is the whole "
    "convolution; pixels in the middle are copied up to four times.",
    file="im2col",
  )


experiment = ln.Experiment(Config, run)
