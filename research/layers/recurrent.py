"""Recurrent layers: vanilla RNN, GRU and LSTM, deep and in both directions.

A cell is what remains of it once the matrix products are taken away: a pointwise function of the
carry, of what comes from the input and of what comes from the hidden state. So one product gives
the input's part for all times at once, and only the hidden state's is left to the loop, stacked
into one product per time. The backward pass likewise leaves one product per time to its loop; the
recurrent matrix's gradient is one product over all times behind it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from research.layers.dropout import Dropout

Carry = tuple[Array, ...]  # of arrays [batch, hidden]; the first is the hidden state
Gates = tuple[Array, ...]  # of arrays [batch, hidden], one for each gate


class Cell(NamedTuple):
  """A recurrent cell without its matrix products.

  Attributes:
    gates: arrays of the hidden state's size that the stacked matrices give.
    carries: arrays that are handed on to the next time.
    keep_bias: initial bias of the second gate, which keeps what the cell holds.
    next: (carry, from the input, from the hidden state) -> carry, both projections with biases.
    adds: whether `next` reads the two projections only as their sum, whose gradients are equal.
  """

  gates: int
  carries: int
  keep_bias: float
  next: Callable[[Carry, Gates, Gates], Carry]
  adds: bool


def rnn(carry: Carry, from_input: Gates, from_hidden: Gates) -> Carry:
  """Elman 1990: h = tanh(b + W h + U x)."""
  del carry
  return (jnp.tanh(from_input[0] + from_hidden[0]),)


def gru(carry: Carry, from_input: Gates, from_hidden: Gates) -> Carry:
  """Cho et al. 2014, with the reset gate behind the product, as in cuDNN; gates r, z, n."""
  (hidden,) = carry
  reset_x, update_x, new_x = from_input
  reset_h, update_h, new_h = from_hidden
  reset = nn.sigmoid(reset_x + reset_h)
  update = nn.sigmoid(update_x + update_h)
  new = jnp.tanh(new_x + reset * new_h)
  return (new + update * (hidden - new),)


def lstm(carry: Carry, from_input: Gates, from_hidden: Gates) -> Carry:
  """Hochreiter and Schmidhuber 1997 with Gers' forget gate; its gates in the order i, f, g, o."""
  _, memory = carry
  write, keep, new, read = (x + h for x, h in zip(from_input, from_hidden, strict=True))
  memory = nn.sigmoid(keep) * memory + nn.sigmoid(write) * jnp.tanh(new)
  return nn.sigmoid(read) * jnp.tanh(memory), memory


CELLS = {
  "rnn": Cell(1, 1, 0, rnn, adds=True),
  "gru": Cell(3, 1, 0, gru, adds=False),
  "lstm": Cell(4, 2, 1, lstm, adds=True),
}


def _moved(cell: Cell, carry: Carry, from_input: Gates, from_hidden: Gates, real: Any) -> Carry:
  """The next carry; where `real` [batch] is False the old one."""
  moved = cell.next(carry, from_input, from_hidden)
  if real is None:
    return moved
  return jax.tree.map(lambda new, old: jnp.where(real[:, None], new, old), moved, carry)


class Weights(NamedTuple):
  """The arrays that a layer learns, its gates side by side.

  Attributes:
    kernel: of the inputs, [features, gates * hidden].
    bias: of the inputs, [gates * hidden].
    recurrent: of the hidden state, [hidden, gates * hidden].
    recurrent_bias: of the hidden state, [gates * hidden].
  """

  kernel: Float[Array, "features stacked"]
  bias: Float[Array, " stacked"]
  recurrent: Float[Array, "hidden stacked"]
  recurrent_bias: Float[Array, " stacked"]


def _by_gate(cell: Cell, stacked: Array) -> Gates:
  return tuple(jnp.split(stacked, cell.gates, axis=-1))


