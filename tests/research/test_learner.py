import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research.batch import inputs_of
from research.learner import ReadsConfig, predict_classes, supervised
from research.learner_transforms import augmented
from research.losses import softmax_cross_entropy, squared_error
from research.metrics import Mean, accuracy
from research.optimizers import Optimizer, make_optimizer
from tests.fixtures.equivalence import raw
from tests.fixtures.noisy_net import LEARNER, Config, Network, data_set

SETTINGS = Config()


@functools.cache
def fresh():
  return jax.jit(LEARNER.init)(SETTINGS, jax.random.key(0))


STEP = jax.jit(LEARNER.step)


def test_padding_counts_for_nothing_neither_in_gradients_nor_in_batch_statistics():
  batch = jax.tree.map(lambda array: array[:6], data_set())
  padding = jax.tree.map(lambda array: array[20:22], data_set())
  padded = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), batch, padding)
  ours = STEP(SETTINGS, fresh(), padded | {"weight": jnp.array([1.0] * 6 + [0.0] * 2)})
  expected = STEP(SETTINGS, fresh(), batch)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), raw(ours), raw(expected))
  whole = STEP(SETTINGS, fresh(), padded)
  assert not np.allclose(
    raw(whole[0].variables)["batch_stats"]["BatchNorm_0"]["mean"],
    raw(expected[0].variables)["batch_stats"]["BatchNorm_0"]["mean"],
  )


def test_a_step_follows_the_gradient_of_the_reported_loss():
  batch = jax.tree.map(lambda array: array[:8], data_set())
  state = fresh()
  moved, metrics = STEP(SETTINGS, state, batch)
  assert int(moved.step) == 1
  assert set(metrics) == {"loss", "accuracy"}
  for _ in range(20):
    moved, later = STEP(SETTINGS, moved, batch)
  assert float(later["loss"]) < float(metrics["loss"])


def test_dropout_is_a_function_of_the_key_and_the_step():
  batch = jax.tree.map(lambda array: array[:8], data_set())
  first, again = (STEP(SETTINGS, fresh(), batch)[1]["loss"] for _ in range(2))
  later = STEP(SETTINGS, fresh()._replace(step=jnp.int32(1)), batch)[1]["loss"]
  other = STEP(SETTINGS, fresh()._replace(key=jax.random.key(9)), batch)[1]["loss"]
  assert first == again and len({float(first), float(later), float(other)}) == 3


def test_augmented_images_are_drawn_anew_at_every_step_and_only_there():
  seen = []

  def transform(config, key, images):
    seen.append(key)
    return images * jax.random.uniform(key)

  learner = augmented(LEARNER, transform)
  assert learner.evaluate is LEARNER.evaluate
  batch = jax.tree.map(lambda array: array[:8], data_set())
  first, again, later = (
    float(learner.step(SETTINGS, fresh()._replace(step=jnp.int32(at)), batch)[1]["loss"])
    for at in (0, 0, 1)
  )
  keys = [tuple(jax.random.key_data(key).tolist()) for key in seen]
  assert first == again and keys[0] == keys[1] != keys[2]
  expected = STEP(SETTINGS, fresh(), batch | {"image": transform(None, seen[0], inputs_of(batch))})
  assert first == pytest.approx(float(expected[1]["loss"]), rel=1e-5) and later != first


def test_bytes_become_intensities_and_floats_stay():
  image = jnp.array([[0, 51, 255]], jnp.uint8)
  np.testing.assert_allclose(inputs_of({"image": image}), [[0, 0.2, 1]], rtol=1e-6)
  np.testing.assert_array_equal(inputs_of({"image": jnp.array([3.5])}), [3.5])


def test_losses_and_metrics_are_per_example():
  logits = jnp.array([[2.0, 0.0], [0.0, 1.0]])
  batch = {"label": jnp.array([0, 0]), "target": jnp.array([[1.0, 0.0], [0.0, 0.0]])}
  log_likelihood = np.log(np.exp([2.0, 0.0]) / (np.exp([2.0, 0.0]) + np.exp([0.0, 1.0])))
  np.testing.assert_allclose(softmax_cross_entropy(logits, batch), -log_likelihood, rtol=1e-6)
  np.testing.assert_allclose(squared_error(logits, batch), [0.5, 0.5])
  np.testing.assert_array_equal(accuracy(logits, batch), [1, 0])


