"""Learners with a step of their own give the same numbers on many devices as on one."""

import jax
import jax.numpy as jnp
import pytest

from experiments.reinforcement import q_learning
from experiments.unsupervised import boltzmann_machine, rbm_exact, wake_sleep
from research.config import replace
from research.data import sampling
from research.energy import rbm
from tests.fixtures.equivalence import assert_devices_agree
from tests.fixtures.little_data import replace_sets


def test_tabular_q_learning():
  config = q_learning.Config()
  assert_devices_agree(config, q_learning.training(config, 0))


def test_the_boltzmann_machine():
  config = replace(boltzmann_machine.Config(), {"hidden": 2, "chains": 9})
  training = boltzmann_machine.training(config, 0)
  few = {"pattern": training.data["pattern"][:12]}
  training = training._replace(data=few, sampler=sampling.in_order(12))
  assert_devices_agree(config, training)


@pytest.mark.parametrize(("start", "steps"), [("data", 1), ("data", 3), ("persistent", 1)])
def test_contrastive_divergence(start, steps):
  settings = {"machine.start": start, "machine.steps": steps, "machine.hidden": 4, "batch_size": 20}
  config = replace(rbm_exact.Config(), settings | {"machine.chains": 9})
  assert_devices_agree(config, rbm_exact.training(config, 0))


@pytest.mark.slow
@pytest.mark.parametrize("start", ["data", "persistent"])
def test_the_up_down_algorithm(monkeypatch, start):
  replace_sets(monkeypatch)
  settings = {"layers.units": (9, 7), "top": 11, "batch_size": 20, "start": start, "chains": 9}
  config = replace(wake_sleep.Config(), settings)
  keys = jax.random.split(jax.random.key(1))
  machines = [rbm.draw(keys[0], jnp.zeros(25), 9), rbm.draw(keys[1], jnp.zeros(9), 7)]
  net = wake_sleep.first_net(config, machines, jax.random.key(0))
  assert_devices_agree(config, wake_sleep.phase(config, net, top_only=False))
