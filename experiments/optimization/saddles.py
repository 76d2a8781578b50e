"""Saddles and plateaus: what really stops descent, and who leaves first (O07).

Ng, course 2 week 2: what costs time is a plateau, and momentum, RMSProp and Adam cross it sooner
than SGD. Shown on x^2/2 + y^4/4 - y^2/2 from beside its saddle, on a saturated sigmoid unit, and on
a two-layer linear net W2 W1 fitted to diag(3, 2, 1), whose Hessian at zero has as many negative as
positive eigenvalues and none of them at the end. Why most flat points are saddles is the experiment
`random_hessians`.

    python launch.py --experiment=saddles

Expected: momentum, RMSProp and Adam need less than half of SGD's steps at the same rate;
15 seconds.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

import research as ln
from research.analysis.descent import descend, steps_until
from research.figures.paths import descent_paths


@ln.pytree_config
class Config:
  """Starting points and rates of the descents."""

  rate: float = ln.traced(0.1, "learning rate beside the saddle, of every optimiser", above=0)
  offset: float = ln.traced(1e-3, "distance from the saddle's ridge", above=0)
  plateau_rate: float = ln.traced(0.5, "learning rate on the plateau", above=0)
  saturation: float = ln.traced(8.0, "input of the saturated sigmoid", above=0)
  net_rate: float = ln.traced(0.01, "learning rate of the linear net", above=0)
  net_scale: float = ln.traced(1e-3, "deviation of the linear net's first weights", above=0)


NAMES = {"sgd": "SGD", "momentum": "Momentum", "rmsprop": "RMSProp", "adam": "Adam"}
MOST_STEPS = 50_000
TARGET = (3.0, 2.0, 1.0)
SIZE = len(TARGET)


def saddle(point: Any) -> Any:
  """A valley along x, a ridge at y = 0 between the minima at y = -1 and y = 1."""
  x, y = point
  return x**2 / 2 + y**4 / 4 - y**2 / 2


def plateau(w: Float[Array, "1"]) -> Float[Array, ""]:
  """Squared error of a sigmoid unit that should be 0 and is almost 1."""
  return 0.5 * jnp.sum(jax.nn.sigmoid(w) ** 2)


def linear_net(weights: Float[Array, " p"]) -> Float[Array, ""]:
  """Half the squared distance of W2 W1 from the target."""
  w1, w2 = weights.reshape(2, SIZE, SIZE)
  return 0.5 * jnp.sum(jnp.square(w2 @ w1 - jnp.diag(jnp.asarray(TARGET))))


def rule(name: str, rate: float) -> optax.GradientTransformation:
  """The project's defaults, but RMSProp forgets as fast as in Hinton's lecture."""
  beta2 = 0.9 if name == "rmsprop" else 0.999
  return ln.make_optimizer(ln.Optimizer(name, rate, beta2=beta2), MOST_STEPS)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Counts the steps to get away, and takes eigenvalues, in float64."""
  with jax.enable_x64(True):
    beside = jnp.array([1.0, config.offset])
    saturated = jnp.array([config.saturation])
    small = config.net_scale * jax.random.normal(lab.key("linear net"), (2 * SIZE * SIZE,))
    places: dict[str, tuple[Any, ...]] = {
      "saddle": (lambda p: jnp.abs(p[1]) > 0.9, saddle, beside, config.rate),
      "plateau": (lambda w: jnp.all(w < 0), plateau, saturated, config.plateau_rate),
      "linear net": (lambda w: linear_net(w) < 0.01, linear_net, small, config.net_rate),
    }
    count = lambda is_out, loss, start, rate: {
      name: steps_until(is_out, loss, start, rule(name, rate), MOST_STEPS) for name in NAMES
    }
    steps = {place: count(*descent) for place, descent in places.items()}
    train = lambda start, name: descend(linear_net, start, rule(name, config.net_rate), 3000)
    trained = {name: jax.jit(train, static_argnums=1)(small, name) for name in NAMES}
    hessian = jax.jit(lambda w: jnp.linalg.eigvalsh(jax.hessian(linear_net)(w)))
    at_zero, at_end = hessian(jnp.zeros_like(small)), hessian(trained["momentum"][-1])
    losses = {name: jax.vmap(linear_net)(points) for name, points in trained.items()}
    pictures = [saddle_paths(beside, steps["saddle"], config), plateaus(losses, at_zero, at_end)]
  claim, zero = ln.claims("O07"), "linear net at zero: negative eigenvalues of the Hessian"
  end = "linear net after training: smallest eigenvalue of the Hessian, negated"
  sooner = "leaves sooner (Ng)"
  negative = float(np.sum(np.asarray(at_zero) < -1e-9))
  return ln.Report(
    [
      *(
        claim(f"{place}: steps of {NAMES[name]} / steps of SGD", sooner, ratio, ln.at_most(0.5))
        for place, taken in steps.items()
        for name, ratio in ((name, taken[name] / taken["sgd"]) for name in list(NAMES)[1:])
      ),
      claim(zero, f"half of {2 * SIZE**2}", negative, ln.equals(SIZE**2)),
      claim(end, "a minimum: none negative", -float(at_end[0]), ln.at_most(1e-6)),
    ],
    pictures,
  )


def saddle_paths(start: Array, steps: dict[str, int], config: Config) -> ln.Picture:
  """The descents beside the saddle."""
  return descent_paths(
    lambda x, y: saddle((x, y)),
    {
      f"{name}: {steps[own]} steps": descend(saddle, start, rule(own, config.rate), 200)
      for own, name in NAMES.items()
    },
    title=f"Away from a saddle, learning rate {config.rate:g}",
    x_range=(-1.2, 1.2),
    y_range=(-0.5, 1.6),
    levels=[-0.24, -0.2, -0.15, -0.1, -0.05, 0, 0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8],
    minimum=(0, 1),
    caption="The cross is the minimum. Steps are counted until |y| = 0.9.",
    file="saddle",
  )


def plateaus(losses: dict[str, Array], at_zero: Array, at_end: Array) -> ln.Picture:
  """The loss of the linear net, and its Hessian's eigenvalues."""
  curves = {
    NAMES[name]: (np.arange(1, len(values) + 1), np.maximum(np.asarray(values), 1e-6))
    for name, values in losses.items()
  }
  number = np.arange(len(at_zero))
  hessians = {"at zero": (number, at_zero), "trained": (number, at_end)}
  return ln.function_curves(
    [
      ln.Panel("loss", curves, "linear net from small weights", log="x", x="step"),
      ln.Panel("eigenvalue", hessians, "Hessian of the linear net", x="number of the eigenvalue"),
    ],
    title="Plateaus and saddles",
    caption="Left: by optimiser, from equal weights. Right: the eigenvalues in order.",
    file="plateaus",
  )


experiment = ln.Experiment(Config, run)
