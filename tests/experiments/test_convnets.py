import jax
import numpy as np
import pytest

from experiments.convolution import digits_convnet, simple_convnet


def test_the_books_network_has_433890_parameters():
  config = simple_convnet.Config()
  state = jax.eval_shape(simple_convnet.learner.init, config, jax.random.key(0))
  assert sum(leaf.size for leaf in jax.tree.leaves(state.params)) == 433_890


def test_initial_weights_have_the_books_deviation_and_biases_are_zero():
  state = jax.jit(simple_convnet.learner.init)(simple_convnet.Config(), jax.random.key(0))
  for layer in state.params.values():
    assert np.std(layer["kernel"]) == pytest.approx(0.01, rel=0.1)
    assert not np.any(layer["bias"])


def test_the_quick_start_never_looks_at_its_test_images_while_it_learns():
  training = digits_convnet.training(digits_convnet.Config())
  images = lambda data: {image.tobytes() for image in data["image"]}
  assert len(training.data["label"]) == 1257
  assert len(training.evaluate["test"]["label"]) == 360
  both = images(training.data) & images(training.evaluate["test"])
  assert len(both) <= 1  # scikit-learn's set holds a few equal images


def test_smoothness_is_nothing_for_noise_and_large_for_an_edge():
  noise = np.random.default_rng(0).normal(size=(5, 5, 1, 200))
  edge = np.ones((5, 5, 1, 1)) * np.sign(np.arange(5) - 1.5)[:, None, None, None]
  assert abs(simple_convnet.smoothness(noise)) < 0.1
  assert simple_convnet.smoothness(edge) > 0.4
