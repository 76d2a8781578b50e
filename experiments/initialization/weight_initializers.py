"""Twelve rules for initial weights compared, and every layer's signals on the way (I03).

What Saito 2016, section 6.2, leaves out: zero, constant, deviation 1 and 0.01, LeCun's rule (the
book's Xavier: fan-in), Glorot and Bengio's (fan-average), He's, each normal and uniform, and Saxe's
orthogonal weights, in the net of `init_race`, 784-100x4-10. A member is a number, the rule's
place in a list, so that all rules and seeds are lanes of one program. At every look the
first 1,000 training images are sent through: the root mean squares of what each layer says and of
the loss's gradient by its weighted sums, and the share of its units that say more than nothing.

    python launch.py --experiment=weight_initializers
    python launch.py --experiment=weight_initializers --dataset=fashion_mnist --activation=tanh

Expected: deviation 1 diverges and 0.01 stays at ln 10; uniform and normal weights of one variance
learn alike, He's and stretched orthogonal ones fastest. About two minutes on two CPU cores. On
Fashion-MNIST LeCun's rule reaches 81.1 %, He's 83.3 %, and all else holds as well.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from matplotlib.figure import Figure

import research as ln
from research.analysis.signals import ACTIVATIONS
from research.batch import weights_of
from research.figures.curves import draw_spreads

RULES = {
  "zero": ln.initializer("zeros"),
  "constant 0.01": ln.initializer("constant", 0.01),
  "std 1": ln.initializer("normal", 1.0),
  "std 0.01": ln.initializer("normal", 0.01),
  "LeCun normal": ln.initializer("lecun_normal"),
  "LeCun uniform": ln.initializer("lecun_uniform"),
  "Xavier normal": ln.initializer("xavier_normal"),
  "Xavier uniform": ln.initializer("xavier_uniform"),
  "He normal": ln.initializer("he_normal"),
  "He uniform": ln.initializer("he_uniform"),
  "orthogonal": ln.initializer("orthogonal"),
  "orthogonal x 1.41": ln.initializer("orthogonal", 2**0.5),
}


@ln.pytree_config
class Config:
  """The net of the book's comparison; the rule is the members' own."""

  rule: float = ln.traced(
    0, "place in RULES of what draws the weights", at_least=0, below=len(RULES)
  )
  dataset: str = ln.static("mnist", "images of ten classes", choices=("mnist", "fashion_mnist"))
  activation: str = ln.static("ReLU", "of the hidden layers", choices=tuple(ACTIVATIONS))
  hidden: tuple[int, ...] = ln.static((100,) * 4, "units of the hidden layers", at_least=1)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer(name="sgd", learning_rate=0.01))
  batch_size: int = ln.static(128, "examples per step", at_least=1)
  iterations: int = ln.static(2000, "updates", at_least=1)
  look_every: int = ln.static(100, "updates between looks at the layers", at_least=1)
  looked_at: int = ln.static(1000, "training images that are sent through at a look", at_least=1)
  repeats: int = ln.static(3, "seeds of every member", at_least=1)


def drawn(rule: float | Array, key: Array, shape: tuple[int, ...], dtype: type) -> Array:
  """Weights by the rule at this place, which may be a tracer."""
  draws = [functools.partial(draw, shape=shape, dtype=dtype) for draw in RULES.values()]
  return jax.lax.switch(jnp.asarray(rule, int), draws, key)


class Looks(NamedTuple):
  """What the hidden layers do with some images, layer by layer, [examples, units] each.

  Attributes:
    activations: what a layer says.
    gradients: of each example's loss by the layer's weighted sums.
  """

  activations: list[Float[Array, "examples units"]]
  gradients: list[Float[Array, "examples units"]]


def look(config: Config, params: Any, batch: ln.Batch) -> Looks:
  """Sends a batch through, and its losses back."""
  image = ln.inputs_of(batch)
  layers = [params[f"Dense_{number}"] for number in range(len(config.hidden) + 1)]

  def forward(shifts: list[Array]) -> tuple[Array, list[Array]]:
    a, said = image.reshape(len(image), -1), []
    for layer, shift in zip(layers, shifts, strict=False):
      a = ACTIVATIONS[config.activation](a @ layer["kernel"] + layer["bias"][None] + shift)
      said.append(a)
    logits = a @ layers[-1]["kernel"] + layers[-1]["bias"][None]
    return ln.softmax_cross_entropy(logits, batch).sum(), said

  unmoved = [jnp.zeros((len(image), units)) for units in config.hidden]
  gradients, activations = jax.grad(forward, has_aux=True)(unmoved)
  return Looks(activations, gradients)


def evaluate(config: Config, state: ln.TrainState, batch: ln.Batch) -> dict[str, ln.Mean]:
  """Loss and accuracy, and of every layer three means over examples and units."""
  means = net.evaluate(config, state, batch)
  weight = weights_of(batch)
  of = lambda values: ln.Mean(jnp.sum(weight * values.mean(axis=1)), weight.sum())
  both = look(config, state.params, batch)
  for layer, (a, g) in enumerate(zip(*both, strict=True), start=1):
    means[f"activation {layer}"] = of(jnp.square(a))
    means[f"gradient {layer}"] = of(jnp.square(g))
    means[f"active {layer}"] = of((a > 0).astype(float))
  return means


net = ln.supervised(
  lambda config: ln.MLP(
    (*config.hidden, 10),
    ACTIVATIONS[config.activation],
    lambda key, shape, dtype=jnp.float32: drawn(config.rule, key, shape, dtype),
  ),
  ln.softmax_cross_entropy,
  lambda config: ln.sets.spec(config.dataset).image_shape,
  lambda config: ln.make_optimizer(config.optimizer, config.iterations),
)
learner = net._replace(evaluate=evaluate)


def training(config: Config, seed: int) -> ln.Training:
  """All images to learn from; the first of them are sent through at every look."""
  train = ln.sets.load(config.dataset).train
  return ln.Training(
    learner,
    train,
    ln.sampling.with_replacement(config.batch_size),
    steps=config.iterations,
    evaluate={"look": {name: array[: config.looked_at] for name, array in train.items()}},
    evaluate_every=config.look_every,
    log_every=config.look_every,
  )


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Compares all rules; then what its layers did."""
  members = {name: ln.replace(config, {"rule": place}) for place, name in enumerate(RULES)}
  fits = lab.compare("race", members, training, repeats=config.repeats)
  loss = {name: mean_over(fits[name], lambda fit: fit.last("train/loss")) for name in RULES}
  slope = lambda name: mean_over(fits[name], lambda fit: back(fit, config))
  test = {name: jnp.asarray(array) for name, array in ln.sets.load(config.dataset).test.items()}
  judge = jax.jit(lambda state: net.evaluate(config, state, test)["accuracy"])
  accuracy = lambda fit: float(np.divide(*judge(fit.state)))
  row = lambda what, source, ours, bar, unit="": ln.Claim("I03", what, source, ours, bar, unit)
  half = math.sqrt(config.hidden[-1] / 2)
  first = f"gradient of layer 1 / of layer {len(config.hidden)} before learning"
  powers = len(config.hidden) - 1
  return ln.Report(
    [
      *(
        row(
          f"{name}: loss of the last {config.look_every} batches",
          "ln 10: nothing is learned",
          loss[name],
          ln.within_ratio(2.3026, 0.01),
        )
        for name in ("zero", "std 0.01")
      ),
      *(
        row(
          f"{name}: {first}",
          f"{factor**powers:.3g}: (s sqrt(n/2))^{powers}",
          slope(name),
          ln.within_ratio(float(f"{factor**powers:.3g}"), 0.2),
        )
        for name, factor in (
          ("std 1", half),
          ("std 0.01", 0.01 * half),
          ("LeCun normal", math.sqrt(0.5)),
          ("He normal", 1.0),
          ("He uniform", 1.0),
          ("orthogonal x 1.41", 1.0),
        )
      ),
      *(
        row(
          f"loss of {rule} uniform / of {rule} normal",
          "1: the variance decides",
          loss[f"{rule} uniform"] / loss[f"{rule} normal"],
          ln.within_ratio(1, 0.1),
        )
        for rule in ("LeCun", "Xavier", "He")
      ),
      row(
        "loss of LeCun normal / of He normal",
        "above 1: the half that ReLU drops",
        loss["LeCun normal"] / loss["He normal"],
        ln.at_least(1.1),
      ),
      row(
        "loss of orthogonal / of orthogonal x 1.41",
        "above 1: the same half",
        loss["orthogonal"] / loss["orthogonal x 1.41"],
        ln.at_least(1.1),
      ),
      *(
        row(
          f"{name}: test accuracy",
          f"{100 * source:.4g} %",
          mean_over(fits[name], accuracy),
          ln.within(source, 0.015),
          "%",
        )
        for name, source in (("LeCun normal", 0.914), ("He normal", 0.935))
        if (config.dataset, config.activation) == ("mnist", "ReLU")
      ),
    ],
    pictures(config, fits),
  )