def _scan(
  cell: Cell, x: Array, weights: Weights, carry: Carry, mask: Any
) -> tuple[Carry, tuple[Gates, Carry, Array]]:
  """The last carry; what comes from the inputs, all carries, what comes from the hidden state."""

  def step(carry: Carry, xs: tuple[Gates, Any]) -> tuple[Carry, tuple[Carry, Array]]:
    from_input, real = xs
    stacked = carry[0] @ weights.recurrent + weights.recurrent_bias[None]
    carry = _moved(cell, carry, from_input, _by_gate(cell, stacked), real)
    return carry, (carry, stacked)

  # One array for each gate: of one that holds them all XLA's CPU backend reads a time's gates
  # element by element, which takes nine times as long.
  gates = zip(_by_gate(cell, weights.kernel), _by_gate(cell, weights.bias), strict=True)
  from_input = tuple(x @ kernel + bias[None, None] for kernel, bias in gates)
  last, (carries, from_hidden) = jax.lax.scan(step, carry, (from_input, mask))
  return last, (from_input, carries, from_hidden)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def unroll(
  cell: Cell,
  x: Float[Array, "time batch features"],
  weights: Weights,
  carry: Carry,
  mask: Bool[Array, "time batch"] | None = None,
) -> tuple[Float[Array, "time batch hidden"], Carry]:
  """The cell over time: hidden states and the last carry; where the mask is False nothing moves.

  Reverse-mode differentiation only.
  """
  last, (_, carries, _) = _scan(cell, x, weights, carry, mask)
  return carries[0], last


def _forward(
  cell: Cell, x: Array, weights: Weights, carry: Carry, mask: Any
) -> tuple[tuple[Array, Carry], Any]:
  last, (from_input, carries, from_hidden) = _scan(cell, x, weights, carry, mask)
  return (carries[0], last), (x, weights, carry, mask, from_input, carries, from_hidden)


def _backward(cell: Cell, kept: Any, cotangents: tuple[Array, Carry]) -> tuple[Any, ...]:
  x, weights, first, mask, from_input, carries, from_hidden = kept
  before = jax.tree.map(lambda one, all: jnp.concatenate([one[None], all[:-1]]), first, carries)
  transposed = weights.recurrent.T

  def pull_of(carry: Carry, from_input: Gates, stacked: Array, real: Any) -> Any:
    moved = lambda carry, x, hidden: _moved(cell, carry, x, hidden, real)
    return jax.vjp(moved, carry, from_input, _by_gate(cell, stacked))[1]

  def step(carry: Carry, xs: tuple[Any, Array]) -> tuple[Carry, tuple[Array, ...]]:
    pull, hidden = xs
    carry, *gates = pull((carry[0] + hidden, *carry[1:]))
    to_input, to_hidden = (jnp.concatenate(parts, axis=-1) for parts in gates)
    kept = (to_hidden,) if cell.adds else (to_hidden, to_input)
    return (carry[0] + to_hidden @ transposed, *carry[1:]), kept

  # The derivatives of the pointwise function are taken for all times at once.
  pulls = jax.vmap(pull_of)(before, from_input, from_hidden, mask)
  hidden, last = cotangents
  to_first, stacks = jax.lax.scan(step, last, (pulls, hidden), reverse=True)
  to_hidden, to_input = stacks[0], stacks[-1]
  product = partial(jnp.einsum, "tbi,tbg->ig")
  to_weights = Weights(
    product(x, to_input), to_input.sum((0, 1)), product(before[0], to_hidden), to_hidden.sum((0, 1))
  )
  return to_input @ weights.kernel.T, to_weights, to_first, None


unroll.defvjp(_forward, _backward)


