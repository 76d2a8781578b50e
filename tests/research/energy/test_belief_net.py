import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.energy import belief_net, rbm
from research.energy.belief_net import Association, BeliefNet, Layer
from research.energy.boltzmann import all_states
from research.energy.rbm import Rbm

CLASSES, FEATURES, HIDDEN, PIXELS = 3, 2, 4, 5


@pytest.fixture
def net():
  keys = iter(jax.random.split(jax.random.key(0), 20))
  normal = lambda *shape: jax.random.normal(next(keys), shape)
  visible = FEATURES + CLASSES
  return BeliefNet(
    (Layer(normal(PIXELS, 3), normal(3)), Layer(normal(3, FEATURES), normal(FEATURES))),
    (Layer(normal(3, PIXELS), normal(PIXELS)), Layer(normal(FEATURES, 3), normal(3))),
    Rbm(normal(visible, HIDDEN), normal(visible), normal(HIDDEN)),
  )


def associations():
  """All states of the top's visible units, as [state, unit]."""
  return np.array(
    [[*bits, *np.eye(CLASSES)[label]] for bits in all_states(FEATURES) for label in range(CLASSES)],
    np.float32,
  )


def rest(top):
  """The top's distribution over them, by enumeration."""
  return jax.nn.softmax(-rbm.free_energy(top, jnp.asarray(associations())))


def shares(state):
  """How often each of them is among those sampled."""
  found = np.concatenate(state, axis=1)
  return np.array([(found == one).all(axis=1).mean() for one in associations()])


def test_labels_are_judged_by_free_energies(net):
  images = jax.random.uniform(jax.random.key(1), (6, PIXELS))
  features = belief_net.recognise(net, images)
  energies = np.stack(
    [
      rbm.free_energy(net.top, jnp.concatenate([features, jnp.tile(one, (6, 1))], axis=1))
      for one in jnp.eye(CLASSES)
    ],
    axis=1,
  )
  found = jax.nn.softmax(belief_net.label_scores(net, images))
  np.testing.assert_allclose(found, jax.nn.softmax(-energies), rtol=1e-4)


def test_the_top_comes_to_rest_at_its_distribution(net):
  labels = jnp.tile(jnp.eye(CLASSES)[:1], (30_000, 1))
  start = Association(jnp.zeros((30_000, FEATURES)), labels)
  state = belief_net.alternate(
    net.top, start, jax.random.split(jax.random.key(1), 30_000), 40, held=False
  )
  assert (state.labels.sum(axis=1) == 1).all()
  assert np.abs(shares(state) - rest(net.top)).max() < 4 * 0.5 / 30_000**0.5


def test_held_labels_stay_and_the_features_follow_them(net):
  labels = jnp.tile(jnp.eye(CLASSES)[1:2], (30_000, 1))
  start = Association(jnp.zeros((30_000, FEATURES)), labels)
  state = belief_net.alternate(
    net.top, start, jax.random.split(jax.random.key(1), 30_000), 40, held=True
  )
  np.testing.assert_array_equal(state.labels, labels)
  given = np.where(associations()[:, FEATURES + 1] == 1, rest(net.top), 0)
  assert np.abs(shares(state) - given / given.sum()).max() < 4 * 0.5 / 30_000**0.5


def test_greedy_learning_gives_both_directions_the_same_weights():
  machine = Rbm(jnp.arange(6.0).reshape(2, 3), jnp.array([7.0, 8.0]), jnp.array([1.0, 2, 3]))
  net = belief_net.untied([machine], machine)
  np.testing.assert_array_equal(net.up[0].weights, machine.weights)
  np.testing.assert_array_equal(net.down[0].weights, machine.weights.T)
  assert net.up[0].biases.tolist() == [1, 2, 3] and net.down[0].biases.tolist() == [7, 8]


def data(count=4):
  images = jax.random.uniform(jax.random.key(5), (count, PIXELS)).round()
  return images, jax.nn.one_hot(jnp.arange(count) % CLASSES, CLASSES)


def up_down(net, images, labels, weight, key, steps):
  """The direction of one step whose chains start at the data."""
  wake, gibbs, sleep = jax.random.split(key, (3, len(images)))
  waking, state = belief_net.wake(net, images, labels, weight, wake)
  state = belief_net.alternate(net.top, state, gibbs, steps, held=False)
  return belief_net.descent(waking, belief_net.sleep(net, state, weight, sleep))


def mean_direction(net, steps, draws=20_000):
  images, labels = data()
  weight = jnp.full(len(images), 1 / len(images))
  one = lambda key: up_down(net, images, labels, weight, key, steps)
  directions = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(2), draws))
  return jax.tree.map(lambda leaf: leaf.mean(axis=0), directions)


