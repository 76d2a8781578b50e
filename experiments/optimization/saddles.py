"""Saddles and plateaus: what really stops descent, and who leaves first (O07).

Ng, course 2 week 2: in many dimensions a point without gradient is hardly ever a minimum, for every
direction would have to curve upwards; it is a saddle. What costs time is a plateau, and momentum,
RMSProp and Adam cross it sooner. Shown on x^2/2 + y^4/4 - y^2/2 from beside its saddle, on a
saturated sigmoid unit, and on a two-layer linear net W2 W1 fitted to diag(3, 2, 1), whose Hessian
at zero has as many negative as positive eigenvalues and none of them at the end.

    python launch.py --experiment=saddles

Expected: momentum, RMSProp and Adam need less than half of SGD's steps at the same rate;
15 seconds.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float
from matplotlib.figure import Figure

import research as ln
from research.figures.paths import descent_paths


@ln.pytree_config
class Config:
  """Starting points and rates of the descents."""

  rate: float = ln.traced(0.1, "learning rate beside the saddle, of every optimiser", above=0)
  offset: float = ln.traced(1e-3, "distance from the saddle's ridge", above=0)
  plateau_rate: float = ln.traced(0.5, "learning rate on the plateau", above=0)
  saturation: float = ln.traced(8.0, "input of the saturated sigmoid", above=0)
  net_rate: float = ln.traced(0.01, "learning rate of the linear net", above=0)
  net_scale: float = ln.traced(
    1e-3, "standard deviation of the linear net's first weights", above=0
  )
  matrices: int = ln.static(20_000, "random Hessians of each size", at_least=1)


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


def optimizer(name: str, rate: float) -> ln.Optimizer:
  """The project's defaults, but RMSProp forgets as fast as in Hinton's lecture."""
  return ln.Optimizer(name, rate, beta2=0.9 if name == "rmsprop" else 0.999)


def descend(
  loss: Callable[[Array], Array], start: Array, name: str, rate: float, steps: int
) -> Float[Array, "steps+1 p"]:
  """All points of a descent."""
  rule = ln.make_optimizer(optimizer(name, rate), steps)

  def step(carry: tuple[Array, Any], _: None) -> tuple[tuple[Array, Any], Array]:
    point, state = carry
    change, state = rule.update(jax.grad(loss)(point), state, point)
    point = optax.apply_updates(point, change)
    return (point, state), point

  points = jax.lax.scan(step, (start, rule.init(start)), None, length=steps)[1]
  return jnp.concatenate([start[None], points])


def steps_until(
  is_out: Callable[[Array], Array],
  loss: Callable[[Array], Array],
  start: Array,
  name: str,
  rate: float,
) -> int:
  """Updates until a point is out; at most MOST_STEPS."""
  rule = ln.make_optimizer(optimizer(name, rate), MOST_STEPS)

  def go_on(carry: tuple[Array, Any, Array]) -> Array:
    return ~is_out(carry[0]) & (carry[2] < MOST_STEPS)

  def step(carry: tuple[Array, Any, Array]) -> tuple[Array, Any, Array]:
    point, state, count = carry
    change, state = rule.update(jax.grad(loss)(point), state, point)
    return optax.apply_updates(point, change), state, count + 1

  return int(jax.lax.while_loop(go_on, step, (start, rule.init(start), jnp.int32(0)))[2])


def share_of_minima(size: int, count: int, key: Array) -> float:
  """Share of random symmetric matrices whose eigenvalues are all positive."""
  a = jax.random.normal(key, (count, size, size))
  return float(jnp.mean(jnp.linalg.eigvalsh(a + a.swapaxes(1, 2)).min(axis=-1) > 0))


EXACT_SHARES = {  # of the Gaussian orthogonal ensemble
  1: 1 / 2,
  2: (2 - math.sqrt(2)) / 4,
  3: (math.pi - 2 * math.sqrt(2)) / (4 * math.pi),
}


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Steps to get away, and eigenvalues, in float64."""
  with jax.enable_x64(True):
    beside = jnp.array([1.0, config.offset])
    saturated = jnp.array([config.saturation])
    small = config.net_scale * jax.random.normal(lab.key("linear net"), (2 * SIZE * SIZE,))
    places = {
      "saddle": (lambda p: jnp.abs(p[1]) > 0.9, saddle, beside, config.rate),
      "plateau": (lambda w: jnp.all(w < 0), plateau, saturated, config.plateau_rate),
      "linear net": (lambda w: linear_net(w) < 0.01, linear_net, small, config.net_rate),
    }
    steps = {
      place: {name: steps_until(*where[:3], name, where[3]) for name in NAMES}
      for place, where in places.items()
    }
    net_paths = {
      name: jax.jit(
        functools.partial(descend, linear_net, name=name, rate=config.net_rate, steps=3000)
      )(small)
      for name in NAMES
    }
    hessian = jax.jit(lambda w: jnp.linalg.eigvalsh(jax.hessian(linear_net)(w)))
    at_zero, at_end = hessian(jnp.zeros_like(small)), hessian(net_paths["momentum"][-1])
    saddle_paths = {
      f"{NAMES[name]}: {steps['saddle'][name]} steps": descend(
        saddle, beside, name, config.rate, 200
      )
      for name in NAMES
    }
    losses = {name: np.asarray(jax.vmap(linear_net)(points)) for name, points in net_paths.items()}
    shares = {
      size: share_of_minima(size, config.matrices, lab.key(f"{size}")) for size in (1, 2, 3, 4, 6)
    }
  return ln.Report(
    [
      *(
        ln.Claim(
          "O07",
          f"{place}: steps of {NAMES[name]} / steps of SGD",
          "leaves sooner (Ng)",
          taken[name] / taken["sgd"],
          ln.at_most(0.5),
        )
        for place, taken in steps.items()
        for name in ("momentum", "rmsprop", "adam")
      ),
      ln.Claim(
        "O07",
        "linear net at zero: negative eigenvalues of the Hessian",
        f"half of {2 * SIZE**2}",
        float(np.sum(np.asarray(at_zero) < -1e-9)),
        ln.equals(SIZE**2),
      ),
      ln.Claim(
        "O07",
        "linear net after training: smallest eigenvalue of the Hessian, negated",
        "a minimum: none negative",
        -float(at_end[0]),
        ln.at_most(1e-6),
      ),
      *(
        ln.Claim(
          "O07",
          f"share of random {size}x{size} Hessians that are a minimum's",
          f"{exact:.4f} (exact)",
          shares[size],
          ln.within(
            round(exact, 6), round(4 * math.sqrt(exact * (1 - exact) / config.matrices), 4)
          ),
        )
        for size, exact in EXACT_SHARES.items()
      ),
    ],
    [
      descent_paths(
        lambda x, y: saddle((x, y)),
        saddle_paths,
        title=f"Away from a saddle, learning rate {config.rate:g}",
        x_range=(-1.2, 1.2),
        y_range=(-0.5, 1.6),
        levels=[-0.24, -0.2, -0.15, -0.1, -0.05, 0, 0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8],
        minimum=(0, 1),
        caption=(
          "All run down to the ridge and stop beside it; the cross is the minimum. Steps are "
          "counted "
          "until y = 0.9."
        ),
        file="saddle",
      ),
      ln.Picture(
        "plateaus",
        plateaus(losses, np.asarray(at_zero), np.asarray(at_end), shares),
        "Left: each singular value of the target is learned after a plateau of its own. Middle: at "
        "zero half of the directions lead down, at the end none. Right: why minima are rare.",
      ),
    ],
  )


