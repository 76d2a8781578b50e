# ruff: noqa: E402  (the first import decides whether there is anything to test)
"""Our networks against PyTorch's, with the weights that PyTorch drew: logits and statistics."""

import functools

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from research.models.alexnet import ONE_GPU, AlexNet
from research.models.deep_convnet import DeepConvNet
from research.models.densenet import FORMS, DenseNet
from research.models.googlenet import GoogLeNet
from research.models.lenet import LeNet
from research.models.lenet5 import CONNECTIONS, LeNet5, codes
from research.models.nin import NiN
from research.models.resnet import STAGES, CifarResNet, ResNet
from research.models.torchvision import (
  ARCHITECTURES,
  densenet_paths,
  from_torchvision,
  googlenet_paths,
  resnet_paths,
  sequential_paths,
  variables_of,
)
from research.models.vgg import STAGES as VGG_STAGES
from research.models.vgg import VGG
from tests.parity import peers

ALEX = (8, 12, 8, 8, 4)


def nin_paths(layers):
  return {
    layer: (f"MlpConv_{number // 3}", f"Conv_{number % 3}") for number, layer in enumerate(layers)
  }


# Name: ours, PyTorch's, our names for its layers, the images' shape. No dropout, so that training
# can be compared. Images are as small as leaves 2x2 pixels to AlexNet's and VGG's dense layers, where
# the order of rows, columns and channels matters, and all windows to the published GoogLeNet's heads.
PAIRS = {
  "lenet": (LeNet(classes=7), lambda: peers.lenet(7), sequential_paths, (28, 28, 1)),
  "alexnet, published": (
    AlexNet(ALEX, hidden=16, classes=7, dropout_rate=0.0),
    lambda: peers.alexnet(ALEX, 2, True, 16, 7, pooled=2),
    sequential_paths,
    (99, 99, 3),
  ),
  "alexnet, torchvision": (
    AlexNet(ALEX, 1, False, hidden=16, classes=7, dropout_rate=0.0),
    lambda: peers.alexnet(ALEX, 1, False, 16, 7, pooled=2),
    sequential_paths,
    (99, 99, 3),
  ),
  "vgg-11": (
    VGG(11, width=2, hidden=16, classes=7, dropout_rate=0.0),
    lambda: peers.vgg(VGG_STAGES[11], 2, 16, 7, pooled=2),
    sequential_paths,
    (64, 64, 3),
  ),
  "vgg-16": (
    VGG(16, width=2, hidden=16, classes=7, dropout_rate=0.0),
    lambda: peers.vgg(VGG_STAGES[16], 2, 16, 7, pooled=2),
    sequential_paths,
    (64, 64, 3),
  ),
  "nin": (NiN(6, 7, dropout_rate=0.0), lambda: peers.nin(6, 7), nin_paths, (99, 99, 3)),
  "resnet-18": (
    ResNet(18, width=4, classes=7),
    lambda: peers.ResNet(STAGES[18], 4, 7),
    resnet_paths,
    (65, 64, 3),
  ),
  "plain-18": (
    ResNet(18, width=4, classes=7, residual=False),
    lambda: peers.ResNet(STAGES[18], 4, 7, residual=False),
    resnet_paths,
    (65, 64, 3),
  ),
  "resnet-50": (
    ResNet(50, width=4, classes=7),
    lambda: peers.ResNet(STAGES[50], 4, 7, expansion=4),
    resnet_paths,
    (64, 64, 3),
  ),
  "resnet-20 for CIFAR": (
    CifarResNet(20, width=4, classes=7),
    lambda: peers.ResNet((3, 3, 3), 4, 7, cifar=True),
    resnet_paths,
    (32, 32, 3),
  ),
  "plain-20 for CIFAR": (
    CifarResNet(20, width=4, classes=7, residual=False),
    lambda: peers.ResNet((3, 3, 3), 4, 7, cifar=True, residual=False),
    resnet_paths,
    (32, 32, 3),
  ),
  "densenet, no bottlenecks, small images": (
    DenseNet((2, 3, 2), 4, 8, bottleneck=0, classes=7, small_stem=2),
    lambda: peers.DenseNet((2, 3, 2), 4, 8, 7, bottleneck=0, small=True),
    densenet_paths,
    (28, 28, 3),
  ),
  "densenet": (
    DenseNet((2, 3, 2, 2), 4, 8, classes=7),
    lambda: peers.DenseNet((2, 3, 2, 2), 4, 8, 7),
    densenet_paths,
    (64, 64, 3),
  ),
  "googlenet, published": (
    GoogLeNet(16, 7, dropout_rate=0.0, auxiliary_dropout_rate=0.0),
    lambda: peers.GoogLeNet(16, 7, as_torchvision=False, batch_norm=False),
    googlenet_paths,
    (224, 224, 3),
  ),
  "googlenet, batch normalisation": (
    GoogLeNet(16, 7, norm="batch", dropout_rate=0.0, auxiliary_dropout_rate=0.0),
    lambda: peers.GoogLeNet(16, 7, as_torchvision=False, batch_norm=True),
    googlenet_paths,
    (224, 224, 3),
  ),
  "googlenet, torchvision": (
    GoogLeNet(16, 7, norm="batch", torchvision=True, dropout_rate=0.0, auxiliary_dropout_rate=0.0),
    lambda: peers.GoogLeNet(16, 7, as_torchvision=True, batch_norm=True),
    googlenet_paths,
    (100, 100, 3),
  ),
  "deep_convnet": (
    DeepConvNet(2, 8, 7, dropout_rate=0.0),
    lambda: peers.deep_convnet(2, 8, 7),
    sequential_paths,
    (28, 28, 1),
  ),
}


