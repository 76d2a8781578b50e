"""Computational graphs: buying apples, and the chain rule, node by node (B01, B02).

Saito 2016, sections 5.1 to 5.4 (the notes' chapter 4): two apples at 100 with 10 % tax cost 220,
and the price moves by 2.2 with an apple's price, by 110 with their number and by 200 with the tax.
With three oranges at 150 it is 715. For (x + y)^2 both derivatives are 2 (x + y). A node knows how
to go forward and how to hand a derivative back; the rest is one loop each way. The sigmoid and the
softmax with cross-entropy (figures 4.6 and A.1) are graphs of such nodes too.

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
from matplotlib.figure import Figure

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


class Node(NamedTuple):
  """An operation, and the names of the nodes or inputs that it works on."""

  operation: str
  inputs: tuple[str, ...]


Graph = Mapping[str, Node]  # in an order in which it can be computed; the last node is the result

APPLES: Graph = {
  "apples": Node("multiply", ("apple", "number")),
  "price": Node("multiply", ("apples", "tax")),
}
TWO_FRUITS: Graph = {
  "apples": Node("multiply", ("number of apples", "apple")),
  "oranges": Node("multiply", ("orange", "number of oranges")),
  "fruits": Node("add", ("apples", "oranges")),
  "price": Node("multiply", ("fruits", "tax")),
}
SQUARE_OF_SUM: Graph = {
  "t": Node("add", ("x", "y")),
  "z": Node("square", ("t",)),
}
SIGMOID: Graph = {
  "-x": Node("multiply", ("x", "minus one")),
  "exp(-x)": Node("exp", ("-x",)),
  "1 + exp(-x)": Node("add", ("exp(-x)", "one")),
  "y": Node("reciprocal", ("1 + exp(-x)",)),
}
SOFTMAX_WITH_LOSS: Graph = {
  "exp 1": Node("exp", ("a1",)),
  "exp 2": Node("exp", ("a2",)),
  "1 + 2": Node("add", ("exp 1", "exp 2")),
  "1 / S": Node("reciprocal", ("1 + 2",)),
  "y1": Node("multiply", ("exp 1", "1 / S")),
  "y2": Node("multiply", ("exp 2", "1 / S")),
  "log y1": Node("log", ("y1",)),
  "log y2": Node("log", ("y2",)),
  "t1 log y1": Node("multiply", ("t1", "log y1")),
  "t2 log y2": Node("multiply", ("t2", "log y2")),
  "sum": Node("add", ("t1 log y1", "t2 log y2")),
  "loss": Node("multiply", ("sum", "minus one")),
}


class Message(NamedTuple):
  """A derivative on its way back from a node to one of its inputs."""

  source: str
  target: str
  derivative: Scalar


def forward(graph: Graph, inputs: Mapping[str, Scalar]) -> dict[str, Scalar]:
  """The values of all inputs and nodes."""
  values = dict(inputs)
  for name, node in graph.items():
    values[name] = OPERATIONS[node.operation].forward(*(values[x] for x in node.inputs))
  return values


def backward(graph: Graph, values: Mapping[str, Scalar]) -> tuple[dict[str, Scalar], list[Message]]:
  """The derivative of the result by every input and node, and what was sent along each edge."""
  derivatives: dict[str, Scalar] = {**dict.fromkeys(values, 0.0), list(graph)[-1]: 1.0}
  messages = []
  for name, node in reversed(list(graph.items())):
    inputs = (values[x] for x in node.inputs)
    handed_back = OPERATIONS[node.operation].backward(derivatives[name], *inputs)
    for source, derivative in zip(node.inputs, handed_back, strict=True):
      derivatives[source] += derivative  # a value that branches gets the sum of what comes back
      messages.append(Message(source, name, derivative))
  return derivatives, messages


def result(graph: Graph, inputs: Mapping[str, Scalar]) -> Scalar:
  """The value of the last node."""
  return forward(graph, inputs)[list(graph)[-1]]


def draw(
  graph: Graph,
  inputs: Mapping[str, Scalar],
  title: str,
  rows: Mapping[str, float] = MappingProxyType({}),
) -> Figure:
  """The graph with the numbers that really flow along its edges."""
  values = forward(graph, inputs)
  derivatives, messages = backward(graph, values)
  position = {name: number for number, name in enumerate(graph)}
  in_order = sorted(messages, key=lambda message: position[message.target])
  show = lambda value: f"{float(value) + 0:.4g}"  # + 0 turns -0 into 0
  edges = [Edge(m.source, m.target, show(values[m.source]), show(m.derivative)) for m in in_order]
  last = list(graph)[-1]
  edges.append(Edge(last, None, show(values[last]), show(derivatives[last])))
  symbols = {name: OPERATIONS[node.operation].symbol for name, node in graph.items()}
  return computational_graph(symbols, edges, title=title, rows=rows, caption="").figure


ONE_FRUIT_INPUTS = {"apple": 100.0, "number": 2.0, "tax": 1.1}
TWO_FRUIT_INPUTS = {
  "number of apples": 2.0,
  "apple": 100.0,
  "orange": 150.0,
  "number of oranges": 3.0,
  "tax": 1.1,
}
BOOK = {  # the result, then its derivatives
  "apples": (APPLES, ONE_FRUIT_INPUTS, 220, {"apple": 2.2, "number": 110, "tax": 200}),
  "apples and oranges": (
    TWO_FRUITS,
    TWO_FRUIT_INPUTS,
    715,
    {"apple": 2.2, "number of apples": 110, "orange": 3.3, "number of oranges": 165, "tax": 650},
  ),
}
CONSTANTS = {"one": 1.0, "minus one": -1.0}
SIGMOID_INPUTS = {"x": 1.0, **CONSTANTS}
SOFTMAX_INPUTS = {"a1": 1.0, "a2": 0.0, "t1": 0.0, "t2": 1.0, **CONSTANTS}
SOFTMAX_ROWS = {
  **dict.fromkeys(("a1", "exp 1", "y1", "log y1", "t1 log y1"), 0.0),
  **dict.fromkeys(("a2", "exp 2", "y2", "log y2", "t2 log y2"), 3.0),
  **dict.fromkeys(("1 + 2", "1 / S", "sum", "loss"), 1.5),
  "t1": 1.0,
  "t2": 2.0,
  "minus one": 2.8,
}


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The book's numbers, and random inputs against `jax.grad`, in float64."""
  with jax.enable_x64(True):
    rng = np.random.default_rng(lab.seed)
    return ln.Report(
      [
        *(claim for name, book in BOOK.items() for claim in book_claims(name, *book)),
        ln.Claim(
          "B01",
          "all graphs against jax.grad at random inputs, worst |a - b| / max(1, |b|)",
          "equal",
          max(
            worst_difference(graph, inputs, config.points, rng)
            for graph, inputs in (
              (APPLES, ONE_FRUIT_INPUTS),
              (TWO_FRUITS, TWO_FRUIT_INPUTS),
              (SIGMOID, SIGMOID_INPUTS),
              (SOFTMAX_WITH_LOSS, SOFTMAX_INPUTS),
            )
          ),
          ln.at_most(1e-12),
        ),
        ln.Claim(
          "B02",
          "derivatives of (x + y)^2 against 2 (x + y) at random points, worst difference",
          "2(x + y)",
          worst_square_error(config.points, rng),
          ln.at_most(1e-12),
        ),
        ln.Claim(
          "B02",
          "derivatives of (x + y)^2 against jax.grad at random points, worst |a - b| / max(1, |b|)",
          "equal",
          worst_difference(SQUARE_OF_SUM, {"x": 1.0, "y": 1.0}, config.points, rng),
          ln.at_most(1e-12),
        ),
      ],
      [
        ln.Picture(
          "apples",
          draw(APPLES, ONE_FRUIT_INPUTS, "Buying two apples"),
          "The notes' figure 4.5. A product hands back the derivative times its other input.",
        ),
        ln.Picture(
          "apples_and_oranges",
          draw(TWO_FRUITS, TWO_FRUIT_INPUTS, "Buying two apples and three oranges"),
          "A sum hands the derivative back as it is.",
        ),
        ln.Picture(
          "square_of_sum",
          draw(SQUARE_OF_SUM, {"x": 3.0, "y": 4.0}, "(x + y)^2 at x = 3, y = 4"),
          "The chain rule: 2t = 14 passes through the sum to both inputs.",
        ),
        ln.Picture(
          "sigmoid",
          draw(SIGMOID, SIGMOID_INPUTS, "The sigmoid at x = 1"),
          "The notes' figure 4.6. What comes back to x is y (1 - y) = 0.1966.",
        ),
        ln.Picture(
          "softmax_with_loss",
          draw(SOFTMAX_WITH_LOSS, SOFTMAX_INPUTS, "Softmax with cross-entropy", SOFTMAX_ROWS),
          "The notes' figure A.1, for two classes of which the second is right: the "
          "derivatives that come back to a1 = 1 add up to y1 - t1 = 0.731.",
        ),
      ],
    )


