"""A small convolutional net's gradient without a framework: in plain Python loops, and in NumPy.

The net is `research.models.simple_convnet.SimpleConvNet` on images of one channel: convolution,
2x2 max pooling, ReLU, dense, ReLU, dense, softmax. `by_loops` makes every multiplication a step of
Python's; `by_numpy` has `im2col` and matrix products (Saito 2016, section 7.4). Both give the
gradient of the mean cross-entropy as a tree of the form of the parameters.
"""

import math
from typing import Any

import numpy as np
from jaxtyping import Float, Int

Params = Any
Images = Float[np.ndarray, "image row column 1"]
Labels = Int[np.ndarray, " image"]
Numbers = list[float]
Table = list[Numbers]


def by_loops(params: Params, images: Images, labels: Labels) -> Params:
  """The gradient, image after image, without an array."""
  kernel, conv_bias, *dense = as_lists(params)
  total: list[Any] = []
  for image, label in zip(images[..., 0].tolist(), labels.tolist(), strict=True):
    maps = convolved(image, kernel, conv_bias)
    pooled, places = _pooled(maps)
    flat = [max(value, 0.0) for value in pooled]
    hidden = _affine(flat, *dense[:2])
    logits = _affine([max(value, 0.0) for value in hidden], *dense[2:])
    back = _softmax(logits)
    back[label] -= 1.0
    last = _affine_gradient([max(value, 0.0) for value in hidden], back)
    back = _masked(_back(dense[2], back), hidden)
    first = _affine_gradient(flat, back)
    back = _masked(_back(dense[0], back), pooled)
    spread = [[[0.0] * len(row) for row in rows] for rows in maps]
    for (feature, row, column), value in zip(places, back, strict=True):
      spread[feature][row][column] = value
    biases = [sum(map(sum, rows)) for rows in spread]
    found = [kernel_gradient(image, spread, len(kernel[0])), biases, *first, *last]
    arrays = [np.array(each) for each in found]
    total = [a + b for a, b in zip(total, arrays, strict=True)] if total else arrays
  mean = [each / len(images) for each in total]
  return as_params([mean[0].transpose(1, 2, 0)[:, :, None], *mean[1:]])


def by_numpy(params: Params, images: Images, labels: Labels) -> Params:
  """The gradient of all images at once."""
  conv, first, last = (params[name] for name in ("Conv_0", "Dense_0", "Dense_1"))
  count, taps = len(images), len(conv["kernel"])
  maps = convolved_at_once(images, conv["kernel"]) + conv["bias"]
  rows, features = maps.shape[1] // 2, maps.shape[3]
  tiles = maps.reshape(count, rows, 2, rows, 2, features).transpose(0, 1, 3, 5, 2, 4)
  tiles = tiles.reshape(count, rows, rows, features, 4)
  places = tiles.argmax(-1)[..., None]
  pooled = np.take_along_axis(tiles, places, -1)[..., 0]
  flat = np.maximum(pooled, 0).reshape(count, -1)
  hidden = flat @ first["kernel"] + first["bias"]
  raised = np.maximum(hidden, 0)
  logits = raised @ last["kernel"] + last["bias"]
  back = np.exp(logits - logits.max(1, keepdims=True))
  back /= back.sum(1, keepdims=True)
  back[np.arange(count), labels] -= 1
  back /= count
  of_last = raised.T @ back, back.sum(0)
  back = (back @ last["kernel"].T) * (hidden > 0)
  of_first = flat.T @ back, back.sum(0)
  back = (back @ first["kernel"].T).reshape(pooled.shape) * (pooled > 0)
  spread = np.zeros_like(tiles)
  np.put_along_axis(spread, places, back[..., None], -1)
  spread = spread.reshape(count, rows, rows, features, 2, 2).transpose(0, 1, 4, 2, 5, 3)
  spread = spread.reshape(maps.shape)
  of_conv = kernel_gradient_at_once(images, spread, taps), spread.sum((0, 1, 2))
  return as_params([*of_conv, *of_first, *of_last])


def convolved(image: Table, kernel: list[Table], bias: Numbers) -> list[Table]:
  """An image [row, column] under a kernel [feature, i, j], by loops; [feature, row, column]."""
  taps = len(kernel[0])
  places = range(len(image) - taps + 1)
  maps = []
  for weights, start in zip(kernel, bias, strict=True):
    found = [[start] * len(places) for _ in places]
    for row in places:
      for column in places:
        total = start
        for i in range(taps):
          for j in range(taps):
            total += weights[i][j] * image[row + i][column + j]
        found[row][column] = total
    maps.append(found)
  return maps


