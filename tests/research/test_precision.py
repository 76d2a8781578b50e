import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research.cli.first_fit import first_training
from research.compile import compile_learner
from research.config import nested, pytree_config, replace, static, traced
from research.data import sampling
from research.data.text import language
from research.errors import UserError
from research.layers.batch_norm import BatchNorm
from research.layers.dropout import Dropout
from research.learner import supervised
from research.losses import softmax_cross_entropy
from research.models.language_model import LanguageModel
from research.optimizers import Optimizer, make_optimizer, optimizer_of
from research.precision import LossScale, Precision, in_precision, with_loss_scale
from research.target_platform import compiling_for
from research.training import Training, on_device
from research.truncated_bptt import truncated_bptt
from tests.fixtures import single_fits
from tests.fixtures.equivalence import raw, some_steps
from tests.fixtures.noisy_net import data_set
from tests.fixtures.products import products_of

HALF = ("float16", "bfloat16")
FLOAT32, BFLOAT16 = ("float32", "float32"), ("bfloat16", "bfloat16")


@pytree_config
class Config:
  dropout: float = traced(0.0, "dropout rate")
  normalises: bool = static(True, "whether with batch normalisation")
  optimizer: Optimizer = nested(Optimizer("momentum", 0.1))


class Network(nn.Module):
  """Convolution, perhaps batch normalisation, dropout, two dense layers of one block."""

  dropout: float
  normalises: bool

  @nn.compact
  def __call__(self, x, train=False):
    x = nn.Conv(6, (3, 3))(x)
    x = BatchNorm()(x, train=train) if self.normalises else x
    x = Dropout(self.dropout)(nn.relu(x).mean(axis=(1, 2)), train=train)
    return Head(name="head")(x)


class Head(nn.Module):
  """Two dense layers with layer normalisation between."""

  @nn.compact
  def __call__(self, x):
    return nn.Dense(3)(nn.LayerNorm()(nn.Dense(5)(x)))


LEARNER = supervised(
  lambda config: Network(config.dropout, config.normalises),
  softmax_cross_entropy,
  lambda config: (4, 4, 1),
  lambda config: optimizer_of(config, 9),
)


def at(**levers):
  return Config(optimizer=Optimizer("momentum", 0.1, **levers))


def after(learner, config, batches):
  state, step = jax.jit(learner.init)(config, jax.random.key(0)), jax.jit(learner.step)
  for batch in batches:
    state, metrics = step(config, state, batch)
  return raw((state, metrics))


def products(config, learner=LEARNER, batch=None):
  """The types that a step multiplies, compiled for a platform with products of 16 bits."""
  state = jax.eval_shape(learner.init, config, jax.random.key(0))
  with compiling_for("gpu"):
    traced_step = jax.jit(learner.step).trace(config, state, batch or data_set())
  return products_of(traced_step.jaxpr.jaxpr)


def test_all_products_are_short_but_those_of_normalisations():
  assert set(products(replace(at(precision="bfloat16"), {"normalises": False}))) == {BFLOAT16}
  plain, short = products(at()), products(at(precision="bfloat16"))
  assert set(plain) == {FLOAT32}
  # Batch statistics are products with a vector of weights.
  of_statistics = plain[FLOAT32] - products(replace(at(), {"normalises": False}))[FLOAT32]
  assert short[FLOAT32] == of_statistics and short.total() == plain.total()


def test_modules_by_name_stay_in_float32_with_all_their_parts():
  config = replace(at(precision="bfloat16", full_precision="head"), {"normalises": False})
  found = products(config)
  convolutions = 2  # forward, and the kernel's gradient: images have none
  assert found[BFLOAT16] == convolutions and found[FLOAT32] == found.total() - convolutions > 0


