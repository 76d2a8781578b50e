import itertools

import jax
import numpy as np
import pytest

from experiments.convolution import (
  deep_convnet_ensemble,
  digits_convnet,
  first_layer_filters,
  hierarchical_features,
  nielsen_ladder,
  reduced_precision,
  simple_convnet,
)
from research.training import Fit


def learner_of(experiment, config):
  return experiment.training(config, 0).learner


def count(experiment, config):
  state = jax.eval_shape(learner_of(experiment, config).init, config, jax.random.key(0))
  return sum(leaf.size for leaf in jax.tree.leaves(state.params))


def test_the_books_network_has_433890_parameters():
  assert count(simple_convnet, simple_convnet.Config()) == 433_890


def test_initial_weights_have_the_books_deviation_and_biases_are_zero():
  config = simple_convnet.Config()
  state = jax.jit(learner_of(simple_convnet, config).init)(config, jax.random.key(0))
  for layer in state.params.values():
    assert np.std(layer["kernel"]) == pytest.approx(0.01, rel=0.1)
    assert not np.any(layer["bias"])


def test_the_quick_start_never_looks_at_its_test_images_while_it_learns():
  training = digits_convnet.training(digits_convnet.Config(), 0)
  images = lambda data: {image.tobytes() for image in data["image"]}
  assert len(training.data["label"]) == 1257
  assert len(training.evaluate["test"]["label"]) == 360
  both = images(training.data) & images(training.evaluate["test"])
  assert len(both) <= 1  # scikit-learn's set holds a few equal images


def test_structure_is_nothing_for_noise_and_large_for_an_edge():
  noise = np.random.default_rng(0).normal(size=(5, 5, 1, 200))
  edge = np.ones((5, 5, 1, 1)) * np.sign(np.arange(5) - 1.5)[:, None, None, None]
  assert abs(first_layer_filters.structure(noise)) < 0.1
  assert first_layer_filters.structure(edge) > 0.4


def test_nielsens_net_has_289630_parameters_and_the_ladder_adds_one_idea_at_a_time():
  of = lambda rung: count(nielsen_ladder, nielsen_ladder.Config(rung=rung))
  assert of("convolution") == 289_630
  assert of("dense") == 79_510
  assert of("two convolutions") == of("ReLU") == of("moved images")
  rungs = list(nielsen_ladder.RUNGS.values())
  assert [rung.source for rung in rungs] == sorted(rung.source for rung in rungs)
  new = [
    sum(a != b for a, b in zip(lower[:2] + lower[3:], upper[:2] + upper[3:], strict=True))
    for lower, upper in itertools.pairwise(rungs)
  ]
  assert new == [1, 1, 1, 1, 1, 2]  # dropout comes with wider layers


def test_images_move_by_whole_pixels_on_the_upper_rungs_only():
  images = jax.random.uniform(jax.random.key(0), (20, 6, 6, 1))
  move = lambda rung: nielsen_ladder.transform(
    nielsen_ladder.Config(rung=rung), jax.random.key(1), images
  )
  np.testing.assert_array_equal(move("ReLU"), images)
  moved = np.asarray(move("moved images"))
  assert not np.array_equal(moved, images)
  padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
  for number, image in enumerate(moved):
    windows = [padded[number, r : r + 6, c : c + 6] for r in range(3) for c in range(3)]
    assert any(np.array_equal(image, window) for window in windows)


def test_the_ensemble_answers_by_the_mean_of_the_logits():
  config = deep_convnet_ensemble.Config()
  init = jax.jit(learner_of(deep_convnet_ensemble, config).init)
  fits = [
    Fit(str(seed), config, init(config, jax.random.key(seed)), [], lambda: None, None)
    for seed in (0, 1)
  ]
  images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), np.uint8)
  each = [deep_convnet_ensemble.mean_logits(config, [fit], images) for fit in fits]
  together = deep_convnet_ensemble.mean_logits(config, fits, images)
  np.testing.assert_allclose(together, (each[0] + each[1]) / 2, rtol=1e-5, atol=1e-5)
  assert not np.allclose(each[0], each[1])


def test_the_square_that_costs_most_is_found_over_the_ink():
  image = np.zeros((8, 8, 1), np.float32)
  image[2, 3] = 1.0
  cost = np.ones((6, 6))
  cost[1, 2] = 0.0
  assert hierarchical_features.occluded_ink(image, cost, 3) == 1
  cost[4, 4] = -1.0
  assert hierarchical_features.occluded_ink(image, cost, 3) == 0


def test_short_numbers_move_the_margins_a_little_and_bfloat16_more():
  config = reduced_precision.Config()
  training = reduced_precision.training(config, 0)
  state = jax.jit(training.learner.init)(config, jax.random.key(0))
  fit = Fit("x", config, state, [], lambda: None, training)
  exact, half, brain = (
    reduced_precision.margins(config, fit, dtype) for dtype in ("float32", "float16", "bfloat16")
  )
  errors = [np.abs(short - exact).mean() for short in (half, brain)]
  assert 0 < 4 * errors[0] < errors[1] < 0.05 * np.abs(exact).mean()