def kernel_gradient(image: Table, back: list[Table], taps: int) -> list[Table]:
  """The gradient of a kernel [feature, i, j] from that of its outputs, by loops."""
  places = range(len(image) - taps + 1)
  found = [[[0.0] * taps for _ in range(taps)] for _ in back]
  for weights, rows in zip(found, back, strict=True):
    for i in range(taps):
      for j in range(taps):
        total = 0.0
        for row in places:
          for column in places:
            total += rows[row][column] * image[row + i][column + j]
        weights[i][j] = total
  return found


def convolution_by_loops(kernel: np.ndarray, images: Images) -> np.ndarray:
  """The gradient by a kernel [i, j, 1, feature] of half of its outputs' squares; of its form."""
  weights, none = kernel[:, :, 0].transpose(2, 0, 1).tolist(), [0.0] * kernel.shape[-1]
  total = np.zeros((kernel.shape[-1], *kernel.shape[:2]))
  for image in images[..., 0].tolist():
    total += np.array(kernel_gradient(image, convolved(image, weights, none), len(kernel)))
  return total.transpose(1, 2, 0)[:, :, None]


def convolution_by_numpy(kernel: np.ndarray, images: Images) -> np.ndarray:
  """The same as two products."""
  return kernel_gradient_at_once(images, convolved_at_once(images, kernel), len(kernel))


def convolved_at_once(images: Images, kernel: np.ndarray) -> np.ndarray:
  """All images under a kernel [i, j, 1, feature], by one product; [image, row, column, feature]."""
  taps, features = len(kernel), kernel.shape[-1]
  rows = images.shape[1] - taps + 1
  product = _columns(images, taps) @ kernel.reshape(taps * taps, features)
  return product.reshape(len(images), rows, rows, features)


def kernel_gradient_at_once(images: Images, back: np.ndarray, taps: int) -> np.ndarray:
  """The gradient of a kernel [i, j, 1, feature] from that of its outputs, by one product."""
  product = _columns(images, taps).T @ back.reshape(-1, back.shape[-1])
  return product.reshape(taps, taps, 1, -1)


def as_lists(params: Params) -> list[Any]:
  """Kernel [feature, i, j] and bias of the convolution, then of both dense layers, as lists."""
  layers = [params[name] for name in ("Conv_0", "Dense_0", "Dense_1")]
  arrays = [np.asarray(layer[part]) for layer in layers for part in ("kernel", "bias")]
  arrays[0] = arrays[0][:, :, 0].transpose(2, 0, 1)
  return [array.tolist() for array in arrays]


def as_params(arrays: list[np.ndarray]) -> Params:
  """Kernels and biases of the three layers by their names in the network."""
  kernels, biases = arrays[::2], arrays[1::2]
  names = ("Conv_0", "Dense_0", "Dense_1")
  return {
    name: {"kernel": kernel, "bias": bias}
    for name, kernel, bias in zip(names, kernels, biases, strict=True)
  }


def _columns(images: Images, taps: int) -> np.ndarray:
  """Every window of every image as a row."""
  windows = np.lib.stride_tricks.sliding_window_view(images[..., 0], (taps, taps), axis=(1, 2))
  return windows.reshape(-1, taps * taps)


def _pooled(maps: list[Table]) -> tuple[Numbers, list[tuple[int, int, int]]]:
  """The maximum of each 2x2 window, rows first and features last, and its place."""
  values, places = [], []
  for row in range(0, len(maps[0]) - 1, 2):
    for column in range(0, len(maps[0]) - 1, 2):
      for feature, rows in enumerate(maps):
        place = (feature, row, column)
        for i, j in ((0, 1), (1, 0), (1, 1)):
          if rows[row + i][column + j] > rows[place[1]][place[2]]:
            place = (feature, row + i, column + j)
        values.append(rows[place[1]][place[2]])
        places.append(place)
  return values, places


def _affine(inputs: Numbers, weights: Table, bias: Numbers) -> Numbers:
  outputs = list(bias)
  for value, row in zip(inputs, weights, strict=True):
    for unit, weight in enumerate(row):
      outputs[unit] += value * weight
  return outputs


def _affine_gradient(inputs: Numbers, back: Numbers) -> tuple[Table, Numbers]:
  return [[value * error for error in back] for value in inputs], back


def _back(weights: Table, back: Numbers) -> Numbers:
  return [sum(w * e for w, e in zip(row, back, strict=True)) for row in weights]


def _masked(back: Numbers, values: Numbers) -> Numbers:
  return [error if value > 0 else 0.0 for error, value in zip(back, values, strict=True)]


def _softmax(logits: Numbers) -> Numbers:
  highest = max(logits)
  powers = [math.exp(value - highest) for value in logits]
  return [power / sum(powers) for power in powers]
