"""Computational graphs: buying apples, and the chain rule, node by node (B01, B02).

Saito 2016, sections 5.1 to 5.4: two apples at 100 with 10 % tax cost 220, and the price moves by
2.2 with an apple's price, by 110 with their number and by 200 with the tax. With three oranges at
150 it is 715. For (x + y)^2 both derivatives are 2 (x + y). A node knows how to go forward and how
to hand a derivative back; the rest is one loop each way. The sigmoid and the softmax with
cross-entropy (figures 4.6 and A.1) are graphs of such nodes too.

    python launch.py --experiment=computational_graph

Expected: every number equal to the book's and to `jax.grad`'s; a few seconds.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import research as ln
from research.figures.graphs import Edge, computational_graph

Scalar = Float[Array, ""] | float


@ln.pytree_config
class Config:
  """Settings of the comparison of the graphs with `jax.grad`."""

  points: int = ln.static(200, "random inputs of each graph", at_least=1)


class Operation(NamedTuple):
  """A node's symbol, its value, and what it hands back: d holds the derivative by its output."""

  symbol: str
  forward: Callable[..., Scalar]
  backward: Callable[..., tuple[Scalar, ...]]


OPERATIONS = {
  "add": Operation("+", lambda x, y: x + y, lambda d, x, y: (d, d)),
  "multiply": Operation("×", lambda x, y: x * y, lambda d, x, y: (d * y, d * x)),
  "square": Operation("x²", lambda x: x**2, lambda d, x: (d * 2 * x,)),
  "exp": Operation("exp", jnp.exp, lambda d, x: (d * jnp.exp(x),)),
  "log": Operation("log", jnp.log, lambda d, x: (d / x,)),
  "reciprocal": Operation("1/x", lambda x: 1 / x, lambda d, x: (-d / x**2,)),
}


# Every node's operation, and the nodes or inputs that it works on. They stand in an order in which
# they can be computed; the last node is the result.
Graph = Mapping[str, tuple[str, ...]]


def forward(graph: Graph, inputs: Mapping[str, Scalar]) -> dict[str, Scalar]:
  """The values of all inputs and nodes."""
  values = dict(inputs)
  for name, (operation, *sources) in graph.items():
    values[name] = OPERATIONS[operation].forward(*(values[x] for x in sources))
  return values


def backward(graph: Graph, values: Mapping[str, Scalar]) -> tuple[dict[str, Scalar], list[Edge]]:
  """The derivative of the result by every input and node, and what flowed along each edge."""
  last = list(graph)[-1]
  derivatives: dict[str, Scalar] = {**dict.fromkeys(values, 0.0), last: 1.0}
  edges = [Edge(last, None, values[last], 1.0)]
  for name, (operation, *sources) in reversed(list(graph.items())):
    inputs = (values[x] for x in sources)
    handed_back = OPERATIONS[operation].backward(derivatives[name], *inputs)
    for source, derivative in zip(sources, handed_back, strict=True):
      derivatives[source] += derivative  # a value that branches gets the sum of what comes back
      edges.append(Edge(source, name, values[source], derivative))
  return derivatives, edges


class Example(NamedTuple):
  """A graph with its inputs, as it is drawn, and the book's numbers."""

  title: str
  caption: str
  graph: Graph
  inputs: Mapping[str, Scalar]
  book: Mapping[str, float] = MappingProxyType({})  # its price, and the price's derivatives
  rows: Mapping[str, float] = MappingProxyType({})  # heights of nodes whose edges would cross