@pytest.mark.parametrize("precision", HALF)
def test_weights_statistics_and_losses_are_in_float32_and_near(precision):
  batches = [data_set()] * 3
  plain, short = after(LEARNER, at(), batches), after(LEARNER, at(precision=precision), batches)
  state, metrics = short
  leaves = jax.tree.leaves((state.params, state.variables, metrics))
  assert {leaf.dtype for leaf in leaves} == {np.dtype("float32")}
  error = {"float16": 2e-3, "bfloat16": 2e-2}[precision]  # some units in the last place
  assert abs(metrics["loss"] - plain[1]["loss"]) < error
  moved = lambda state: jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(state.params)])
  difference = np.linalg.norm(moved(state) - moved(plain[0]))
  assert 0 < difference < error * np.linalg.norm(moved(plain[0]))


def test_float32_by_name_is_the_same_program():
  batch = data_set()
  state = LEARNER.init(Config(), jax.random.key(0))
  texts = [
    jax.jit(LEARNER.step).lower(config, state, batch).as_text()
    for config in (at(), at(precision="float32"))
  ]
  assert texts[0] == texts[1]
  forward = lambda variables, inputs: inputs
  assert in_precision(Precision(), forward) is forward


def test_recurrent_carries_and_one_hot_inputs_are_short_too():
  reader = truncated_bptt(
    lambda config: LanguageModel(9, 0, 5, 1, "lstm"),
    lambda config: optimizer_of(config, 1),
    lambda config: 6,
  )
  text = np.random.default_rng(0).integers(1, 9, 6 * 4 + 1).astype(np.int32)
  batch = jax.tree.map(lambda array: jnp.asarray(array)[:6], language.partition(text, 6, 4))
  assert set(products(at(precision="bfloat16"), reader, batch)) == {BFLOAT16}
  state, metrics = after(reader, at(precision="float16", micro_batches=2), [batch] * 2)
  assert {leaf.dtype for leaf in jax.tree.leaves(state.carries)} == {np.dtype("float32")}
  plain = after(reader, at(), [batch] * 2)[1]["loss"]
  assert abs(metrics["loss"] - plain) < 1e-2


def test_a_scale_of_the_loss_changes_no_update():
  params = {"w": jnp.array([1.0, -2.0])}
  gradients = {"w": jnp.array([0.3, 1e-6])}
  rule = optax.adam(0.1)
  scaling = with_loss_scale(rule, first=2.0**10, good_steps=2)
  plain, scaled = rule.init(params), scaling.init(params)
  for step in range(5):
    expected, plain = rule.update(gradients, plain, params)
    large = jax.tree.map(lambda leaf, by=scaled.scale: leaf * by, gradients)
    found, scaled = scaling.update(large, scaled, params)
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert scaled.scale == 2.0 ** (10 + (step + 1) // 2)


@pytest.mark.parametrize("bad", [jnp.inf, jnp.nan])
def test_a_gradient_that_is_not_finite_moves_nothing_and_halves_the_scale(bad):
  params = {"w": jnp.ones(2), "b": jnp.ones(())}
  scaling = with_loss_scale(optax.adam(0.1), first=8.0)
  start = scaling.update(params, scaling.init(params), params)[1]
  updates, state = scaling.update({"w": jnp.array([1.0, bad]), "b": jnp.ones(())}, start, params)
  assert all(jnp.all(leaf == 0) for leaf in jax.tree.leaves(updates))
  jax.tree.map(np.testing.assert_array_equal, state.inner, start.inner)
  assert state.scale == 4 and state.good == 0
  for _ in range(5):
    state = scaling.update({"w": jnp.full(2, bad), "b": jnp.ones(())}, state, params)[1]
  assert state.scale == 1


def test_a_loss_too_small_for_float16_is_learned_from_and_a_scale_too_large_comes_down():
  small = lambda logits, batch: 1e-7 * softmax_cross_entropy(logits, batch)
  learner = supervised(
    lambda config: Network(0.0, True),
    small,
    lambda config: (4, 4, 1),
    lambda config: optimizer_of(config, 9),
  )
  moved = lambda state: sum(np.abs(x).sum() for x in jax.tree.leaves(state.opt_state.inner))
  state, _ = after(learner, at(precision="float16"), [data_set()])
  plain, _ = after(learner, at(), [data_set()])
  total = sum(np.abs(x).sum() for x in jax.tree.leaves(plain.opt_state))
  assert abs(moved(state) / total - 1) < 0.02

  config = at(precision="float16")
  start = jax.jit(LEARNER.init)(config, jax.random.key(0))
  high = start._replace(opt_state=start.opt_state._replace(scale=jnp.float32(2.0**24)))
  step, scales = jax.jit(LEARNER.step), []
  for _ in range(12):
    high, metrics = step(config, high, data_set())
    scales.append(float(metrics["loss_scale"]))
    assert np.isfinite(metrics["loss"])
  assert scales[0] == 2.0**24 > scales[-1] == scales[-2]
  has_moved = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), high.params, start.params)
  assert all(jax.tree.leaves(has_moved))


