"""A net of any depth, vectorised over examples and checked shape by shape (B07).

Ng, Neural Networks and Deep Learning, week 4: examples are columns, W[l] is (n[l], n[l-1]), every
forward step leaves what the backward step needs in a cache, and dW[l] has the shape of W[l]. There
is a loop over layers and none over examples. Here both are written: the loop over examples gives
the same gradient, many times slower.

    python launch.py --experiment=deep_net

Expected: equal to 1e-6, and to `jax.grad`; at least ten times as fast as the loop; 15 seconds.
"""

import itertools
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import research as ln
from research.analysis.timing import shortest_call


@ln.pytree_config
class Config:
  """The net, and the numbers of examples over which it is timed."""

  sizes: tuple[int, ...] = ln.static((64, 20, 20, 20, 10), "units of every layer", at_least=1)
  examples: tuple[int, ...] = ln.static((1, 4, 16, 64, 256), "numbers of examples", at_least=1)
  deepest: int = ln.static(8, "layers of the deepest net compared with jax.grad", at_least=1)


class Layer(NamedTuple):
  """W[l] of shape (n[l], n[l-1]) and b[l] of shape (n[l], 1); or their gradients."""

  w: Float[Array, "n m"]
  b: Float[Array, "n 1"]


Net = list[Layer]
Rng = np.random.Generator
Inputs = Float[Array, "n0 examples"]
Outputs = Float[Array, "classes examples"]
Cache = tuple[Array, Array]  # what a layer's backward step needs: its input A[l-1], its sum Z[l]


def expect(name: str, array: Array, shape: tuple[int, ...]) -> None:
  """Raises a ValueError that names the array, its shape and the right one, unless they agree."""
  if array.shape != shape:
    raise ValueError(f"{name} has shape {array.shape}, not {shape}")


def forward(net: Net, x: Inputs) -> tuple[Outputs, list[Cache]]:
  """Softmax outputs, and the caches from the first layer to the last."""
  a, caches = x, []
  for number, (w, b) in enumerate(net, start=1):
    expect(f"W[{number}]", w, (w.shape[0], a.shape[0]))
    expect(f"b[{number}]", b, (w.shape[0], 1))
    z = w @ a + b
    caches.append((a, z))
    a = jax.nn.relu(z) if number < len(net) else jax.nn.softmax(z, axis=0)
  return a, caches


def backward(net: Net, y: Outputs, caches: list[Cache], t: Outputs) -> Net:
  """Gradients of the mean cross-entropy, layer by layer from the last to the first."""
  expect("t", t, y.shape)
  dz, gradients = (y - t) / y.shape[1], []
  for number in range(len(net), 0, -1):
    (w, b), (a_before, _) = net[number - 1], caches[number - 1]
    gradient = Layer(dz @ a_before.T, dz.sum(axis=1, keepdims=True))
    expect(f"dW[{number}]", gradient.w, w.shape)
    expect(f"db[{number}]", gradient.b, b.shape)
    gradients.append(gradient)
    if number > 1:
      dz = w.T @ dz * (caches[number - 2][1] > 0)
  return gradients[::-1]


def gradient(net: Net, x: Inputs, t: Outputs) -> Net:
  """Forward and back, all examples at once."""
  return backward(net, *forward(net, x), t)


def loss(net: Net, x: Inputs, t: Outputs) -> Float[Array, ""]:
  """Mean cross-entropy, for `jax.grad` only."""
  return -jnp.sum(t * jnp.log(forward(net, x)[0])) / x.shape[1]


@jax.jit
def add_one(total: Net, net: Net, x: Inputs, t: Outputs, example: int) -> Net:
  """The sum so far, and the gradient of one more example."""
  column = lambda array: jax.lax.dynamic_slice_in_dim(array, example, 1, axis=1)
  return jax.tree.map(jnp.add, total, gradient(net, column(x), column(t)))


