import jax
import numpy as np
import pytest

from research.energy.greedy_layers import Greedy, greedy_layers
from tests.fixtures.stand_in_labs import UntrainedLab

pytestmark = pytest.mark.fast


def test_each_machine_sees_what_those_below_make_of_the_images():
  lab, seen = UntrainedLab(), []
  fit = lab.fit
  lab.fit = lambda name, config, training: seen.append(training) or fit(name, config, training)
  images = np.random.default_rng(0).integers(0, 256, (60, 5, 5, 1), np.uint8)
  machines = greedy_layers(lab, Greedy(units=(9, 7, 5), batch_size=20), images)
  assert [machine.weights.shape for machine in machines] == [(25, 9), (9, 7), (7, 5)]
  pixels = images.reshape(60, 25) / 255
  expected = pixels
  for below, training in zip(machines, seen[1:], strict=False):
    expected = jax.nn.sigmoid(expected @ below.weights + below.hidden[None])
    np.testing.assert_allclose(training.data["image"], expected, rtol=1e-5)
  assert [training.steps for training in seen] == [30, 30, 30]
  odds = np.log(pixels.mean(axis=0) / (1 - pixels.mean(axis=0)))
  np.testing.assert_allclose(machines[0].visible, odds, rtol=1e-4)
  assert not any(machine.visible.any() for machine in machines[1:])