def book_claims(
  name: str, graph: Graph, inputs: Mapping[str, Scalar], total: float, by_input: dict[str, float]
) -> list[ln.Claim]:
  """The price, and its derivative by every input."""
  values = forward(graph, inputs)
  derivatives, _ = backward(graph, values)
  price = ln.Claim(
    "B01", f"{name}: price", f"{total}", float(values["price"]), ln.within(total, 1e-9)
  )
  return [
    price,
    *(
      ln.Claim(
        "B01", f"{name}: price by {x}", f"{book}", float(derivatives[x]), ln.within(book, 1e-9)
      )
      for x, book in by_input.items()
    ),
  ]


def worst_difference(
  graph: Graph, like: Mapping[str, Scalar], points: int, rng: np.random.Generator
) -> float:
  """Largest |a - b| / max(1, |b|) between the graph's derivatives a and `jax.grad`'s b."""

  def difference(inputs: dict[str, Array]) -> Array:
    ours, _ = backward(graph, forward(graph, inputs))
    theirs = jax.grad(lambda inputs: result(graph, inputs))(inputs)
    pairs = [(ours[x], theirs[x]) for x in inputs]
    return jnp.max(jnp.stack([abs(a - b) / jnp.maximum(1, abs(b)) for a, b in pairs]))

  inputs = {
    name: jnp.full(points, value) if name in CONSTANTS else jnp.asarray(rng.uniform(0.5, 3, points))
    for name, value in like.items()
  }
  return float(jnp.max(jax.jit(jax.vmap(difference))(inputs)))


def worst_square_error(points: int, rng: np.random.Generator) -> float:
  """Largest |derivative - 2 (x + y)|, over both inputs."""
  x, y = jnp.asarray(rng.normal(0, 3, (2, points)))
  derivatives, _ = backward(SQUARE_OF_SUM, forward(SQUARE_OF_SUM, {"x": x, "y": y}))
  errors = [jnp.max(jnp.abs(derivatives[name] - 2 * (x + y))) for name in ("x", "y")]
  return float(max(errors))


experiment = ln.Experiment(Config, run)