def plateaus(
  losses: dict[str, np.ndarray], at_zero: np.ndarray, at_end: np.ndarray, shares: dict[int, float]
) -> Figure:
  """Loss of the linear net, its Hessian's eigenvalues, and the share of minima over dimensions."""
  figure, (panels,) = ln.new_figure("Plateaus, saddles, and why minima are rare", columns=3)
  for index, (name, values) in enumerate(losses.items()):
    look = ln.stroke(index)
    panels[0].plot(
      np.arange(1, len(values) + 1),
      np.maximum(values, 1e-6),
      color=look.colour,
      linestyle=look.dashes,
      label=NAMES[name],
      linewidth=1.7,
    )
  panels[0].set_xscale("log")
  ln.label_axes(panels[0], "step", "loss", "linear net from small weights")
  for index, (name, values) in enumerate({"at zero": at_zero, "trained": at_end}.items(), start=4):
    look = ln.stroke(index)
    panels[1].plot(values, look.marker, color=look.colour, label=f"Hessian {name}", markersize=5)
  panels[1].axhline(0, color="#555555", linewidth=0.9)
  ln.label_axes(panels[1], "number of the eigenvalue", "eigenvalue", "Hessian of the linear net")
  look = ln.stroke(6)
  panels[2].plot(
    list(shares),
    list(shares.values()),
    marker=look.marker,
    color=look.colour,
    label="random Hessians",
  )
  ln.label_axes(
    panels[2], "dimensions", "share with all eigenvalues > 0", "minima among flat points"
  )
  panels[2].set_xticks(list(shares))
  ln.legend_below(figure)
  return figure


experiment = ln.Experiment(Config, run)