@pytest.mark.parametrize("batch_size", [7, 50, 100])
def test_predicted_classes_do_not_depend_on_the_batch(batch_size):
  model, data = Network(8, 0.3), {k: np.asarray(v) for k, v in data_set().items()}
  guesses = predict_classes(model, fresh(), data, batch_size)
  np.testing.assert_array_equal(guesses, predict_classes(model, fresh(), data))
  means = LEARNER.evaluate(SETTINGS, fresh(), data_set())
  assert float(means["accuracy"].total) == np.sum(guesses == data["label"])


class Bag(nn.Module):
  """One number per token, from inputs that are a tree of integers and floats."""

  @nn.compact
  def __call__(self, inputs, train=False):
    return nn.Embed(5, 1)(inputs["token"])[..., 0] + inputs["shift"][:, None]


def token_errors(outputs, batch):
  real = batch["token"] > 0
  error = jnp.square(outputs - batch["goal"])
  return Mean(jnp.sum(real * error, axis=1), jnp.sum(real, axis=1).astype(float))


def test_an_example_may_count_by_its_tokens_and_inputs_may_be_a_tree():
  learner = supervised(
    lambda config: Bag(),
    token_errors,
    lambda config: {
      "token": jax.ShapeDtypeStruct((4,), jnp.int32),
      "shift": jax.ShapeDtypeStruct((), jnp.float32),
    },
    lambda config: make_optimizer(Optimizer("sgd", 0.1), 1),
    metrics={"goal": lambda outputs, batch: batch["goal"][:, 0]},
    inputs=lambda batch: {name: batch[name] for name in ("token", "shift")},
  )
  batch = {
    "token": jnp.array([[1, 2, 0, 0], [3, 1, 1, 2], [4, 4, 4, 0]]),
    "shift": jnp.array([0.0, 1.0, 2.0]),
    "goal": jnp.arange(12.0).reshape(3, 4),
  }
  state = learner.init(SETTINGS, jax.random.key(0))
  means = learner.evaluate(SETTINGS, state, batch)
  assert float(means["loss"].weight) == 9 and float(means["goal"].weight) == 3
  outputs = Bag().apply({"params": state.params}, batch)
  every_token = [
    (outputs[i, t] - batch["goal"][i, t]) ** 2
    for i, length in enumerate((2, 4, 3))
    for t in range(length)
  ]
  assert float(means["loss"].total) == pytest.approx(sum(map(float, every_token)), rel=1e-6)
  weighted = batch | {"weight": jnp.array([1.0, 1.0, 0.0])}
  moved, metrics = learner.step(SETTINGS, state, weighted)
  assert float(metrics["loss"]) == pytest.approx(np.mean(every_token[:6]), rel=1e-6)
  moves = moved.params["Embed_0"]["embedding"] != state.params["Embed_0"]["embedding"]
  # Token 0 is padding, and token 4 stands only in the example of weight 0.
  np.testing.assert_array_equal(moves[:, 0], [False, True, True, True, False])


class Dense(nn.Dense):
  """A model that is the same in training."""

  def __call__(self, x, train=False):
    return super().__call__(x)


def test_a_loss_and_a_metric_may_read_traced_settings():
  weighed = lambda outputs, batch, config: config["scale"] * squared_error(outputs, batch)
  learner = supervised(
    lambda config: Dense(2),
    ReadsConfig(weighed),
    lambda config: (3,),
    lambda config: optax.sgd(0.1),
    metrics={"threefold": ReadsConfig(lambda *both: 3 * weighed(*both)), "plain": squared_error},
  )
  init = lambda key: learner.init({"scale": 1.0}, key)
  batch = {"image": jnp.ones((2, 3)), "target": jnp.ones((2, 2))}
  state = init(jax.random.key(0))
  state = state._replace(params=jax.tree.map(jnp.ones_like, state.params))
  step = jax.jit(learner.step)
  moved = []
  for scale in (1.0, 2.0):
    after, metrics = step({"scale": scale}, state, batch)
    assert metrics["loss"] == scale * metrics["plain"] == metrics["threefold"] / 3
    found = learner.evaluate({"scale": scale}, state, batch)
    assert found["loss"].total == scale * found["plain"].total
    moved.append(after.params["kernel"] - 1)
  assert step._cache_size() == 1
  np.testing.assert_allclose(moved[1], 2 * moved[0], rtol=1e-6)
