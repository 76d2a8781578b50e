"""Squared error and cross-entropy, and why accuracy cannot take their place (L01, L02).

Saito 2016, section 4.2: 0.5 sum (y - t)^2; -sum t log(y + 1e-7), in its forms for one-hot targets,
for labels and for mini-batches, which agree. Accuracy is constant almost everywhere in the
weights, so that its gradient is 0 and says nothing; the loss slopes everywhere.

    python launch.py --experiment=losses

Expected: the book's values to all digits (float64); the gradient of the accuracy 0 at every
weight, that of the loss at none. No training; about 5 seconds on two CPU cores.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

import research as ln

EPSILON = 1e-7  # keeps the logarithm finite where y is 0


@ln.pytree_config
class Config:
  """The points that are classified while one weight moves."""

  points: int = ln.static(60, "points of two classes", at_least=2)
  spread: float = ln.traced(1.0, "standard deviation of each class about its centre", above=0)
  positions: int = ln.static(1001, "values of the weight, from -4 to 4", at_least=100)
  h: float = ln.traced(1e-4, "half the distance of the difference quotients", above=0)


def squared_error(y: Float[Array, " classes"], target: Float[Array, " classes"]) -> Array:
  """Half the squared distance."""
  return 0.5 * jnp.sum((y - target) ** 2)


def cross_entropy(y: Float[Array, " classes"], target: Float[Array, " classes"]) -> Array:
  """The loss of one example and its one-hot target, in nats."""
  return -jnp.sum(target * jnp.log(y + EPSILON))


def label_cross_entropy(y: Float[Array, " classes"], label: Int[Array, ""]) -> Array:
  """The same of the class's number: the other terms of the sum are 0."""
  return -jnp.log(y[label] + EPSILON)


def batch_cross_entropy(y: Float[Array, "batch classes"], label: Int[Array, " batch"]) -> Array:
  """Mean over a mini-batch of labels."""
  return -jnp.mean(jnp.log(y[jnp.arange(len(y)), label] + EPSILON))


# Saito 2016, section 4.2: the digit is a 2; one net says so with 0.6, the other one says 7.
LABEL = 2
RIGHT = (0.1, 0.05, 0.6, 0.0, 0.05, 0.1, 0.0, 0.1, 0.0, 0.0)
WRONG = (0.1, 0.05, 0.1, 0.0, 0.05, 0.1, 0.0, 0.6, 0.0, 0.0)


def logits(weight: Float[Array, ""], x: Float[Array, "points 2"]) -> Float[Array, "points 2"]:
  """A unit with one free weight, against a constant: w x_0 + x_1 against 0."""
  total = weight * x[:, 0] + x[:, 1]
  return jnp.column_stack([jnp.zeros_like(total), total])


def accuracy(weight: Float[Array, ""], x: Array, label: Array) -> Float[Array, ""]:
  """Share of the points that are classified right."""
  return jnp.mean(logits(weight, x).argmax(axis=-1) == label)


def loss(weight: Float[Array, ""], x: Array, label: Array) -> Float[Array, ""]:
  """Mean cross-entropy of the same points."""
  return batch_cross_entropy(jax.nn.softmax(logits(weight, x)), label)


def random_points(config: Config, key: Array) -> tuple[Float[Array, "points 2"], Array]:
  """Two overlapping classes in turn, about (-1, -1) and (1, 1)."""
  label = jnp.arange(config.points) % 2
  noise = config.spread * jax.random.normal(key, (config.points, 2))
  return (2.0 * label - 1)[:, None] + noise, label


def form_differences(key: Array) -> tuple[float, float]:
  """Largest differences of the label and the mini-batch form from the one-hot form."""
  first, second = jax.random.split(key)
  y = jax.nn.softmax(3 * jax.random.normal(first, (100, 10)))
  label = jax.random.randint(second, (100,), 0, 10)
  one_hot = jax.vmap(cross_entropy)(y, jax.nn.one_hot(label, 10, dtype=y.dtype))
  by_label = jax.vmap(label_cross_entropy)(y, label)
  in_batch = batch_cross_entropy(y, label)
  return float(jnp.abs(by_label - one_hot).max()), float(jnp.abs(in_batch - one_hot.mean()))


GOLDEN = (
  ("squared error, 2 read as 2", squared_error, RIGHT, 0.0975),
  ("squared error, 2 read as 7", squared_error, WRONG, 0.5975),
  ("cross-entropy, 2 read as 2", cross_entropy, RIGHT, 0.510825457099338),
  ("cross-entropy, 2 read as 7", cross_entropy, WRONG, 2.302584092994546),
)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Golden values, equal forms, and gradients along one weight; all in float64."""
  values_claim, slopes_claim, claims = ln.claims("L01"), ln.claims("L02"), []
  with jax.enable_x64(True):
    target = jax.nn.one_hot(LABEL, 10, dtype=jnp.float64)
    for what, function, y, value in GOLDEN:
      ours = float(function(jnp.array(y), target))
      claims.append(values_claim(what, f"{value:.16g}", ours, ln.within(value, 1e-15)))
    by_label, in_batch = form_differences(lab.key("forms"))
    at_zero = float(cross_entropy(jnp.zeros(10), target))

    x, label = random_points(config, lab.key("points"))
    weights = jnp.linspace(-4, 4, config.positions)
    along = lambda f: jax.jit(jax.vmap(lambda weight: f(weight, x, label)))
    accuracies, losses = (np.asarray(along(f)(weights)) for f in (accuracy, loss))
    slopes, loss_slopes = (along(jax.grad(f))(weights) for f in (accuracy, loss))
    sloping, level = int((slopes != 0).sum()), int((loss_slopes == 0).sum())
    after, before = along(accuracy)(weights + config.h), along(accuracy)(weights - config.h)
    flat = float(np.asarray(after == before).mean())
  forms = "label against one-hot form, largest difference"
  what = "cross-entropy where the right class has probability 0: finite"
  claims += [
    values_claim(forms, "equal", by_label, ln.at_most(0)),
    values_claim("mini-batch against mean of one-hot forms", "equal", in_batch, ln.at_most(1e-15)),
    values_claim(what, "-log(1e-7) = 16.118", at_zero, ln.within(16.118, 0.0005)),
  ]
  count = f"weights of {config.positions:,} where the gradient of the"
  what = f"share of weights where the accuracy's difference quotient is 0, h = {config.h:g}"
  claims += [
    slopes_claim(f"{count} accuracy is not 0", "0", sloping, ln.equals(0)),
    slopes_claim(what, "nearly everywhere", flat, ln.at_least(0.95), "%"),
    slopes_claim(f"{count} loss is 0", "0", level, ln.equals(0)),
  ]
  picture = ln.function_curves(
    [
      ln.Panel("accuracy (%)", {"accuracy": (weights, 100 * accuracies)}),
      ln.Panel("cross-entropy (nats)", {"loss": (weights, losses)}),
    ],
    title="Accuracy and loss over one weight",
    x="weight",
    stacked=True,
    caption="The accuracy is a staircase: flat, so that its gradient is 0, but for jumps where one "
    "point changes sides. The loss slopes everywhere towards its minimum.",
    file="accuracy_and_loss",
  )
  return ln.Report(claims, [picture])


experiment = ln.Experiment(Config, run)