def test_waking_teaches_the_generative_weights_the_likelihood(net):
  """Their mean direction is the gradient of -log P(below | above) over the recognition bits."""
  images, _ = data()
  found = mean_direction(net, 1).down

  def loss(down):
    total = 0.0
    for image in images:
      first = belief_net.chance(net.up[0], image[None])[0]
      for one in jnp.asarray(all_states(3)):
        of_one = jnp.prod(jnp.where(one == 1, first, 1 - first))
        second = belief_net.chance(net.up[1], one[None])[0]
        logit = one @ down[0].weights + down[0].biases
        total += of_one * (jnp.logaddexp(0, logit) - image * logit).sum()
        for two in jnp.asarray(all_states(FEATURES)):
          of_two = jnp.prod(jnp.where(two == 1, second, 1 - second))
          logit = two @ down[1].weights + down[1].biases
          total += of_one * of_two * (jnp.logaddexp(0, logit) - one * logit).sum()
    return total / len(images)

  for layer, expected in zip(found, jax.grad(loss)(net.down), strict=True):
    for a, b in zip(layer, expected, strict=True):
      np.testing.assert_allclose(a, b, atol=0.02)


def test_sleeping_teaches_the_recognition_weights_what_was_dreamt(net):
  """With one top state at rest everywhere, the highest recognition layer learns to say it."""
  sure = net.top._replace(
    weights=jnp.zeros_like(net.top.weights), visible=jnp.array([50.0, -50, 0, 0, 0])
  )
  direction = mean_direction(net._replace(top=sure), 1)
  biases = direction.up[1].biases  # descent: chance less what was dreamt, between -1 and 1
  assert biases[0] < 0 < biases[1]


def test_the_top_moves_from_the_model_to_the_data(net):
  """After many Gibbs steps its direction is the gradient of -log P(features, label)."""
  images, labels = data()
  found = mean_direction(net, 40, draws=10_000).top

  def loss(top):
    states = jnp.asarray(associations())
    log_z = jax.nn.logsumexp(-rbm.free_energy(top, states))
    total = 0.0
    for image, label in zip(images, labels, strict=True):
      first = belief_net.chance(net.up[0], image[None])[0]
      for one in jnp.asarray(all_states(3)):
        second = belief_net.chance(net.up[1], one[None])[0]
        for two in jnp.asarray(all_states(FEATURES)):
          share = jnp.prod(jnp.where(one == 1, first, 1 - first))
          share *= jnp.prod(jnp.where(two == 1, second, 1 - second))
          both = jnp.concatenate([two, label])[None]
          total += share * (rbm.free_energy(top, both)[0] + log_z)
    return total / len(images)

  for a, b in zip(found, jax.grad(loss)(net.top), strict=True):
    np.testing.assert_allclose(a, b, atol=0.03)


def test_padding_teaches_nothing(net):
  images, labels = data(3)
  weight = jnp.array([0.5, 0.5, 0.0])
  key = jax.random.key(0)
  found = up_down(net, images, labels, weight, key, 0)
  other = up_down(net, images.at[2].set(1 - images[2]), labels, weight, key, 0)
  for a, b in zip(jax.tree.leaves(found.down), jax.tree.leaves(other.down), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-6)


def test_generated_images_are_chances_and_depend_on_the_label(net):
  stiff = net._replace(top=net.top._replace(weights=8 * net.top.weights))
  labels = jnp.repeat(jnp.eye(CLASSES), 2000, axis=0)
  images = belief_net.generate(stiff, labels, jax.random.key(0), 20)
  assert images.shape == (6000, PIXELS) and bool(((images > 0) & (images < 1)).all())
  means = images.reshape(CLASSES, 2000, PIXELS).mean(axis=1)
  assert jnp.abs(means[0] - means[1]).max() > 0.05


def test_the_tops_partition_sums_over_features_and_labels(net):
  exact = jax.nn.logsumexp(-rbm.free_energy(net.top, jnp.asarray(associations())))
  np.testing.assert_allclose(belief_net.log_partition(net.top, CLASSES), exact, rtol=1e-6)


def test_the_bound_is_the_enumerated_one_and_below_the_likelihood(net):
  images, labels = data()
  log_z = jax.nn.logsumexp(-rbm.free_energy(net.top, jnp.asarray(associations())))
  first, second = (jnp.asarray(all_states(count)) for count in (3, FEATURES))
  log_chance = lambda layer, given, units: jnp.log(
    jnp.where(units == 1, belief_net.chance(layer, given), 1 - belief_net.chance(layer, given))
  ).sum(axis=-1)
  likelihoods, bounds = [], []
  for image, label in zip(images, labels, strict=True):
    terms, log_q = [], []
    for one in first:
      for two in second:
        both = jnp.concatenate([two, label])[None]
        terms.append(
          log_chance(net.down[0], one[None], image)[0]
          + log_chance(net.down[1], two[None], one)[0]
          - rbm.free_energy(net.top, both)[0]
          - log_z
        )
        log_q.append(
          log_chance(net.up[0], image[None], one)[0] + log_chance(net.up[1], one[None], two)[0]
        )
    terms, log_q = jnp.array(terms), jnp.array(log_q)
    likelihoods.append(jax.nn.logsumexp(terms))
    bounds.append(jnp.exp(log_q) @ (terms - log_q))
  draw = lambda key: belief_net.bound(net, images, labels, jax.random.split(key, len(images)))
  drawn = jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(3), 20_000))
  found = drawn.mean(axis=0) - log_z
  np.testing.assert_allclose(found, jnp.array(bounds), atol=4 * float(drawn.std()) / 20_000**0.5)
  assert bool((found < jnp.array(likelihoods)).all())