CONSTANTS = {"one": 1.0, "minus one": -1.0}
EXAMPLES = {
  "apples": Example(
    "Buying two apples",
    "A product hands back the derivative times its other input.",
    {"apples": ("multiply", "apple", "number"), "price": ("multiply", "apples", "tax")},
    {"apple": 100.0, "number": 2.0, "tax": 1.1},
    {"price": 220, "apple": 2.2, "number": 110, "tax": 200},
  ),
  "apples_and_oranges": Example(
    "Buying two apples and three oranges",
    "A sum hands the derivative back as it is.",
    {
      "apples": ("multiply", "number of apples", "apple"),
      "oranges": ("multiply", "orange", "number of oranges"),
      "fruits": ("add", "apples", "oranges"),
      "price": ("multiply", "fruits", "tax"),
    },
    {"number of apples": 2, "apple": 100.0, "orange": 150.0, "number of oranges": 3, "tax": 1.1},
    {"price": 715, "apple": 2.2, "number of apples": 110}
    | {"orange": 3.3, "number of oranges": 165, "tax": 650},
  ),
  "square_of_sum": Example(
    "(x + y)^2 at x = 3, y = 4",
    "The chain rule: 2t = 14 passes through the sum to both inputs.",
    {"t": ("add", "x", "y"), "z": ("square", "t")},
    {"x": 3.0, "y": 4.0},
  ),
  "sigmoid": Example(
    "The sigmoid at x = 1",
    "What comes back to x is y (1 - y) = 0.1966.",
    {
      "-x": ("multiply", "x", "minus one"),
      "exp(-x)": ("exp", "-x"),
      "1 + exp(-x)": ("add", "exp(-x)", "one"),
      "y": ("reciprocal", "1 + exp(-x)"),
    },
    {"x": 1.0, **CONSTANTS},
  ),
  "softmax_with_loss": Example(
    "Softmax with cross-entropy",
    "For two classes of which the second is right: the derivatives that "
    "come back to a1 = 1 add up to y1 - t1 = 0.731.",
    {f"exp {k}": ("exp", f"a{k}") for k in "12"}
    | {"1 + 2": ("add", "exp 1", "exp 2"), "1 / S": ("reciprocal", "1 + 2")}
    | {f"y{k}": ("multiply", f"exp {k}", "1 / S") for k in "12"}
    | {f"log y{k}": ("log", f"y{k}") for k in "12"}
    | {f"t{k} log y{k}": ("multiply", f"t{k}", f"log y{k}") for k in "12"}
    | {"sum": ("add", "t1 log y1", "t2 log y2"), "loss": ("multiply", "sum", "minus one")},
    {"a1": 1.0, "a2": 0.0, "t1": 0.0, "t2": 1.0, **CONSTANTS},
    rows={"t1": 1.0, "t2": 2.0, "minus one": 2.8}
    | dict.fromkeys(("a1", "exp 1", "y1", "log y1", "t1 log y1"), 0.0)
    | dict.fromkeys(("a2", "exp 2", "y2", "log y2", "t2 log y2"), 3.0)
    | dict.fromkeys(("1 + 2", "1 / S", "sum", "loss"), 1.5),
  ),
}


def worst_difference(example: Example, points: int, rng: np.random.Generator) -> float:
  """Largest |a - b| / max(1, |b|) of the graph's derivatives a and `jax.grad`'s b, over points."""
  graph = example.graph

  def difference(inputs: dict[str, Array]) -> Array:
    ours, _ = backward(graph, forward(graph, inputs))
    theirs = jax.grad(lambda inputs: forward(graph, inputs)[list(graph)[-1]])(inputs)
    pairs = [(ours[x], theirs[x]) for x in inputs]
    return jnp.max(jnp.stack([abs(a - b) / jnp.maximum(1, abs(b)) for a, b in pairs]))

  inputs = {
    name: jnp.full(points, value) if name in CONSTANTS else jnp.asarray(rng.uniform(0.5, 3, points))
    for name, value in example.inputs.items()
  }
  return float(jnp.max(jax.jit(jax.vmap(difference))(inputs)))


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The book's numbers, and random inputs against `jax.grad`, in float64."""
  claims, pictures, rng = [], [], np.random.default_rng(lab.seed)
  prices, squares, bar = ln.claims("B01"), ln.claims("B02"), ln.at_most(1e-12)
  difference = lambda name: worst_difference(EXAMPLES[name], config.points, rng)
  with jax.enable_x64(True):
    for name, (title, caption, graph, inputs, book, rows) in EXAMPLES.items():
      values = forward(graph, inputs)
      derivatives, edges = backward(graph, values)
      for x, number in book.items():
        ours, by = (values[x], "") if x == "price" else (derivatives[x], f" by {x}")
        what = f"{name.replace('_', ' ')}: price{by}"
        claims.append(prices(what, f"{number}", ours, ln.within(number, 1e-9)))
      symbols = {node: OPERATIONS[operation].symbol for node, (operation, *_) in graph.items()}
      pictures.append(
        computational_graph(symbols, edges, title=title, rows=rows, caption=caption, file=name)
      )
    worst = max(map(difference, ("apples", "apples_and_oranges", "sigmoid", "softmax_with_loss")))
    what = "all graphs against jax.grad at random inputs, worst |a - b| / max(1, |b|)"
    claims.append(prices(what, "equal", worst, bar))
    x, y = jnp.asarray(rng.normal(0, 3, (2, config.points)))
    graph = EXAMPLES["square_of_sum"].graph
    derivatives, _ = backward(graph, forward(graph, {"x": x, "y": y}))
    error = max(ln.largest_difference(derivatives[name], 2 * (x + y)) for name in ("x", "y"))
    what = "derivatives of (x + y)^2 against 2 (x + y) at random points, worst difference"
    claims.append(squares(what, "2(x + y)", error, bar))
    what = "derivatives of (x + y)^2 against jax.grad at random points, worst |a - b| / max(1, |b|)"
    claims.append(squares(what, "equal", difference("square_of_sum"), bar))
  return ln.Report(claims, pictures)


experiment = ln.Experiment(Config, run)
