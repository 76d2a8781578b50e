"""Data of the interactive pages, computed by the project's own functions.

Each function imports what it needs when it is called: JAX is slow to import, and only a build of
the whole site computes anything.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  import numpy as np

Data = dict[str, Any]

SCALES = 25  # of initial weights
RATES = 25  # of each update rule
STEPS = 60  # of each path
PASSES = 12  # of the perceptron rule
SIDE = 28  # of a decision region, in pixels
LOOKS = 30  # at a net while it learns


def gates() -> Data:
  """The hand-set units, the truth tables, and what the perceptron rule does, pass by pass."""
  import jax.numpy as jnp

  from experiments.perceptrons.perceptron_rule import perceptron_rule
  from research.models import threshold_units as threshold

  units = {"AND": threshold.AND, "NAND": threshold.NAND, "OR": threshold.OR}
  learned = {}
  for name, table in threshold.TABLES.items():
    found = perceptron_rule(jnp.asarray(table), PASSES)
    weights = zip(*map(_numbers, (*_columns(found.units.weights), found.units.bias)), strict=True)
    learned[name] = {"units": [[0, 0, 0], *weights], "mistakes": _numbers(found.mistakes)}
  return {
    "rows": threshold.ROWS.tolist(),
    "tables": {name: list(table) for name, table in threshold.TABLES.items()},
    "units": {name: [*unit.weights, unit.bias] for name, unit in units.items()},
    "learned": learned,
  }


def _columns(weights: Any) -> list[Any]:
  return [weights[:, 0], weights[:, 1]]


def optimizer_paths() -> Data:
  """Paths down x^2/20 + y^2 by six rules, each at many rates; the book's rates among them."""
  import jax
  import jax.numpy as jnp
  import numpy as np

  from experiments.optimization.paths import Config, valley
  from research.analysis.descent import descend
  from research.config import replace
  from research.optimizers import Optimizer, make_optimizer

  config = Config()
  rules = {
    "SGD": (config.sgd, 0.01, 1.2),
    "Momentum": (config.momentum, 0.005, 0.5),
    "Nesterov": (replace(config.momentum, {"name": "nesterov"}), 0.005, 0.5),
    "AdaGrad": (config.adagrad, 0.05, 5.0),
    "RMSProp": (Optimizer("rmsprop", 0.3, beta2=0.99), 0.01, 2.0),
    "Adam": (config.adam, 0.01, 2.0),
  }
  start, loss = jnp.array([config.x, config.y]), lambda point: valley(point[0], point[1])
  found = {}
  for name, (rule, lowest, highest) in rules.items():
    rates = np.sort([*np.geomspace(lowest, highest, RATES - 1), rule.learning_rate])
    down = lambda rate, rule=rule: descend(
      loss, start, make_optimizer(dataclasses.replace(rule, learning_rate=rate), STEPS), STEPS
    )
    paths = jax.jit(lambda rates, down=down: jax.lax.map(down, rates))(jnp.asarray(rates))
    found[name] = {
      "rates": _numbers(rates, 4),
      "first": int(np.argmin(np.abs(rates - rule.learning_rate))),
      "paths": np.clip(np.round(np.asarray(paths, float), 3), -1e4, 1e4).tolist(),
    }
  return {"start": [config.x, config.y], "rules": found}


def activation_histograms() -> Data:
  """Histograms of the activations of five layers, by activation and deviation of the weights."""
  import jax
  import numpy as np

  from experiments.initialization.activation_histograms import Config
  from research.analysis.signals import ACTIVATIONS, deviations, drawn_weights, signals
  from research.initializers import initializer

  config, bins = Config(), 40
  scales = np.sort([*np.geomspace(0.01, 1, SCALES - 2), 0.1, (2 / config.width) ** 0.5])
  key, reading_key, net_key = jax.random.split(jax.random.key(0), 3)
  x = jax.random.normal(key, (config.examples, config.width))
  reading = jax.random.normal(reading_key, x.shape)
  ranges = {"sigmoid": (0, 1), "step": (0, 1), "tanh": (-1, 1), "ReLU": (0, 3), "GELU": (-0.5, 3)}
  found: dict[str, Any] = {}
  for name, limits in ranges.items():

    def one(scale: Any, name: str = name) -> Any:
      weights = drawn_weights(initializer("normal", scale), net_key, config.layers, config.width)
      return signals(ACTIVATIONS[name], weights, x, reading)

    measure = jax.jit(one)
    counts, spreads = [], []
    for scale in scales:
      shown = measure(scale)
      layers = np.asarray(shown.activations)[:, ::5].reshape(config.layers, -1)
      clipped = np.clip(layers, *limits)
      each = [np.histogram(layer, bins, limits)[0] for layer in clipped]
      counts.append([_shares(one) for one in each])
      both = np.stack([deviations(shown.activations), deviations(shown.gradients)])
      spreads.append([[float(f"{value:.3g}") for value in row] for row in both])
    found[name] = {"range": list(limits), "shares": counts, "deviations": spreads}
  return {"scales": _numbers(scales, 4), "width": config.width, "activations": found}


