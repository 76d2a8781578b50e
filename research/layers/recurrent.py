"""Recurrent layers: vanilla RNN, GRU and LSTM, deep and in both directions.

A cell is what remains of it once the matrix products are taken away: a pointwise function of the
carry, of what comes from the input and of what comes from the hidden state. So one product gives
the input's part for all times at once, and only the hidden state's is left to the loop, stacked
into one product per time.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from research.layers.dropout import Dropout

Carry = tuple[Array, ...]  # of arrays [batch, hidden]; the first is the hidden state
Gates = Float[Array, "batch gates"]


class Cell(NamedTuple):
  """A recurrent cell without its matrix products.

  Attributes:
    gates: arrays of the hidden state's size that the stacked matrices give.
    carries: arrays that are handed on to the next time.
    keep_bias: initial bias of the second gate, which keeps what the cell holds.
    next: (carry, from the input, from the hidden state) -> carry, both projections with biases.
  """

  gates: int
  carries: int
  keep_bias: float
  next: Callable[[Carry, Gates, Gates], Carry]


def rnn(carry: Carry, from_input: Gates, from_hidden: Gates) -> Carry:
  """Elman 1990: h = tanh(b + W h + U x)."""
  del carry
  return (jnp.tanh(from_input + from_hidden),)


def gru(carry: Carry, from_input: Gates, from_hidden: Gates) -> Carry:
  """Cho et al. 2014, with the reset gate behind the product, as in cuDNN; gates r, z, n."""
  (hidden,) = carry
  reset_x, update_x, new_x = jnp.split(from_input, 3, axis=-1)
  reset_h, update_h, new_h = jnp.split(from_hidden, 3, axis=-1)
  reset = nn.sigmoid(reset_x + reset_h)
  update = nn.sigmoid(update_x + update_h)
  new = jnp.tanh(new_x + reset * new_h)
  return (new + update * (hidden - new),)


def lstm(carry: Carry, from_input: Gates, from_hidden: Gates) -> Carry:
  """Hochreiter and Schmidhuber 1997 with Gers' forget gate; its gates in the order i, f, g, o."""
  _, memory = carry
  write, keep, new, read = jnp.split(from_input + from_hidden, 4, axis=-1)
  memory = nn.sigmoid(keep) * memory + nn.sigmoid(write) * jnp.tanh(new)
  return nn.sigmoid(read) * jnp.tanh(memory), memory


CELLS = {"rnn": Cell(1, 1, 0, rnn), "gru": Cell(3, 1, 0, gru), "lstm": Cell(4, 2, 1, lstm)}


def unroll(
  cell: Cell,
  from_input: Float[Array, "time batch gates"],
  kernel: Float[Array, "hidden gates"],
  bias: Float[Array, " gates"],
  carry: Carry,
  mask: Bool[Array, "time batch"] | None = None,
) -> tuple[Float[Array, "time batch hidden"], Carry]:
  """The cell over time: hidden states and the last carry; where the mask is False nothing moves.

  Collecting the recurrent matrix's gradient by one product over all times, with a backward pass by
  hand, was measured to save 8 % of a step on the CPU: not worth its forty lines.
  """

  def step(carry: Carry, xs: tuple[Array, Array | None]) -> tuple[Carry, Array]:
    from_input, real = xs
    moved = cell.next(carry, from_input, carry[0] @ kernel + bias[None])
    if real is not None:
      moved = jax.tree.map(lambda new, old: jnp.where(real[:, None], new, old), moved, carry)
    return moved, moved[0]

  last, hidden = jax.lax.scan(step, carry, (from_input, mask))
  return hidden, last


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
    from_input = in_time(x @ kernel + bias[None, None])
    if carry is None:
      carry = (jnp.zeros((x.shape[0], self.hidden), x.dtype),) * cell.carries
    real = None if mask is None else in_time(mask)
    hidden, last = unroll(cell, from_input, recurrent, from_hidden_bias, carry, real)
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