@pytest.mark.parametrize("precision", HALF)
def test_parts_of_a_batch_are_the_whole(precision):
  batches = [data_set()] * 2
  config = replace(at(precision=precision), {"normalises": False})
  whole = after(LEARNER, config, batches)[0]
  parts = replace(config, {"optimizer.micro_batches": 5})
  close = functools.partial(np.testing.assert_allclose, atol=5e-3)
  jax.tree.map(close, after(LEARNER, parts, batches)[0].params, whole.params)


@pytest.mark.slow
@pytest.mark.parametrize("precision", HALF)
@pytest.mark.parametrize("parallel", ["shard", "pmap"])
def test_devices_agree(precision, parallel):
  data = data_set()
  training = Training(LEARNER, data, sampling.by_epoch(12), 9, {"test": data}, 9, 9)
  one, many = (some_steps(at(precision=precision), training, form, 3) for form in ("jit", parallel))
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, atol=2e-2), many[0].params, one[0].params
  )


def refused(**levers):
  with pytest.raises(UserError) as error:
    after(LEARNER, at(**levers), [data_set()])
  return str(error.value)


def test_what_cannot_be_is_refused():
  assert "begins with 'Dense_9'; there are Conv_0" in refused(
    precision="float16", full_precision="head; Dense_9"
  )
  assert "'(' is no regular expression" in refused(precision="float16", full_precision="(")
  assert "is for a precision of bfloat16 or float16" in refused(full_precision="head")
  with pytest.raises(UserError, match="this learner computes in float32 alone"):
    make_optimizer(Optimizer(precision="bfloat16"), 9)
  unscaled = supervised(
    lambda config: Network(0.0, True),
    softmax_cross_entropy,
    lambda config: (4, 4, 1),
    lambda config: optax.sgd(0.1),
  )
  with pytest.raises(UserError, match="float16 needs the optimizer of make_optimizer"):
    after(unscaled, at(precision="float16"), [data_set()])
  assert isinstance(optimizer_of(at(precision="float16"), 1).init({"w": jnp.ones(1)}), LossScale)


WITHOUT = {  # what they learn by, or their first fit, computes in float32 alone, or outside of JAX
  *("boltzmann_machine", "deep_belief_net", "rbm_exact", "rbm_features", "rbm_samples"),
  *("q_learning", "two_layer_net", "wake_sleep", "dqn_atari", "dqn_gymnasium"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(single_fits.NAMES) - WITHOUT))
def test_nothing_lengthens_the_numbers_of_an_experiments_network(monkeypatch, name):
  experiment, config, _ = single_fits.small(monkeypatch, name)
  config = replace(config, {"optimizer.precision": "bfloat16"})
  config, training = first_training(experiment, config, 0, "precision")
  key, config = jax.random.key(0), on_device(config)
  with compiling_for("gpu"):
    program = compile_learner(training.learner, training.sampler, 100)
    state = jax.eval_shape(training.learner.init, config, key)
    found = program.steps.trace(2, config, state, dict(training.data), key, np.int32(0))
  counts = products_of(found.jaxpr.jaxpr)
  # Those in float32 are of batch statistics and of what is done to images before the network.
  assert counts[BFLOAT16] > 0 and set(counts) <= {BFLOAT16, FLOAT32}
