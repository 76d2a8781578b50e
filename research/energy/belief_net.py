"""The deep belief net with labels, and the up-down algorithm (Hinton, Osindero and Teh 2006).

Directed sigmoid layers under a restricted Boltzmann machine, which joins the highest of them to
units of the label, of which one is on (a softmax unit). Recognition weights lead up, generative
weights down; greedy learning gives both the same values, and the up-down algorithm, a contrastive
form of wake-sleep (appendix B of the paper), then changes each by what the other says.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from research.energy import rbm
from research.energy.boltzmann import Keys, all_states, fold_each
from research.energy.rbm import Rbm, bits

Into = Float[Array, "batch into"]
Out = Float[Array, "batch out"]
Pixels = Float[Array, "batch pixel"]
Features = Float[Array, "batch feature"]
Labels = Float[Array, "batch class"]
Hidden = Float[Array, "batch hidden"]
Weight = Float[Array, " batch"]


class Layer(NamedTuple):
  """A directed layer: P(out = 1 | in) = sigmoid(in W + b)."""

  weights: Float[Array, "into out"]
  biases: Float[Array, " out"]


class BeliefNet(NamedTuple):
  """All parameters.

  Attributes:
    up: recognition, from the images upwards.
    down: generation; `down[i]` leads to where `up[i]` comes from.
    top: the machine; its visible units are those of the highest layer, then the label's.
  """

  up: tuple[Layer, ...]
  down: tuple[Layer, ...]
  top: Rbm


def chance(layer: Layer, units: Into) -> Out:
  """P(out = 1 | in)."""
  return jax.nn.sigmoid(units @ layer.weights + layer.biases[None])


def untied(machines: Sequence[Rbm], top: Rbm) -> BeliefNet:
  """The net that greedy learning gives: each layer's weights, upwards and transposed downwards."""
  return BeliefNet(
    tuple(Layer(machine.weights, machine.hidden) for machine in machines),
    tuple(Layer(machine.weights.T, machine.visible) for machine in machines),
    top,
  )


def recognise(net: BeliefNet, images: Pixels) -> Features:
  """The highest layer's chances, every layer seeing the chances of the one below."""
  return functools.reduce(lambda units, layer: chance(layer, units), net.up, images)


def label_scores(net: BeliefNet, images: Pixels) -> Labels:
  """log P(label | image) but for a constant: minus the top's free energy with each label in turn.

  Of the free energies all but the label's share is common: h_j's input is (W'v)_j + c_j + U_yj.
  """
  features = recognise(net, images)
  below = features.shape[1]
  inputs = features @ net.top.weights[:below] + net.top.hidden[None]
  softplus = lambda of_label: jax.nn.softplus(inputs + of_label[None]).sum(axis=1)
  return jax.lax.map(softplus, net.top.weights[below:]).T + net.top.visible[None, below:]


def bound(net: BeliefNet, images: Pixels, labels: Labels, keys: Keys) -> Float[Array, " batch"]:
  """A draw whose mean, less the top's log Z, is at most log P(image, label) in nats.

  The variational bound (Hinton et al. 2006, section 4): units that the recognition weights draw,
  their energy in the whole net, and the entropy with which they are drawn.

  Args:
    net: its recognition weights are the approximate posterior.
    images: bits, or chances of them; then it is the mean over such bits.
    labels: one-hot.
    keys: of the draws.
  """
  below, total = images, jnp.zeros(len(images))
  for number, (up, down) in enumerate(zip(net.up, net.down, strict=True)):
    inputs = below @ up.weights + up.biases[None]
    above = bits(fold_each(keys, number), jax.nn.sigmoid(inputs))
    entropy = optax.sigmoid_binary_cross_entropy(inputs, jax.nn.sigmoid(inputs))
    given = optax.sigmoid_binary_cross_entropy(above @ down.weights + down.biases[None], below)
    total += entropy.sum(axis=1) - given.sum(axis=1)
    below = above
  return total - rbm.free_energy(net.top, Association(below, labels).visible)


def log_partition(top: Rbm, classes: int) -> Float[Array, ""]:
  """log Z of the top machine in nats, by enumeration of its features' states under each label."""
  features = jnp.asarray(all_states(len(top.visible) - classes))
  score = lambda label: (
    -rbm.free_energy(top, Association(features, jnp.tile(label[None], (len(features), 1))).visible)
  )
  return jax.nn.logsumexp(jax.lax.map(score, jnp.eye(classes)))