def _shares(counts: "np.ndarray") -> list[int]:
  """Counts as thousandths of the largest."""
  return [round(1000 * int(count) / max(1, int(counts.max()))) for count in counts]


def decision_regions() -> Data:
  """Small nets while they learn to tell two classes of points apart."""
  import jax
  import jax.numpy as jnp
  import numpy as np

  import research as ln

  ticks = np.linspace(-1.5, 1.5, SIDE)
  plane = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
  steps = np.unique(np.geomspace(1, 1500, LOOKS).round().astype(int))
  optimizer = ln.Optimizer("adam", learning_rate=0.01)
  nets: dict[str, Any] = {}
  sets = point_sets()
  for units in (1, 2, 4, 16):
    net = ln.MLP((units, units, 2), activation=jnp.tanh)
    model: Callable[[Any], Any] = functools.partial(_given, net)
    learner = ln.supervised(
      model,
      ln.softmax_cross_entropy,
      lambda config: (2,),
      lambda config: ln.make_optimizer(config, steps=int(steps[-1])),
    )

    def learn(batch: Any, learner: Any = learner, net: Any = net) -> Any:
      def one(state: Any, _: None) -> Any:
        state, metrics = learner.step(optimizer, state, batch)
        return state, (state.params, metrics["loss"], metrics["accuracy"])

      look = lambda params: jax.nn.softmax(net.apply({"params": params}, jnp.asarray(plane)))[:, 1]
      state = learner.init(optimizer, jax.random.key(1))
      found = jax.lax.scan(one, state, length=int(steps[-1]))[1]
      params, loss, accuracy = jax.tree.map(lambda values: values[steps - 1], found)
      return jax.lax.map(look, params), loss, accuracy

    run = jax.jit(learn)
    for name, (points, labels) in sets.items():
      chance, loss, accuracy = run({"image": jnp.asarray(points), "label": jnp.asarray(labels)})
      grey = np.round(np.asarray(chance) * 93).astype(int) + 33  # printable
      nets[f"{name} {units}"] = {
        "regions": ["".join(map(chr, look)) for look in grey],
        "loss": _numbers(loss, 3),
        "accuracy": _numbers(accuracy, 3),
      }
  shown = {
    name: {"points": np.round(points, 3).tolist(), "labels": labels.tolist()}
    for name, (points, labels) in sets.items()
  }
  return {"side": SIDE, "steps": steps.tolist(), "sets": shown, "nets": nets}


def _given(net: Any, config: Any) -> Any:
  del config
  return net


