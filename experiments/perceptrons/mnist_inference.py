"""A 784-50-100-10 sigmoid net reads MNIST, one image or a hundred at a time (P08).

Saito 2016, section 3.6: weights that were trained elsewhere come from a file, and read 93.52 % of
the test images; a batch of 100 gives the same answers as single images, much faster. The book's
file, sample_weight.pkl of chapter 3, is in no package index. Whoever has it gives it by --weights:
then the accuracy must be 0.9352. Without it 93.52 % is not measured again: a net of the same shape
is trained here, by Adam with learning rate 0.001 in batches of 100, and the claims are those that
hold for any weights.

    python launch.py --experiment=mnist_inference

Expected: 45,360 parameters, equal answers, and above 93.52 % with the net that is trained here;
about 20 seconds on two CPU cores.
"""

import functools
import io
import math
import pickle
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Array, Float
from matplotlib.figure import Figure

import research as ln
from research.figures.signal_flow import array_shapes

SHAPE = (28, 28, 1)
SIZES = (784, 50, 100, 10)
BATCH = 100


@ln.pytree_config
class Config:
  """The net that is trained where no weights are given."""

  weights: str = ln.static("", "file of the book's weights; empty trains a net of the same shape")
  init: ln.Init = ln.nested(ln.Init("xavier_normal"))
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer(name="adam", learning_rate=1e-3))
  epochs: int = ln.static(5, "passes over the training set", at_least=1)


def model(config: Config) -> ln.MLP:
  """Sigmoid units in the hidden layers; the logits come out."""
  return ln.MLP(SIZES[1:], nn.sigmoid, ln.kernel_init(config.init))


def steps_per_epoch() -> int:
  """Batches of 100 that hold every training image once."""
  return math.ceil(ln.sets.spec("mnist").train_size / BATCH)


learner = ln.supervised(
  model,
  ln.softmax_cross_entropy,
  lambda config: SHAPE,
  lambda config: ln.make_optimizer(config.optimizer, config.epochs * steps_per_epoch()),
)


class StoredType:
  """What a pickle says of an array's type: its code, such as "f4", and its byte order."""

  def __init__(self, code: Any, *_: Any):
    if code not in ("f4", "f8"):
      raise pickle.UnpicklingError(f"an array of type {code!r}; weights are f4 or f8")
    self.code, self.order = code, "<"

  def __setstate__(self, state: Any) -> None:
    self.order = {"<": "<", ">": ">"}[state[1]]


class StoredArray:
  """What a pickle says of an array; read as plain numbers, so that NumPy is never given a lie."""

  value: np.ndarray

  def __init__(self, *_: Any):
    pass

  def __setstate__(self, state: Any) -> None:
    _, shape, dtype, is_fortran, data = state
    numbers = np.frombuffer(data, dtype.order + dtype.code)
    self.value = numbers.reshape(shape, order="F" if is_fortran else "C")


def stored_array(data: Any, dtype: StoredType, shape: Any, order: str) -> StoredArray:
  """The same as pickles of protocol 5 put it."""
  array = StoredArray()
  array.__setstate__((1, shape, dtype, order == "F", data))
  return array


# A pickle is a program that calls what it names. These are all the names that a pickle of arrays
# needs (NumPy 2 renamed `core`), and what they may call here.
ALLOWED: dict[tuple[str, str], Any] = {
  ("numpy", "ndarray"): None,
  ("numpy", "dtype"): StoredType,
  ("numpy.core.multiarray", "_reconstruct"): StoredArray,
  ("numpy._core.multiarray", "_reconstruct"): StoredArray,
  ("numpy.core.numeric", "_frombuffer"): stored_array,
  ("numpy._core.numeric", "_frombuffer"): stored_array,
  ("_codecs", "encode"): lambda text, _: text.encode("latin1"),
}


class ArrayUnpickler(pickle.Unpickler):
  """Reads dictionaries of arrays, and calls nothing that a file names but what is allowed."""

  def find_class(self, module: str, name: str) -> Any:
    """Returns the stand-in for a name in the file."""
    if (module, name) not in ALLOWED:
      raise pickle.UnpicklingError(f"it asks for {module}.{name}")
    return ALLOWED[module, name]