def randomise(module):
  """Weights that keep the signal's size, and statistics that are not those of a new layer."""
  generator = torch.Generator().manual_seed(0)
  draw = functools.partial(torch.randn, generator=generator)
  for name, value in module.state_dict().items():
    if value.ndim > 1:
      value.copy_(draw(value.shape) * (2 / value[0].numel()) ** 0.5)
    elif value.ndim == 1:
      value.copy_(0.1 * draw(value.shape) + (name.endswith("bias") ^ 1) * 1.0)
  return module


def to_numpy(module):
  return {name: value.numpy().copy() for name, value in module.state_dict().items()}


def agree(ours, theirs):
  theirs = np.asarray(theirs)
  assert np.abs(theirs).max() > 1e-2  # signals that died would agree
  np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * max(1, np.abs(theirs).max()))


LONG = ("googlenet, published", "googlenet, batch normalisation")


@pytest.fixture(
  params=[pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in PAIRS]
)
def pair(request):
  ours, build, paths, shape = PAIRS[request.param]
  theirs = randomise(build())
  variables = variables_of(ours, to_numpy(theirs), paths, shape)
  images = jax.random.normal(jax.random.key(1), (4, *shape))
  return ours, theirs, variables, images, paths


def test_logits_and_statistics_agree(pair):
  ours, theirs, variables, images, paths = pair
  x = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)
  with torch.no_grad():
    agree(jax.jit(ours.apply)(variables, images), theirs.eval()(x))
  # PyTorch's running variance takes m / (m - 1) times the batch's, ours the batch's itself, as in
  # the training step of Ioffe and Szegedy's algorithm 1.
  values = {}
  for name, layer in theirs.named_modules():
    if isinstance(layer, torch.nn.BatchNorm2d):
      layer.register_forward_hook(
        lambda layer, inputs, _, name=name: values.update(
          {name: inputs[0].numel() / inputs[0].shape[1]}
        )
      )
  before = to_numpy(theirs)
  with torch.no_grad():
    expected = theirs.train()(x)
  train = jax.jit(
    lambda v: ours.apply(
      v, images, train=True, mutable=["batch_stats"], rngs={"dropout": jax.random.key(0)}
    )
  )
  outputs, updated = train(variables)
  for mine, other in zip(jax.tree.leaves(outputs), jax.tree.leaves(expected), strict=True):
    agree(mine, other)
  after = to_numpy(theirs)
  for name, m in values.items():
    key = f"{name}.running_var"
    after[key] = 0.9 * before[key] + (after[key] - 0.9 * before[key]) * (m - 1) / m
  statistics = variables_of(ours, after, paths, images.shape[1:]).get("batch_stats", {})
  assert bool(statistics) == bool(values)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
    updated.get("batch_stats", {}),
    statistics,
  )