class Recurrent(nn.Module):
  """One recurrent layer in one direction.

  Attributes:
    hidden: units.
    cell: one of `CELLS`.
    reverse: whether time runs backwards; outputs stay at their inputs' places.
    keep_bias: initial bias of the LSTM's forget gate (by default 1, Jozefowicz et al. 2015) or of
      the GRU's update gate (0); the larger, the longer the cell remembers before it has learnt to.
  """

  hidden: int
  cell: str = "lstm"
  reverse: bool = False
  keep_bias: float | Float[Array, ""] | None = None
  kernel_init: Callable[..., Array] = nn.initializers.lecun_normal()
  recurrent_init: Callable[..., Array] = nn.initializers.orthogonal()

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "batch time features"],
    carry: Carry | None = None,
    mask: Bool[Array, "batch time"] | None = None,
  ) -> tuple[Float[Array, "batch time hidden"], Carry]:
    """Hidden states at all times, 0 where the mask is False, and the carry at the last True."""
    cell = CELLS[self.cell]
    gates, stacked = cell.gates, cell.gates * self.hidden

    def by_gate(init: Callable[..., Array]) -> Callable[..., Array]:
      def stack(key: Array, shape: tuple[int, int], dtype: Any = jnp.float32) -> Array:
        draw = lambda key: init(key, (shape[0], self.hidden), dtype)
        return jnp.concatenate([draw(key) for key in jax.random.split(key, gates)], axis=1)

      return stack

    def bias_init(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
      del key
      bias = jnp.zeros(shape, dtype)
      keep = cell.keep_bias if self.keep_bias is None else self.keep_bias
      return bias.at[self.hidden : 2 * self.hidden].set(keep)

    kernel = self.param("kernel", by_gate(self.kernel_init), (x.shape[-1], stacked))
    bias = self.param("bias", bias_init, (stacked,))
    recurrent = self.param("recurrent", by_gate(self.recurrent_init), (self.hidden, stacked))
    from_hidden_bias = jnp.zeros_like(bias)
    if self.cell == "gru":  # the only cell that does not simply add its two projections
      own = self.param("recurrent_bias", nn.initializers.zeros, (self.hidden,))
      from_hidden_bias = from_hidden_bias.at[2 * self.hidden :].set(own)

    in_time = lambda array: jnp.moveaxis(array[:, ::-1] if self.reverse else array, 1, 0)
    if carry is None:
      carry = (jnp.zeros((x.shape[0], self.hidden), x.dtype),) * cell.carries
    real = None if mask is None else in_time(mask)
    weights = Weights(kernel, bias, recurrent, from_hidden_bias)
    hidden, last = unroll(cell, in_time(x), weights, carry, real)
    outputs = jnp.moveaxis(hidden, 0, 1)
    outputs = outputs[:, ::-1] if self.reverse else outputs
    return (outputs if mask is None else jnp.where(mask[:, :, None], outputs, 0)), last


class RecurrentStack(nn.Module):
  """Recurrent layers on top of each other, with dropout between them.

  Attributes:
    hidden: units per layer and direction.
    layers: how many.
    cell: one of `CELLS`.
    bidirectional: whether each layer runs in both directions, outputs side by side.
    dropout: rate between layers.
    reverse: whether time runs backwards, where it runs in one direction.
  """

  hidden: int
  layers: int = 1
  cell: str = "lstm"
  bidirectional: bool = False
  dropout: float | Float[Array, ""] = 0.0
  reverse: bool = False

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "batch time features"],
    carries: tuple[Carry, ...] | None = None,
    mask: Bool[Array, "batch time"] | None = None,
    train: bool = False,
  ) -> tuple[Float[Array, "batch time outputs"], tuple[Carry, ...]]:
    """The top layer's outputs, and the last carry of every layer and direction in turn."""
    last: list[Carry] = []
    directions = (False, True) if self.bidirectional else (self.reverse,)
    for layer in range(self.layers):
      outputs = []
      for reverse in directions:
        recurrent = Recurrent(self.hidden, self.cell, reverse)
        first = None if carries is None else carries[len(last)]
        output, carry = recurrent(x, first, mask)
        outputs.append(output)
        last.append(carry)
      x = jnp.concatenate(outputs, axis=-1)
      if layer < self.layers - 1:
        x = Dropout(self.dropout)(x, train=train)
    return x, tuple(last)