def read_weights(path: Path) -> dict[str, dict[str, np.ndarray]]:
  """The book's {"W1": [784, 50], "b1": [50], ...} as parameters of `model`.

  Raises:
    UserError: the file cannot be read, holds anything but arrays, or another net's.
  """
  try:
    stored = ArrayUnpickler(io.BytesIO(path.read_bytes())).load()
    arrays = {name: array.value for name, array in stored.items()}
  except OSError as error:
    raise ln.UserError(f"--weights={path}: {error.strerror}; give the path of a file") from error
  except Exception as error:  # a damaged pickle may raise anything
    raise ln.UserError(
      f"--weights={path} is not a pickled dictionary of arrays: {error}; give the book's "
      "sample_weight.pkl, or leave the flag out to train a net"
    ) from error
  needed: dict[str, tuple[int, ...]]
  needed = {f"W{n}": shape for n, shape in enumerate(pairwise(SIZES), start=1)}
  needed |= {f"b{n}": (size,) for n, size in enumerate(SIZES[1:], start=1)}
  shapes = {name: array.shape for name, array in arrays.items()}
  if shapes != needed:
    raise ln.UserError(f"--weights={path} holds {shapes}; a 784-50-100-10 net has {needed}")
  return {
    f"Dense_{n}": {"kernel": arrays[f"W{n + 1}"], "bias": arrays[f"b{n + 1}"]} for n in range(3)
  }


def logits(params: Any, image: Float[Array, "batch 784"]) -> Float[Array, "batch 10"]:
  """The net's outputs; softmax would not change which is largest."""
  return model(Config()).apply({"params": params}, image)


def read_all(params: Any, images: np.ndarray, size: int) -> tuple[np.ndarray, float]:
  """Logits of all images, `size` to a call, and the seconds that it took, compilation left out."""
  call = functools.partial(jax.jit(logits), params)
  jax.block_until_ready(call(images[:size]))
  start = time.perf_counter()
  parts = [call(images[first : first + size]) for first in range(0, len(images), size)]
  jax.block_until_ready(parts)
  return np.concatenate(parts), time.perf_counter() - start


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Reads the test set twice, with weights from a file or from a fit."""
  params = read_weights(Path(config.weights)) if config.weights else None
  splits = ln.sets.load("mnist")
  pictures = [ln.Picture("shapes", shapes(), "Figures 2.5 and 2.6, by the shapes of the arrays.")]
  source, bar = "93.52 %", ln.equals(0.9352)
  if params is None:
    training = ln.Training(
      learner,
      splits.train,
      ln.sampling.by_epoch(BATCH),
      steps=config.epochs * steps_per_epoch(),
      evaluate={"test": splits.test},
      evaluate_every=steps_per_epoch(),
      log_every=steps_per_epoch(),
    )
    fit = lab.fit("train", config, training)
    params = fit.state.params
    source, bar = "93.52 % by other weights, not measured here", ln.at_least(0.9352)
    pictures.append(
      ln.learning_curves(
        fit,
        title="784-50-100-10 on MNIST",
        epochs=True,
        caption="The net that stands in for the book's.",
      )
    )
  params = jax.device_put(params)
  images = splits.test["image"].reshape(-1, SIZES[0]).astype(np.float32) / 255
  by_hundred, seconds = read_all(params, images, BATCH)
  by_one, single_seconds = read_all(params, images, 1)
  answers = by_hundred.argmax(axis=1)
  return ln.Report(
    [
      ln.Claim(
        "P08",
        f"784-50-100-10, test accuracy, weights {'given' if config.weights else 'trained here'}",
        source,
        float(np.mean(answers == splits.test["label"])),
        bar,
        "%",
      ),
      ln.Claim(
        "P08",
        "parameters",
        "45,360",
        sum(leaf.size for leaf in jax.tree.leaves(params)),
        ln.equals(45_360),
      ),
      ln.Claim(
        "P08",
        "test images whose class is another one alone than in a batch of 100",
        "0",
        float(np.sum(answers != by_one.argmax(axis=1))),
        ln.equals(0),
      ),
      ln.Claim(
        "P08",
        "logits alone against logits in a batch of 100, largest difference",
        "equal",
        np.abs(by_hundred - by_one).max(),
        ln.at_most(1e-4),
      ),
      ln.Claim(
        "P08",
        "speed of batches of 100 over single images, images per second",
        "much faster",
        single_seconds / seconds,
        ln.at_least(2),
        "times",
      ),
    ],
    pictures,
  )


def shapes() -> Figure:
  """The arrays that one image and a batch meet, by tracing the net."""
  abstract = jax.eval_shape(learner.init, Config(), jax.random.key(0)).params
  kernels = {f"W{n + 1}": abstract[f"Dense_{n}"]["kernel"].shape for n in range(3)}
  case = lambda x: {"x": x, **kernels, "y": (*x[:-1], SIZES[-1])}
  return array_shapes(
    {"one image": case((784,)), "a batch of 100": case((BATCH, 784))},
    title="Shapes through the net",
    caption="",
  ).figure


experiment = ln.Experiment(Config, run)
