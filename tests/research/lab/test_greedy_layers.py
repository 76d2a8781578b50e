import jax
import numpy as np

from research.lab.greedy_layers import Greedy, greedy_layers
from tests.experiments.without_a_lab import UntrainedLab


def test_each_machine_sees_what_those_below_make_of_the_images():
  lab, seen = UntrainedLab(), []
  fit = lab.fit
  lab.fit = lambda name, config, training: seen.append(training) or fit(name, config, training)
  images = np.random.default_rng(0).integers(0, 256, (60, 5, 5, 1), np.uint8)
  first, second = greedy_layers(lab, Greedy(units=(9, 7), batch_size=20), images)
  assert first.weights.shape == (25, 9) and second.weights.shape == (9, 7)
  pixels = images.reshape(60, 25) / 255
  expected = jax.nn.sigmoid(pixels @ first.weights + first.hidden[None])
  np.testing.assert_allclose(seen[1].data["image"], expected, rtol=1e-5)
  assert [training.steps for training in seen] == [30, 30]
  odds = np.log(pixels.mean(axis=0) / (1 - pixels.mean(axis=0)))
  np.testing.assert_allclose(first.visible, odds, rtol=1e-4)
  assert not second.visible.any()
