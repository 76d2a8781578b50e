"""Sizes of the classic networks by `eval_shape`, and that narrow twins of them run."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from research.models.alexnet import ONE_GPU, AlexNet
from research.models.deep_convnet import DeepConvNet
from research.models.densenet import FORMS, DenseLayer, DenseNet
from research.models.googlenet import GoogLeNet, Heads
from research.models.lenet import LeNet
from research.models.lenet5 import CONNECTIONS, LeNet5, Subsampling, TableConv, codes
from research.models.nin import NiN
from research.models.resnet import Bottleneck, CifarResNet, ResNet
from research.models.simple_convnet import SimpleConvNet
from research.models.vgg import VGG

GREY, COLOUR = (224, 224, 1), (224, 224, 3)
PUBLISHED = (96, 256, 384, 384, 256)
TORCHVISION_ALEXNET = functools.partial(AlexNet, ONE_GPU, 1, False)
TORCHVISION_GOOGLENET = functools.partial(GoogLeNet, norm="batch", torchvision=True)
DIVE_DENSENET = functools.partial(
  DenseNet, layers=(4, 4, 4, 4), bottleneck=0, use_bias=True, classes=10
)

# Inventory A01-A07, C06, C09, C12.
COUNTS = [
  (LeNet5(), (28, 28, 1), 60_000),
  (LeNet(), (28, 28, 1), 61_706),
  (AlexNet(), COLOUR, 60_965_224),
  (AlexNet(groups=1), COLOUR, 62_378_344),
  (TORCHVISION_ALEXNET(), COLOUR, 61_100_840),
  (AlexNet(PUBLISHED, 1, False, classes=10, stem_padding=1), GREY, 46_764_746),
  (VGG(11), COLOUR, 132_863_336),
  (VGG(13), COLOUR, 133_047_848),
  (VGG(16), COLOUR, 138_357_544),
  (VGG(19), COLOUR, 143_667_240),
  (VGG(11, width=16, classes=10), GREY, 43_093_322),
  (NiN(classes=10), GREY, 1_992_166),
  (NiN(classes=10), COLOUR, 2_015_398),
  (NiN(), COLOUR, 7_439_608),
  (GoogLeNet(auxiliary=False), COLOUR, 6_998_552),
  (GoogLeNet(), COLOUR, 13_378_280),
  (TORCHVISION_GOOGLENET(auxiliary=False), COLOUR, 6_624_904),
  (TORCHVISION_GOOGLENET(), COLOUR, 13_004_888),
  (GoogLeNet(norm="batch", auxiliary=False), COLOUR, 7_005_832),
  (GoogLeNet(norm="batch"), COLOUR, 13_385_816),
  (GoogLeNet(norm="none", auxiliary=False, classes=10), GREY, 5_977_530),
  (ResNet(18), COLOUR, 11_689_512),
  (ResNet(34), COLOUR, 21_797_672),
  (ResNet(50), COLOUR, 25_557_032),
  (ResNet(101), COLOUR, 44_549_160),
  (ResNet(152), COLOUR, 60_192_808),
  (ResNet(18, use_bias=True, classes=10), GREY, 11_178_378),
  (CifarResNet(20), (32, 32, 3), 269_722),
  (CifarResNet(32), (32, 32, 3), 464_154),
  (CifarResNet(44), (32, 32, 3), 658_586),
  (CifarResNet(56), (32, 32, 3), 853_018),
  (CifarResNet(110), (32, 32, 3), 1_727_962),
  (CifarResNet(20, residual=False), (32, 32, 3), 269_722),
  (DenseNet(**FORMS[121]), COLOUR, 7_978_856),
  (DenseNet(**FORMS[169]), COLOUR, 14_149_480),
  (DenseNet(**FORMS[201]), COLOUR, 20_013_928),
  (DenseNet(**FORMS[161]), COLOUR, 28_681_000),
  (DIVE_DENSENET(), GREY, 758_226),
  (SimpleConvNet(), (28, 28, 1), 433_890),
  (SimpleConvNet(filters=20), (28, 28, 1), 289_630),
  (DeepConvNet(), (28, 28, 1), 123_552),
]


def params_of(model, shape):
  variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *shape)))
  return variables["params"]


def count(tree):
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("model, shape, parameters", COUNTS)
def test_parameter_counts(model, shape, parameters):
  assert count(params_of(model, shape)) == parameters


def test_the_layers_of_the_1998_net_have_the_papers_counts():
  params = params_of(LeNet5(), (32, 32, 1))
  names = ["Conv_0", "Subsampling_0", "TableConv_0", "Subsampling_1", "Conv_1", "Dense_0"]
  assert [count(params[name]) for name in names] == [156, 12, 1516, 32, 48_120, 10_164]


def test_vgg_16_has_14714688_parameters_in_convolutions():
  params = params_of(VGG(16), COLOUR)
  assert count([layer for name, layer in params.items() if "Conv" in name]) == 14_714_688


def test_nin_has_no_dense_layer():
  leaves = jax.tree_util.tree_leaves_with_path(params_of(NiN(), COLOUR))
  assert not [path for path, _ in leaves if "Dense" in jax.tree_util.keystr(path)]


@pytest.mark.parametrize(
  "model",
  [
    LeNet5(),
    AlexNet((4, 8, 6, 6, 4), hidden=8, classes=10, stem=(5, 1)),
    VGG(11, width=2, hidden=8, classes=10),
    NiN(width=6, classes=10, stem=(5, 1), stem_padding=2),
    GoogLeNet(divisor=16, classes=10, small_images=True),
    CifarResNet(8, width=4, residual=False),
    ResNet(18, width=4, classes=10),
    ResNet(50, width=2, classes=10, residual=False),
    DenseNet((2, 2), growth=4, stem_features=8, classes=10, small_stem=2),
    DeepConvNet(width=2, hidden=8),
  ],
  ids=lambda model: type(model).__name__,
)
def test_narrow_twins_take_small_images(model):
  x = jnp.zeros((2, 28, 28, 1))
  keys = {"params": jax.random.key(1), "dropout": jax.random.key(2)}
  variables = jax.eval_shape(model.init, keys, x)
  evaluate = functools.partial(model.apply, train=False)
  assert jax.eval_shape(evaluate, variables, x).shape == (2, 10)
  train = functools.partial(model.apply, train=True, mutable=["batch_stats"])
  outputs, _ = jax.eval_shape(lambda v: train(v, x, rngs={"dropout": keys["dropout"]}), variables)
  for logits in jax.tree.leaves(outputs):
    assert logits.shape == (2, 10)


def test_auxiliary_heads_answer_in_training_only():
  model = GoogLeNet(divisor=32, classes=3, small_images=True)
  x = jnp.zeros((2, 8, 8, 1))
  variables = jax.eval_shape(model.init, jax.random.key(1), x)
  rngs = {"dropout": jax.random.key(2)}
  trained = jax.eval_shape(lambda v: model.apply(v, x, train=True, rngs=rngs), variables)
  assert isinstance(trained, Heads) and len(trained.auxiliary) == 2
  assert not isinstance(jax.eval_shape(model.apply, variables, x), Heads)


@pytest.mark.parametrize("model, depth", [(VGG(12), 12), (ResNet(20), 20)])
def test_a_depth_that_no_paper_has_is_refused(model, depth):
  with pytest.raises(ValueError, match=f"depth {depth} is not"):
    params_of(model, COLOUR)


def test_the_connection_table_is_the_papers():
  assert [len(seen) for seen in CONNECTIONS] == [3] * 6 + [4] * 9 + [6]
  assert len(set(map(frozenset, CONNECTIONS))) == 16
  assert np.bincount(np.concatenate(CONNECTIONS)).tolist() == [10] * 6
  assert set(CONNECTIONS[4]) == {4, 5, 0} and set(CONNECTIONS[12]) == {0, 1, 3, 4}


def test_a_map_answers_only_to_the_maps_that_it_sees():
  x = jax.random.normal(jax.random.key(0), (1, 5, 5, 6))
  layer = TableConv()
  variables = jax.jit(layer.init)(jax.random.key(1), x)
  slopes = jax.jacobian(lambda x: layer.apply(variables, x)[0, 0, 0])(x)[:, 0]  # [16, 5, 5, 6]
  seen = np.abs(slopes).max(axis=(1, 2)) > 0
  assert [tuple(np.flatnonzero(row)) for row in seen] == [tuple(sorted(c)) for c in CONNECTIONS]


def test_a_map_is_drawn_by_the_number_of_maps_that_it_sees():
  kernel = TableConv().init(jax.random.key(1), jnp.zeros((1, 5, 5, 6)))["params"]["kernel"]
  first, last = jnp.abs(kernel[..., :3]).max(), jnp.abs(kernel[..., -6:]).max()
  assert 0.95 * 2.4 / 75 < first <= 2.4 / 75
  assert 0.95 * 2.4 / 150 < last <= 2.4 / 150


def test_subsampling_squashes_coefficient_times_mean_plus_bias():
  x = jnp.array([[1.0, 2.0], [3.0, 6.0]]).reshape(1, 2, 2, 1)
  params = {"coefficient": jnp.full((1, 1, 1, 1), 0.5), "bias": jnp.full((1, 1, 1, 1), -1.0)}
  y = Subsampling().apply({"params": params}, x)
  np.testing.assert_allclose(y.ravel(), 1.7159 * np.tanh(2 / 3 * 0.5), rtol=1e-6)


def test_codes_are_ten_different_bitmaps():
  assert codes().shape == (10, 84) and set(np.unique(codes())) == {-1, 1}
  distances = np.square(codes()[:, None] - codes()[None]).sum(-1) / 4  # pixels that differ
  assert distances[~np.eye(10, dtype=bool)].min() >= 5


def test_a_dense_layer_passes_its_input_on():
  x = jax.random.normal(jax.random.key(0), (2, 4, 4, 6))
  layer = DenseLayer(3, 4, False, linen.initializers.ones)
  y, _ = jax.jit(layer.init_with_output)(jax.random.key(1), x)
  assert y.shape == (2, 4, 4, 9)
  np.testing.assert_array_equal(y[..., :6], x)


def test_the_identity_path_adds_one_to_the_gradient():
  x = jax.random.uniform(jax.random.key(0), (1, 4, 4, 8)) + 1
  for shortcut, slope in (("projection", 1.0), ("none", 0.0)):
    block = Bottleneck(2, shortcut=shortcut)
    shapes = jax.eval_shape(block.init, jax.random.key(1), x)
    silent = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes)
    gradient = jax.jit(jax.grad(lambda x, v, block=block: block.apply(v, x).sum()))(x, silent)
    np.testing.assert_array_equal(gradient, jnp.full(x.shape, slope))
