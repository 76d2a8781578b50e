"""Layer normalisation: every token by itself, over its features (I07).

Ba, Kiros and Hinton 2016, equations 3 and 4, as the Transformer uses it: mean and variance over the
features of one token, then gain and bias for each feature. A common mistake normalises the columns
of the matrix, which mixes tokens, and the examples of a batch, with each other.

    python launch.py --experiment=layer_norm

Expected: equal to Flax's layer to 1e-6, forth and back; a few seconds.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import research as ln


@ln.pytree_config
class Config:
  """The sizes of a batch of sentences."""

  batch: int = ln.static(4, "sentences", at_least=1)
  tokens: int = ln.static(7, "tokens of a sentence", at_least=2)
  features: int = ln.static(32, "features of a token", at_least=2)
  epsilon: float = ln.traced(1e-6, "added to the variance", above=0)


Tokens = Float[Array, "batch token feature"]
Norm = Callable[[Tokens], Tokens]


def layer_norm(
  x: Tokens, gain: Float[Array, " feature"], bias: Float[Array, " feature"], epsilon: float | Array
) -> Tokens:
  """gain (x - mean) / sqrt(variance + epsilon) + bias; mean and variance of each token."""
  centred = x - x.mean(axis=-1, keepdims=True)
  variance = jnp.mean(centred**2, axis=-1, keepdims=True)
  return centred / jnp.sqrt(variance + epsilon) * gain + bias


def column_norm(x: Tokens, epsilon: float | Array) -> Tokens:
  """Normalises every feature over the tokens: the misreading that this lesson refutes."""
  centred = x - x.mean(axis=1, keepdims=True)
  return centred / jnp.sqrt(jnp.mean(centred**2, axis=1, keepdims=True) + epsilon)


def change_elsewhere(norm: Norm, x: Tokens) -> float:
  """Returns the change of all other tokens' outputs when the first one changes."""
  moved = x.at[:, 0].add(jnp.linspace(-5, 5, x.shape[-1])[None])
  return float(jnp.abs(norm(moved) - norm(x))[:, 1:].max())


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Parity, and who depends on whom."""
  keys = jax.random.split(lab.key("tokens"), 4)
  shape = (config.batch, config.tokens, config.features)
  x = 2 + 3 * jax.random.normal(keys[0], shape)
  gain, bias = jax.random.normal(keys[1], (2, 1, 1, config.features))
  reading = jax.random.normal(keys[2], shape)
  module = nn.LayerNorm(epsilon=config.epsilon, use_fast_variance=False)
  params = {"params": {"scale": gain[0, 0], "bias": bias[0, 0]}}
  ours = lambda x: layer_norm(x, gain, bias, config.epsilon)
  theirs = lambda x: module.apply(params, x)
  slopes = [jax.grad(lambda x, f=f: jnp.sum(reading * f(x)))(x) for f in (ours, theirs)]
  plain = lambda x: layer_norm(x, jnp.ones((1, 1, 1)), jnp.zeros((1, 1, 1)), config.epsilon)
  columns = lambda x: column_norm(x, config.epsilon)
  order = jax.random.permutation(keys[3], config.tokens)
  largest = lambda difference: float(jnp.abs(difference).max())
  claim, flax = ln.claims("I07"), "against flax.linen.LayerNorm: largest difference"
  slope, permuted = largest(slopes[0] - slopes[1]), largest(ours(x[:, order]) - ours(x)[:, order])
  moved, mixed = change_elsewhere(ours, x), change_elsewhere(columns, x)
  mean, variance = plain(x).mean(axis=-1), plain(x).var(axis=-1)
  tokens = "permuted tokens against permuted outputs: largest difference"
  trap = "the same where columns are normalised, by mistake"
  return ln.Report(
    [
      claim(flax, "equal", largest(ours(x) - theirs(x)), ln.at_most(1e-5)),
      claim("its gradient against flax's: largest difference", "equal", slope, ln.at_most(1e-5)),
      claim("a changed token: change of the others' outputs", "0", moved, ln.equals(0)),
      claim(trap, "not 0: a trap", mixed, ln.at_least(0.1)),
      claim(tokens, "0", permuted, ln.equals(0)),
      claim(
        "mean of a token, largest, without gain and bias", "0", largest(mean), ln.at_most(1e-5)
      ),
      claim("|variance of a token - 1|, largest", "0", largest(variance - 1), ln.at_most(1e-4)),
    ],
    [
      ln.heat_maps(
        {
          "over features (layer norm)": influence(plain, x),
          "over tokens": influence(columns, x),
        },
        title="Who depends on whom",
        x="token that changes",
        y="token that is read",
        value_range=(0, None),
        shades="norm of the derivative",
        caption="Change of every token's outputs when one token changes, by what is normalised.",
        file="influence",
      )
    ],
  )


def influence(norm: Norm, x: Tokens) -> Float[np.ndarray, "token token"]:
  """Returns the dependence of each token's outputs on each token's inputs."""
  slopes = jax.jacobian(lambda tokens: norm(tokens[None])[0])(x[0])
  return np.sqrt(np.sum(np.square(np.asarray(slopes)), axis=(1, 3)))


experiment = ln.Experiment(Config, run)
