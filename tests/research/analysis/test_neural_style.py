"""Losses of a picture between content and style, against NumPy, and what optimises them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import research as ln
from experiments.vision import style_transfer
from research.analysis import neural_style
from research.config import replace
from research.errors import UserError
from research.models import vgg_features
from tests.fixtures.equivalence import assert_devices_agree
from tests.fixtures.little_photographs import narrow_convolutions, replace_convolutions

RNG = np.random.default_rng(0)
LAYERS = {"content_layers": "conv2_1", "style_layers": "conv1_1,conv2_1"}
TINY = replace(style_transfer.Config(), {"size": 16, "steps": 3, "ratio": 0.1, **LAYERS})


def convolved(x, kernel, bias):
  """A 3x3 convolution with padding and a rectifier, tap by tap."""
  height, width, _ = x.shape
  padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
  taps = [
    padded[row : row + height, column : column + width] @ kernel[row, column]
    for row in range(3)
    for column in range(3)
  ]
  return np.maximum(sum(taps) + bias, 0)


def maps_by_hand(weights, image):
  found, x = {}, image.astype(float)
  for name in vgg_features.layer_names(16):
    if name.endswith("_1") and name != "conv1_1":
      x = (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4
    x = found[name] = convolved(x, weights[f"{name}/kernel"], weights[f"{name}/bias"])
  return found


def test_maps_are_those_of_plain_loops_and_stop_at_the_last_one_wanted():
  drawn = narrow_convolutions()
  weights, image = jax.tree.map(jnp.asarray, drawn), RNG.normal(size=(16, 16, 3))
  wanted = ("conv1_2", "conv3_1", "conv5_3")
  found = vgg_features.feature_maps(weights, jnp.asarray(image[None]), wanted)
  by_hand = maps_by_hand(drawn, image)
  assert tuple(found) == wanted
  for name in wanted:
    np.testing.assert_allclose(found[name][0], by_hand[name], rtol=1e-4, atol=1e-5)
  first = {name: array for name, array in weights.items() if name.startswith("conv1_1")}
  assert set(vgg_features.feature_maps(first, jnp.asarray(image[None]), ["conv1_1"])) == {"conv1_1"}


def test_losses_are_the_papers():
  maps, target = RNG.normal(size=(2, 1, 3, 4, 5))
  image = RNG.normal(size=(1, 4, 5, 3))
  content, style, variation = 0.0, 0.0, 0.0
  for place in np.ndindex(maps.shape):
    content += (maps[place] - target[place]) ** 2 / 2
  for i in range(5):
    for j in range(5):
      of = lambda m, i=i, j=j: sum(
        m[0, y, x, i] * m[0, y, x, j] for y in range(3) for x in range(4)
      )
      style += (of(maps) - of(target)) ** 2 / (4 * 5**2 * 12**2)
  for y in range(4):
    for x in range(5):
      for c in range(3):
        if y:
          variation += (image[0, y, x, c] - image[0, y - 1, x, c]) ** 2
        if x:
          variation += (image[0, y, x, c] - image[0, y, x - 1, c]) ** 2
  given = jnp.asarray
  assert neural_style.content_loss(given(maps), given(target)) == pytest.approx(content, rel=1e-5)
  matrix = neural_style.gram(given(target))
  assert neural_style.style_loss(given(maps), matrix) == pytest.approx(style, rel=1e-5)
  assert neural_style.total_variation(given(image)) == pytest.approx(variation, rel=1e-5)


@pytest.fixture
def narrow(monkeypatch):
  replace_convolutions(monkeypatch)


def first_state(config):
  training = neural_style.training(config, 0)
  return training, jax.jit(training.learner.init)(config, jax.random.key(0))


def measured(config, pixels):
  batch = {
    name: jnp.asarray(array) for name, array in neural_style.training(config, 0).data.items()
  }
  found = jax.jit(neural_style.losses)(config, pixels, batch)
  return {name: float(value) for name, value in found.items()}


def test_the_content_has_no_content_loss_and_the_style_no_style_loss(narrow):
  photograph = lambda name: jnp.asarray(
    neural_style.as_images(neural_style.photographs.load(name, TINY.size))
  )
  of_content, of_style = (measured(TINY, photograph(name)) for name in ("china", "flower"))
  assert of_content["content"] < 1e-6 < of_style["content"]
  assert of_style["style"] < 1e-8 < of_content["style"] and of_style["distance"] < 1e-3
  whole = of_content["style"] / TINY.ratio + TINY.variation * of_content["variation"]
  assert of_content["loss"] == pytest.approx(whole, rel=1e-5)


def test_the_networks_layers_weigh_alike_and_find_what_they_found(narrow):
  data = neural_style.training(TINY, 0).data
  weights = {name: jnp.asarray(array[0]) for name, array in data.items()}
  both = np.concatenate(
    [
      neural_style.as_images(neural_style.photographs.load(name, TINY.size))
      for name in ("china", "flower")
    ]
  )
  seen = vgg_features.normalised(jnp.asarray(both), weights["mean"], weights["deviation"])
  names = vgg_features.layer_names(16)[:3]
  drawn = jax.tree.map(jnp.asarray, narrow_convolutions())
  plain = vgg_features.feature_maps(drawn, seen, names)
  for name, maps in vgg_features.feature_maps(weights, seen, names).items():
    assert np.mean(maps) == pytest.approx(1, rel=1e-4)
    np.testing.assert_allclose(maps, plain[name] / np.mean(plain[name]), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["optax:lbfgs", "adam"])
def test_updates_lower_the_loss_and_evaluations_are_counted(narrow, name):
  rate = {"optax:lbfgs": 1.0, "adam": 0.01}[name]
  config = replace(TINY, {"optimizer.name": name, "optimizer.learning_rate": rate})
  config = replace(config, {"content_layers": "", "style_layers": "conv1_1"})
  training, state = first_state(config)
  batch = {name: jnp.asarray(array) for name, array in training.data.items()}
  step, seen = jax.jit(training.learner.step), []
  for _ in range(4):
    state, metrics = step(config, state, batch)
    seen.append((float(metrics["loss"]), float(metrics["evaluations"])))
  found, counts = zip(*seen, strict=True)
  assert found[-1] < 0.9 * found[0]
  if name == "adam":
    assert counts == (1,) * 4
  else:
    assert list(found) == sorted(found, reverse=True) and counts[0] >= 2 and min(counts) >= 1


def test_the_gradient_is_that_of_the_loss(narrow):
  training, state = first_state(replace(TINY, {"start": "noise"}))
  (found,) = ln.check_gradient(training.learner, TINY, state, training.data, coordinates=8)
  assert found.relative_norm < 1e-5


@pytest.mark.slow
def test_all_devices_agree(narrow):
  config = replace(TINY, {"optimizer.name": "adam"})
  assert_devices_agree(config, neural_style.training(config, 0), steps=1)


def test_what_is_not_there_is_refused_in_one_line(narrow, tmp_path):
  refusals = {
    "vgg16 has no layer 'conv6_1'; it has conv1_1": {"content_layers": "conv6_1"},
    "conv1_1 is given twice": {"style_layers": "conv1_1, conv1_1"},
    "no layers: give": {"content_layers": "", "style_layers": ""},
    "there is no picture .*none.png": {"content": str(tmp_path / "none.png")},
    "no package has the weights of vgg19": {"architecture": "vgg19"},
    "No such file": {"weights": str(tmp_path / "none.pth")},
  }
  for message, changes in refusals.items():
    with pytest.raises(UserError, match=message):
      neural_style.training(replace(TINY, changes), 0)
