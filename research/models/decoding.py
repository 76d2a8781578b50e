"""Writing token by token: greedily, by chance, and with a beam; every loop compiles into one.

A writer is a pure function of a memory and the last tokens, such as a model's `next` bound to its
parameters. A finished row goes on with padding, token 0.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from research.batch import by_parts
from research.data.text.vocabulary import BEGIN, END

Memory = Any
Next = Callable[[Memory, Int[Array, " batch"]], tuple[Float[Array, "batch vocabulary"], Memory]]
PADDING = 0


class Marks(NamedTuple):
  """The tokens that stand before the first and behind the last."""

  begin: int
  end: int


def greedy(
  next_token: Next, memory: Memory, batch: int, marks: Marks, length: int
) -> Int[Array, "batch length"]:
  """The likeliest token at every step, up to the end mark."""
  return sample(next_token, memory, batch, marks, length, jax.random.key(0), 0.0)


def sample(
  next_token: Next,
  memory: Memory,
  batch: int,
  marks: Marks,
  length: int,
  key: Key[Array, ""],
  temperature: float,
) -> Int[Array, "batch length"]:
  """Tokens drawn from softmax(logits / temperature); a temperature of 0 takes the likeliest."""

  def step(carry: Any, place: Array) -> tuple[Any, Array]:
    memory, token, is_done = carry
    logits, memory = next_token(memory, token)
    if temperature == 0:
      token = jnp.argmax(logits, axis=-1)
    else:
      own = jax.random.fold_in(key, place)
      token = jax.random.categorical(own, logits / temperature, axis=-1)
    token = jnp.where(is_done, PADDING, token).astype(jnp.int32)
    return (memory, token, is_done | (token == marks.end)), token

  start = (memory, jnp.full(batch, marks.begin, jnp.int32), jnp.zeros(batch, bool))
  return jax.lax.scan(step, start, jnp.arange(length))[1].T


class Beam(NamedTuple):
  """The best rows found; [batch, width, length] and [batch, width], the best first.

  Scores are log-likelihoods divided by (number of tokens, end mark included)^alpha.
  """

  tokens: Int[Array, "batch width length"]
  scores: Float[Array, "batch width"]


def beam(
  next_token: Next,
  memory: Memory,
  batch: int,
  marks: Marks,
  length: int,
  width: int,
  alpha: float = 0.75,
) -> Beam:
  """Keeps the `width` likeliest beginnings; d2l's section 10.8 ranks finished ones as here.

  A row that ends leaves the beam (Sutskever et al. 2014, section 3.2) and is ranked among those
  that ended; one that is cut at `length` counts as ended there.

  `memory` holds arrays with the batch along the first axis, and scalars.
  """
  rows = batch * width
  spread = lambda leaf: jnp.repeat(leaf, width, axis=0) if jnp.ndim(leaf) else leaf

  def reordered(leaf: Array, parents: Int[Array, "batch width"]) -> Array:
    if jnp.ndim(leaf) == 0:
      return leaf
    flat = (jnp.arange(batch)[:, None] * width + parents).reshape(rows)
    return leaf[flat]

  def best_of(tokens: Array, scores: Array) -> Beam:
    scores, chosen = jax.lax.top_k(scores, width)
    return Beam(jnp.take_along_axis(tokens, chosen[:, :, None], axis=1), scores)

  def step(carry: Any, place: Array) -> tuple[Any, None]:
    memory, tokens, scores, last, found = carry
    logits, memory = next_token(memory, last.reshape(rows))
    vocabulary = logits.shape[-1]
    steps = jax.nn.log_softmax(logits).reshape(batch, width, -1)
    total = (scores[:, :, None] + steps).reshape(batch, width * vocabulary)
    scores, chosen = jax.lax.top_k(total, width)
    parents, last = chosen // vocabulary, (chosen % vocabulary).astype(jnp.int32)
    memory = jax.tree.map(lambda leaf: reordered(leaf, parents), memory)
    tokens = jnp.take_along_axis(tokens, parents[:, :, None], axis=1).at[:, :, place].set(last)
    # Left among the others, what ended well would be pushed out by what only begins well.
    is_over = (last == marks.end) | (place == length - 1)
    ended = jnp.where(is_over, scores / (place + 1.0) ** alpha, -jnp.inf)
    found = best_of(
      jnp.concatenate([found.tokens, tokens], 1), jnp.concatenate([found.scores, ended], 1)
    )
    return (memory, tokens, jnp.where(is_over, -jnp.inf, scores), last, found), None

  first_only = jnp.where(jnp.arange(width) == 0, 0.0, -jnp.inf)
  nothing = jnp.zeros((batch, width, length), jnp.int32)
  start = (
    jax.tree.map(spread, memory),
    nothing,
    jnp.broadcast_to(first_only[None], (batch, width)),
    jnp.full((batch, width), marks.begin, jnp.int32),
    Beam(nothing, jnp.full((batch, width), -jnp.inf)),
  )
  return jax.lax.scan(step, start, jnp.arange(length))[0][-1]


def written(
  model: nn.Module,
  variables: Any,
  sources: Int[np.ndarray, "n source"] | Float[np.ndarray, "n height width channel"],
  length: int,
  width: int = 1,
  batch: int = 250,
) -> Int[np.ndarray, "n length"]:
  """The tokens that an encoder and decoder writes for each source, `batch` sources at a time.

  The model has the methods `start` and `next` of `research.models.seq2seq.Seq2Seq`; its variables
  are its parameters and its other collections. It decodes greedily where the beam's width is 1.
  """
  marks = Marks(BEGIN, END)

  @jax.jit
  def decode(variables: Any, source: Array) -> Array:
    next_token = lambda memory, token: model.apply(variables, memory, token, method="next")
    memory = model.apply(variables, source, length, method="start")
    if width == 1:
      return greedy(next_token, memory, len(source), marks, length)
    return beam(next_token, memory, len(source), marks, length, width).tokens[:, 0]

  return by_parts(functools.partial(decode, variables), sources, batch)


def sampled(
  model: nn.Module,
  variables: Any,
  sources: Int[np.ndarray, "n source"] | Float[np.ndarray, "n height width channel"],
  length: int,
  key: Key[Array, ""],
) -> Int[np.ndarray, "n length"]:
  """Tokens drawn from what a model of `written` holds likely, for all sources at once."""

  @jax.jit
  def draw(variables: Any, source: Array) -> Array:
    next_token = lambda memory, token: model.apply(variables, memory, token, method="next")
    memory = model.apply(variables, source, length, method="start")
    return sample(next_token, memory, len(source), Marks(BEGIN, END), length, key, 1.0)

  return np.asarray(draw(variables, sources))


def looks(
  model: nn.Module,
  params: Any,
  source: Int[np.ndarray, "n source"],
  target: Int[np.ndarray, "n target"],
) -> Float[np.ndarray, "n places source"]:
  """Attention weights of a decoder that is led through the targets' tokens, all but the last.

  They are the mean over the heads of its last layer.
  """
  apply = jax.jit(lambda variables, pair: model.apply(variables, pair, method="with_weights")[1])
  weights = apply({"params": params}, (jnp.asarray(source), jnp.asarray(target[:, :-1])))
  return np.asarray(weights).mean(axis=1)
