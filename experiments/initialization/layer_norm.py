"""Layer normalisation: every token by itself, over its features (I07).

Ba, Kiros and Hinton 2016, equations 3 and 4, as the Transformer uses it: mean and variance over the
features of one token, then gain and bias for each feature. One set of notes says "by the columns of
the matrix", which would mix tokens, and the examples of a batch, with each other.

    python launch.py --experiment=layer_norm

Expected: equal to Flax's layer to 1e-6, forth and back; a few seconds.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from matplotlib.figure import Figure

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
  row = lambda what, source, value, bar: ln.Claim("I07", what, source, value, bar)
  return ln.Report(
    [
      row(
        "against flax.linen.LayerNorm: largest difference",
        "equal",
        largest(ours(x) - theirs(x)),
        ln.at_most(1e-5),
      ),
      row(
        "its gradient against flax's: largest difference",
        "equal",
        largest(slopes[0] - slopes[1]),
        ln.at_most(1e-5),
      ),
      row(
        "a changed token: change of the others' outputs",
        "0",
        change_elsewhere(ours, x),
        ln.equals(0),
      ),
      row(
        "the same where columns are normalised, as the notes say",
        "not 0: a trap",
        change_elsewhere(columns, x),
        ln.at_least(0.1),
      ),
      row(
        "permuted tokens against permuted outputs: largest difference",
        "0",
        largest(ours(x[:, order]) - ours(x)[:, order]),
        ln.equals(0),
      ),
      row(
        "mean of a token, largest, without gain and bias",
        "0",
        largest(plain(x).mean(axis=-1)),
        ln.at_most(1e-5),
      ),
      row(
        "|variance of a token - 1|, largest",
        "0",
        largest(plain(x).var(axis=-1) - 1),
        ln.at_most(1e-4),
      ),
    ],
    [
      ln.Picture(
        "influence",
        influence({"over features (layer norm)": plain, "over tokens": columns}, x),
        "Change of every token's outputs when one token changes. Normalised over its features, a "
        "token is alone; normalised over tokens, as the notes have it, all depend on all.",
      )
    ],
  )


def influence(norms: dict[str, Norm], x: Tokens) -> Figure:
  """Returns the dependence of each token's outputs on each token's inputs."""
  figure, grid = ln.new_figure("Who depends on whom", columns=len(norms), panel_inches=(3.6, 3.4))
  for axes, (name, norm) in zip(grid[0], norms.items(), strict=True):
    slopes = jax.jacobian(lambda tokens, norm=norm: norm(tokens[None])[0])(x[0])
    strength = np.sqrt(np.sum(np.square(np.asarray(slopes)), axis=(1, 3)))
    image = axes.imshow(strength, cmap="Greys", vmin=0)
    ln.label_axes(axes, "token that changes", "token that is read", name)
    axes.grid(False)
    figure.colorbar(image, ax=axes, shrink=0.8).set_label("norm of the derivative", fontsize=9)
  return figure


experiment = ln.Experiment(Config, run)