def top_visible(top: Rbm, hidden: Hidden, classes: int) -> tuple[Features, Labels]:
  """P(feature = 1 | h), and P(label | h)."""
  inputs = hidden @ top.weights.T + top.visible[None]
  return jax.nn.sigmoid(inputs[:, :-classes]), jax.nn.softmax(inputs[:, -classes:])


class Association(NamedTuple):
  """A state of the top machine's visible units, bits and one label."""

  features: Features
  labels: Labels

  @property
  def visible(self) -> Float[Array, "batch visible"]:
    """Both, in the order of the machine's visible units."""
    return jnp.concatenate(self, axis=1)


def alternate(
  top: Rbm, state: Association, keys: Keys, steps: Int[Array, ""] | int, *, held: bool
) -> Association:
  """Gibbs sampling in the top machine; the labels may be held."""
  classes = state.labels.shape[1]

  def one(step: Array, state: Association) -> Association:
    up, down, label = (fold_each(keys, 3 * step + number) for number in range(3))
    hidden = bits(up, rbm.hidden_chance(top, state.visible))
    features, labels = top_visible(top, hidden, classes)
    drawn = jax.nn.one_hot(jax.vmap(jax.random.categorical)(label, jnp.log(labels)), classes)
    return Association(bits(down, features), state.labels if held else drawn)

  return jax.lax.fori_loop(0, steps, one, state)


def generate(net: BeliefNet, labels: Labels, key: Key[Array, ""], steps: int) -> Pixels:
  """Images of given labels, as chances: the top runs with its labels held, then all goes down."""
  start_key, run_key, *down_keys = jax.random.split(key, (2 + len(net.down), len(labels)))
  below = net.top.weights.shape[0] - labels.shape[1]
  half = jnp.full((len(labels), below), 0.5)
  start = Association(bits(start_key, half), labels)
  units = alternate(net.top, start, run_key, steps, held=True).features
  for layer, down_key in zip(reversed(net.down), down_keys, strict=True):
    chances = chance(layer, units)
    units = bits(down_key, chances)
  return chances


class Phase(NamedTuple):
  """Statistics of one half of the up-down algorithm, weighted over its examples.

  Attributes:
    layers: the delta rule's descent, of the generative weights in the one and of the recognition
      weights in the other.
    top: the machine's statistics.
  """

  layers: tuple[Layer, ...]
  top: Rbm


def wake(
  net: BeliefNet, images: Pixels, labels: Labels, weight: Weight, keys: Keys
) -> tuple[Phase, Association]:
  """Upwards, bits are drawn by the recognition weights, up to the state of the top.

  The generative weights learn to give each layer back from the one above.
  """
  awake = [images]
  for number, layer in enumerate(net.up):
    awake.append(bits(fold_each(keys, number), chance(layer, awake[-1])))
  layers = tuple(
    _delta(layer, above, below, weight)
    for layer, below, above in zip(net.down, awake, awake[1:], strict=False)
  )
  state = Association(awake[-1], labels)
  return Phase(layers, rbm.statistics(net.top, state.visible, weight)), state


def sleep(net: BeliefNet, state: Association, weight: Weight, keys: Keys) -> Phase:
  """Downwards from a state of the top, bits are drawn by the generative weights.

  The recognition weights learn to find what they came from.
  """
  asleep = [state.features]
  for number, layer in reversed(list(enumerate(net.down))):
    chances = chance(layer, asleep[0])
    # The pixels stay chances, for images are no bits either.
    asleep.insert(0, bits(fold_each(keys, number), chances) if number else chances)
  layers = tuple(
    _delta(layer, below, above, weight)
    for layer, below, above in zip(net.up, asleep, asleep[1:], strict=False)
  )
  return Phase(layers, rbm.statistics(net.top, state.visible, weight))


def descent(waking: Phase, sleeping: Phase) -> BeliefNet:
  """The direction of one step of the up-down algorithm."""
  top = jax.tree.map(jnp.subtract, sleeping.top, waking.top)
  return BeliefNet(sleeping.layers, waking.layers, top)


def _delta(layer: Layer, into: Into, out: Out, weight: Weight) -> Layer:
  """The delta rule's descent: the gradient of -log P(out | in)."""
  error = weight[:, None] * (chance(layer, into) - out)
  return Layer(into.T @ error, error.sum(axis=0))