def mean_over(repeats: list[ln.Fit], value: Callable[[ln.Fit], float]) -> float:
  """Returns the mean of a value over the seeds."""
  return float(np.mean([value(fit) for fit in repeats]))


def back(fit: ln.Fit, config: Config) -> float:
  """Root mean square of the first layer's gradient over the last one's, before learning."""
  start = fit.history[0]
  return math.sqrt(start["look/gradient 1"] / start[f"look/gradient {len(config.hidden)}"])


SHOWN = {  # in histograms; deviation 1 has nothing finite to show afterwards
  "before": ("std 1", "std 0.01", "LeCun normal", "He normal"),
  "after": ("std 0.01", "LeCun normal", "He normal"),
}
FOLLOWED = ("std 0.01", "LeCun normal", "Xavier normal", "He normal", "orthogonal x 1.41")


def pictures(config: Config, fits: dict[str, list[ln.Fit]]) -> list[ln.Picture]:
  """The losses, the layers' statistics through training, and histograms before and after it."""
  spread = f"Lines are means over {config.repeats} seeds, bands one standard deviation."
  few = {
    name: jnp.asarray(array[: config.looked_at])
    for name, array in ln.sets.load(config.dataset).train.items()
  }
  looks = {
    when: {name: look(config, state(fits[name][0]).params, few) for name in SHOWN[when]}
    for when, state in (("before", lambda fit: fit.initial()), ("after", lambda fit: fit.state))
  }
  ranges = {("activations", "before"): (0, 2), ("activations", "after"): (0, 4)}
  return [
    ln.compare_panels(
      {
        name: {"this rule": repeats, "He normal": fits["He normal"]}
        for name, repeats in fits.items()
      },
      "train/loss",
      title=f"Twelve rules for initial weights, {config.activation}, {config.dataset}",
      y="loss (nats)",
      columns=4,
      caption=(
        "Every rule beside He's: variance decides, the shape of the distribution does not. "
        f"Deviation 1 is at no number from the first batches on. {spread}"
      ),
      file="loss",
    ),
    ln.Picture(
      "layers",
      through_training(config, {name: fits[name] for name in FOLLOWED}),
      f"Mean squares over {config.looked_at:,} images. The rules that learn end alike, LeCun's and "
      "Xavier's after a detour of some hundred updates; with deviation 0.01 the gradient of the "
      f"first layer is lost, and with it the way out. {spread}",
    ),
    *(
      ln.histogram_grid(
        {name: getattr(both, kind) for name, both in looks[when].items()},
        title=f"{kind.capitalize()} {when} learning, {config.activation}, {config.dataset}",
        x=kind.removesuffix("s"),
        value_range=ranges.get((kind, when)),
        caption=caption,
        file=f"{kind}_{when}",
      )
      for kind, when, caption in (
        (
          "activations",
          "before",
          "Values above 2 are counted in the last bin. 0.01 silences the layers, 1 floods them.",
        ),
        ("activations", "after", "Trained, the layers of LeCun's and He's rules say alike."),
        (
          "gradients",
          "before",
          "Of each image's loss by the layer's weighted sums; every panel has its own scale.",
        ),
        ("gradients", "after", "Most images are known by now and say nothing; the rest decides."),
      )
    ),
  ]


def through_training(config: Config, fits: dict[str, list[ln.Fit]]) -> Figure:
  """Mean squares of activations and of gradients against updates, a column for each layer."""
  figure, grid = ln.new_figure("Every layer through training", 2, len(config.hidden), (2.7, 2.3))
  for row, what in enumerate(("activation", "gradient")):
    for column, axes in enumerate(grid[row]):
      draw_spreads(axes, fits, f"look/{what} {column + 1}")
      title = f"layer {column + 1}" if row == 0 else ""
      ln.label_axes(axes, "step" if row else "", f"{what}, mean square" * (column == 0), title)
      axes.set_yscale("log")
      axes.set_ylim(*((1e-10, 1e2) if row == 0 else (1e-13, 1e0)))
  ln.legend_below(figure)
  return figure


experiment = ln.Experiment(Config, run, training)