def loop(net: Net, x: Inputs, t: Outputs) -> Net:
  """The explicit loop over examples, each one a compiled call."""
  total = jax.tree.map(jnp.zeros_like, net)
  for example in range(x.shape[1]):
    total = add_one(total, net, x, t, example)
  return jax.tree.map(lambda g: g / x.shape[1], total)


@partial(jax.jit, static_argnums=0)
def mean_of_each(map: Callable[..., Net], net: Net, x: Inputs, t: Outputs) -> Net:
  """The mean of the gradients of single examples, taken by `map(gradient of one, examples)`."""
  one = lambda pair: gradient(net, pair[0][:, None], pair[1][:, None])
  return jax.tree.map(lambda g: g.mean(axis=0), map(one, (x.T, t.T)))


WAYS: dict[str, Callable[..., Net]] = {
  "vectorised": jax.jit(gradient),
  "vmap of one example": partial(mean_of_each, lambda one, examples: jax.vmap(one)(examples)),
  "loop inside the program": partial(mean_of_each, jax.lax.map),  # no dispatch, one at a time
  "loop of calls": loop,
}


def draw(sizes: tuple[int, ...], examples: int, rng: Rng) -> tuple[Net, Inputs, Outputs]:
  """A net of He's weights and zero biases, inputs and one-hot targets."""
  he = lambda m, n: jnp.asarray(rng.normal(0, np.sqrt(2 / m), (n, m)), float)
  x = jnp.asarray(rng.normal(size=(sizes[0], examples)), float)
  t = jnp.asarray(np.eye(sizes[-1])[:, rng.integers(0, sizes[-1], examples)], float)
  return [Layer(he(m, n), jnp.zeros((n, 1))) for m, n in itertools.pairwise(sizes)], x, t


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Equality at every depth, then equality and time over the number of examples."""
  claim, rng, most = ln.claims("B07"), np.random.default_rng(lab.seed), max(config.examples)
  net, x, t = draw(config.sizes, most, rng)
  gradients = {name: way(net, x, t) for name, way in WAYS.items()}
  vectorised, equal = gradients.pop("vectorised"), ln.at_most(1e-6)
  with jax.enable_x64(True):
    deep = [draw((6, *[5] * (depth - 1), 4), 9, rng) for depth in range(1, config.deepest + 1)]
    exact = jax.jit(jax.grad(loss))
    worst = max(ln.largest_difference(WAYS["vectorised"](*one), exact(*one)) for one in deep)
  shapes = [jax.tree.map(jnp.shape, layers) for layers in (vectorised, net)]
  kept = sum(found == layer for found, layer in zip(*shapes, strict=True))
  time = lambda way, count: shortest_call(partial(way, net, x[:, :count], t[:, :count]), calls=5)
  times = {
    name: [1000 * time(way, count) for count in config.examples] for name, way in WAYS.items()
  }
  ratio = times["loop of calls"][-1] / times["vectorised"][-1]
  against = f"against vectorised, float32, {most} examples, worst difference"
  by_hand = f"1 to {config.deepest} layers: by hand against jax.grad, float64, worst difference"
  kept_what = "layers whose dW and db have the shapes of W and b"
  faster = f"time of the loop of calls over the vectorised time, {most} examples"
  claims = [
    *(
      claim(f"{name} {against}", "equal", ln.largest_difference(vectorised, found), equal)
      for name, found in gradients.items()
    ),
    claim(by_hand, "equal", worst, ln.at_most(1e-12)),
    claim(kept_what, f"all {len(net)}", kept, ln.equals(len(net))),
    claim(faster, "faster (Ng)", ratio, ln.at_least(10)),
  ]
  curves = {name: (config.examples, values) for name, values in times.items()}
  picture = ln.function_curves(
    [ln.Panel("time (ms)", curves, log="xy")],
    title="One gradient, with and without a loop",
    x="examples",
    caption="Time of one gradient of so many examples, the fastest of five calls.",
    file="time",
  )
  return ln.Report(claims, [picture])


experiment = ln.Experiment(Config, run)
