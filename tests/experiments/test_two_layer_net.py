"""The hand-written backward pass equals jax.grad, and the check sees an injected mistake."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.backprop import two_layer_net as net
from research.data import sampling
from research.initializers import Init
from research.training import Training
from tests.fixtures.equivalence import assert_devices_agree
from tests.fixtures.stand_in_labs import FakeLab


@pytest.mark.parametrize("name", net.ACTIVATIONS)
def test_the_hand_written_gradient_is_right(name):
  assert net.worst_gradient_error(name, net.Config(dataset="digits", hidden=6), FakeLab()) < 1e-14


@pytest.mark.parametrize("name", net.ACTIVATIONS)
def test_the_check_fails_on_an_injected_mistake(name, monkeypatch):
  right = net.ACTIVATIONS[name]
  wrong = right._replace(slope=lambda h: right.slope(h) * 1.001)
  monkeypatch.setitem(net.ACTIVATIONS, name, wrong)
  assert net.worst_gradient_error(name, net.Config(dataset="digits", hidden=6), FakeLab()) > 1e-4


def test_there_are_39760_parameters():
  state = jax.eval_shape(net.init, net.Config(), jax.random.key(0))
  assert sum(leaf.size for leaf in jax.tree.leaves(state)) == 39_760


def test_a_learner_without_flax_obeys_the_law_too():
  settings = net.Config(dataset="digits", hidden=5, batch_size=20, init=Init("normal", 0.5))
  rng = np.random.default_rng(0)
  data = {
    "image": jnp.asarray(rng.integers(0, 256, (50, 8, 8, 1)), jnp.uint8),
    "label": jnp.asarray(rng.integers(0, 10, 50), jnp.int32),
  }
  learner, sampler = net.LEARNERS["relu"], sampling.with_replacement(20)
  training = Training(
    learner, data, sampler, steps=3, evaluate={"test": data}, evaluate_every=3, log_every=3
  )
  assert_devices_agree(settings, training)