def point_sets() -> Mapping[str, tuple["np.ndarray", "np.ndarray"]]:
  """Points of two classes in the plane: XOR, a ring around a disc, two spirals."""
  import numpy as np

  draw, count = np.random.default_rng(0), 120
  square = draw.uniform(-1.2, 1.2, (count, 2))
  square += 0.12 * np.sign(square)
  radius = np.where(np.arange(count) % 2 == 0, 0.45 * np.sqrt(draw.uniform(size=count)), 1.0)
  angle = draw.uniform(0, 2 * np.pi, count)
  disc = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
  disc += 0.06 * draw.normal(size=disc.shape)
  turn = np.linspace(0.6, 3 * np.pi, count // 2)
  arm = (turn / (3 * np.pi) * 1.3)[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1)
  return {
    "XOR": (square.astype("float32"), (square[:, 0] * square[:, 1] < 0).astype("int32")),
    "ring": (disc.astype("float32"), (np.arange(count) % 2).astype("int32")),
    "spirals": (
      np.concatenate([arm, -arm]).astype("float32"),
      np.repeat([0, 1], count // 2).astype("int32"),
    ),
  }


def convolution() -> Data:
  """Digits of 8x8, filters, and the project's answers, with which a test compares the page's."""
  import numpy as np

  from experiments.convolution.convolution_by_hand import by_loops
  from research.data import sets

  train = sets.load("digits").train
  places = [int(np.argmax(np.asarray(train["label"]) == label)) for label in range(10)]
  images = np.asarray(train["image"])[places, :, :, 0].astype(float)
  images /= images.max()
  filters: dict[str, list[list[float]]] = {
    "identity": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
    "mean": [[1 / 9] * 3] * 3,
    "edges from left to right": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "edges from top to bottom": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    "outline": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
    "corner": [[0, -1, -1], [1, 1, -1], [0, 1, 0]],
  }
  answers = {}
  for name, kernel in filters.items():
    for stride, padding in ((1, 0), (1, 1), (5, 0)):
      filled = np.asarray(kernel, float)[..., None, None]
      answer = by_loops(images[:1, ..., None], filled, stride, padding)[0, ..., 0]
      answers[f"{name} {stride} {padding}"] = np.round(answer, 4).tolist()
  shown = {name: np.round(kernel, 4).tolist() for name, kernel in filters.items()}
  return {"images": np.round(images, 3).tolist(), "filters": shown, "answers": answers}


def _numbers(values: Any, digits: int = 6) -> list[float]:
  import numpy as np

  return [float(f"{value:.{digits}g}") for value in np.asarray(values).ravel()]


def attention() -> Data:
  """A GRU with attention that learned to write dates, and where it looks for every letter."""
  import jax
  import jax.numpy as jnp
  import numpy as np

  from experiments.sequences import dates
  from research.analysis.alignment import decoder_maps
  from research.compile import ONE_DEVICE, run_steps
  from research.config import replace
  from research.data.text import tasks
  from research.data.text.vocabulary import padded
  from research.models.decoding import written

  small = {"hidden": 64, "embedding": 24, "examples": 8000, "steps": 350}
  config = replace(dates.Config(), {"net": "GRU with attention", **small})
  training = dates.training(config, 0)
  init_key, order_key = jax.random.split(jax.random.key(0))
  data, first = jax.device_put(dict(training.data)), jnp.int32(0)
  fixed = (training.learner, training.sampler, ONE_DEVICE, config.steps, config)
  learn = jax.jit(lambda state: run_steps(*fixed, state, data, order_key, first)[0])
  params = learn(jax.jit(training.learner.init)(config, init_key)).params
  _, learned = tasks.dates(config.examples, 0)
  _, pairs = tasks.dates(400, 1_000_000, without={day for _, day in learned})
  texts, days = zip(*pairs, strict=True)
  coded = padded([dates.CHARACTERS.encode(text) for text in texts], dates.SOURCE_LENGTH)
  found = dates.texts(written(dates.model(config), {"params": params}, coded, dates.TARGET_LENGTH))
  right = float(np.mean(found == np.array(days)))
  chosen = sorted({len(text): place for place, text in enumerate(texts)}.values())
  chosen += [place for place in range(len(texts)) if place not in chosen][: 30 - len(chosen)]
  answers = [str(found[place]) for place in chosen]
  target = padded(
    [dates.CHARACTERS.encode(answer) for answer in answers], dates.TARGET_LENGTH, begin=True
  )
  both = {"source": coded[chosen], "target": target}
  decode = dates.CHARACTERS.decode
  maps = decoder_maps(dates.model(config), params, both, decode, decode)
  shown = [
    {
      "text": texts[place],
      "day": days[place],
      "answer": answer,
      "weights": np.round(np.asarray(one.weights)[: len(answer), : len(texts[place])], 2).tolist(),
    }
    for place, answer, one in zip(chosen, answers, maps, strict=True)
  ]
  return {"right": right, "updates": config.steps, "sentences": shown}