def test_lenet_5_of_1998():
  model, functional = LeNet5(), torch.nn.functional
  images = jax.random.normal(jax.random.key(2), (3, 28, 28, 1))
  params = jax.jit(model.init)(jax.random.key(0), images)["params"]
  params = jax.tree.map(lambda p: p + 0.1 * jax.random.normal(jax.random.key(1), p.shape), params)
  as_torch = lambda array: torch.from_numpy(np.array(array))
  squash = lambda x: 1.7159 * torch.tanh(2 / 3 * x)
  kernel = lambda name: as_torch(params[name]["kernel"]).permute(3, 2, 0, 1)
  table = torch.zeros(16, 6, 5, 5)
  column = 0
  for to, seen in enumerate(CONNECTIONS):
    for at in seen:
      table[to, at] = as_torch(params["TableConv_0"]["kernel"][:, :, column])
      column += 1

  def subsample(x, name):
    coefficient, bias = (
      as_torch(params[name][leaf]).reshape(1, -1, 1, 1) for leaf in ("coefficient", "bias")
    )
    return squash(functional.avg_pool2d(x, 2) * coefficient + bias)

  x = functional.pad(as_torch(images).permute(0, 3, 1, 2), (2, 2, 2, 2))
  x = squash(functional.conv2d(x, kernel("Conv_0"), as_torch(params["Conv_0"]["bias"])))
  x = subsample(x, "Subsampling_0")
  x = squash(functional.conv2d(x, table, as_torch(params["TableConv_0"]["bias"]).ravel()))
  x = subsample(x, "Subsampling_1")
  x = squash(functional.conv2d(x, kernel("Conv_1"), as_torch(params["Conv_1"]["bias"])))
  dense = params["Dense_0"]
  x = squash(x.flatten(1) @ as_torch(dense["kernel"]) + as_torch(dense["bias"]))
  expected = -((x[:, None] - as_torch(codes())) ** 2).sum(-1)
  agree(jax.jit(model.apply)({"params": params}, images), expected)


@pytest.mark.slow
def test_gradients_agree(pair):
  """Of a weighted sum of the outputs while training; in float64, where there is no excuse."""
  ours, theirs, variables, images, paths = pair
  with jax.enable_x64(True):
    variables = jax.tree.map(lambda leaf: leaf.astype(np.float64), variables)
    images = images.astype(np.float64)
    draw = np.random.default_rng(0)

    def outputs(params):
      made, _ = ours.apply(
        variables | {"params": params},
        images,
        train=True,
        mutable=["batch_stats"],
        rngs={"dropout": jax.random.key(0)},
      )
      return jax.tree.leaves(made)

    weights = [
      draw.normal(size=leaf.shape) for leaf in jax.eval_shape(outputs, variables["params"])
    ]
    total = lambda params: sum((a * b).sum() for a, b in zip(outputs(params), weights, strict=True))
    found = jax.tree.map(np.asarray, jax.jit(jax.grad(total))(variables["params"]))
  made = theirs.double().train()(torch.from_numpy(np.array(images)).permute(0, 3, 1, 2))
  made = made if isinstance(made, tuple) else (made,)
  sum((a * torch.from_numpy(b)).sum() for a, b in zip(made, weights, strict=True)).backward()
  slopes = to_numpy(theirs) | {n: p.grad.numpy() for n, p in theirs.named_parameters()}
  expected = variables_of(ours, slopes, paths, images.shape[1:])["params"]
  for path, leaf in jax.tree_util.tree_leaves_with_path(found):
    other = functools.reduce(lambda tree, key: tree[key.key], path, expected)
    difference = np.linalg.norm(leaf - other) / max(np.linalg.norm(other), 1e-9)
    assert difference < 1e-5, (jax.tree_util.keystr(path), difference)  # their float32 copies


FULL = {
  "alexnet": lambda: peers.alexnet(ONE_GPU, 1, False, 4096, 1000),
  "vgg11": lambda: peers.vgg(VGG_STAGES[11], 64, 4096, 1000),
  "googlenet": lambda: peers.GoogLeNet(1, 1000, as_torchvision=True, batch_norm=True),
  "resnet34": lambda: peers.ResNet(STAGES[34], 64, 1000),
  "resnet50": lambda: peers.ResNet(STAGES[50], 64, 1000, expansion=4),
  "densenet161": lambda: peers.DenseNet(FORMS[161]["layers"], 48, 96, 1000),
}


@pytest.mark.parametrize("name", FULL)
def test_every_name_of_the_full_networks_has_a_place(name):
  """Without memory: weights are one zero, broadcast."""
  with torch.device("meta"):
    theirs = FULL[name]()
  state = {
    key: np.broadcast_to(np.float32(0), tuple(value.shape))
    for key, value in theirs.state_dict().items()
  }
  model, variables = from_torchvision(name, state)
  assert type(model) is type(ARCHITECTURES[name](1000))
  count = sum(parameter.numel() for parameter in theirs.parameters())
  assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == count
