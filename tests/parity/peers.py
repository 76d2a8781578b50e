"""The classic networks in PyTorch, with torchvision's names for their layers, of any width."""

import torch
from torch import nn
from torch.nn import functional as F

from research.models.googlenet import INCEPTIONS


class Stack(nn.Module):
  """Convolutions in `features`, dense layers in `classifier`."""

  def __init__(self, features, classifier):
    super().__init__()
    self.features, self.classifier = nn.Sequential(*features), nn.Sequential(*classifier)

  def forward(self, x):
    return self.classifier(self.features(x).flatten(1))


def alexnet(features, groups, local_norm, hidden, classes, pooled=6):
  one, two, three, four, five = features
  # PyTorch divides alpha by n; the paper does not.
  norm = [nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2)] if local_norm else []
  conv = lambda *a, **k: [nn.Conv2d(*a, **k), nn.ReLU()]
  pool = lambda: nn.MaxPool2d(3, 2)
  return Stack(
    [
      *(*conv(3, one, 11, 4, 2), *norm, pool()),
      *(*conv(one, two, 5, 1, 2, groups=groups), *norm, pool()),
      *conv(two, three, 3, padding=1),
      *conv(three, four, 3, padding=1, groups=groups),
      *(*conv(four, five, 3, padding=1, groups=groups), pool(), nn.AdaptiveAvgPool2d(pooled)),
    ],
    [
      *(nn.Dropout(0), nn.Linear(pooled**2 * five, hidden), nn.ReLU()),
      *(nn.Dropout(0), nn.Linear(hidden, hidden), nn.ReLU()),
      nn.Linear(hidden, classes),
    ],
  )


def vgg(stages, width, hidden, classes, pooled=7):
  layers, channels = [], 3
  for stage, convolutions in enumerate(stages):
    for _ in range(convolutions):
      features = width * min(2**stage, 8)
      layers += [nn.Conv2d(channels, features, 3, padding=1), nn.ReLU()]
      channels = features
    layers.append(nn.MaxPool2d(2))
  return Stack(
    [*layers, nn.AdaptiveAvgPool2d(pooled)],
    [
      *(nn.Linear(pooled**2 * channels, hidden), nn.ReLU(), nn.Dropout(0)),
      *(nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(0)),
      nn.Linear(hidden, classes),
    ],
  )


class Block(nn.Module):
  """Basic (expansion 1), bottleneck (4), with option A's shortcut, or with none."""

  def __init__(self, channels, features, stride, expansion, padded, residual):
    super().__init__()
    self.residual = residual
    self.padded, self.stride, out = padded, stride, features * expansion
    conv = lambda a, b, size, stride: nn.Conv2d(a, b, size, stride, size // 2, bias=False)
    if expansion == 1:
      self.conv1, self.conv2 = conv(channels, features, 3, stride), conv(features, out, 3, 1)
    else:
      self.conv1, self.conv2 = conv(channels, features, 1, 1), conv(features, features, 3, stride)
      self.conv3, self.bn3 = conv(features, out, 1, 1), nn.BatchNorm2d(out)
    self.bn1, self.bn2 = nn.BatchNorm2d(features), nn.BatchNorm2d(features)
    changes = stride != 1 or channels != out
    self.missing = out - channels
    if residual and changes and not padded:
      self.downsample = nn.Sequential(conv(channels, out, 1, stride), nn.BatchNorm2d(out))

  def forward(self, x):
    y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
    if hasattr(self, "conv3"):
      y = self.bn3(self.conv3(F.relu(y)))
    if not self.residual:
      return F.relu(y)
    if hasattr(self, "downsample"):
      x = self.downsample(x)
    elif self.padded and self.missing:
      x = F.pad(x[:, :, :: self.stride, :: self.stride], (0,) * 4 + (self.missing // 2,) * 2)
    return F.relu(x + y)


class ResNet(nn.Module):
  def __init__(self, stages, width, classes, expansion=1, cifar=False, residual=True):
    super().__init__()
    size, stride = (3, 1) if cifar else (7, 2)
    self.conv1 = nn.Conv2d(3, width, size, stride, size // 2, bias=False)
    self.bn1, self.pool = nn.BatchNorm2d(width), not cifar
    channels = width
    for stage, blocks in enumerate(stages):
      features = width * 2**stage
      made = []
      for block in range(blocks):
        step = 2 if stage and not block else 1
        made.append(Block(channels, features, step, expansion, cifar, residual))
        channels = features * expansion
      setattr(self, f"layer{stage + 1}", nn.Sequential(*made))
    self.stages, self.fc = len(stages), nn.Linear(channels, classes)

  def forward(self, x):
    x = F.relu(self.bn1(self.conv1(x)))
    x = F.max_pool2d(x, 3, 2, 1) if self.pool else x
    for stage in range(self.stages):
      x = getattr(self, f"layer{stage + 1}")(x)
    return self.fc(x.mean((2, 3)))


class DenseLayer(nn.Module):
  def __init__(self, channels, growth, bottleneck):
    super().__init__()
    self.norm1, self.bottleneck = nn.BatchNorm2d(channels), bottleneck
    conv = lambda a, b, size: nn.Conv2d(a, b, size, 1, size // 2, bias=False)
    if bottleneck:
      self.conv1 = conv(channels, bottleneck * growth, 1)
      self.norm2 = nn.BatchNorm2d(bottleneck * growth)
      self.conv2 = conv(bottleneck * growth, growth, 3)
    else:
      self.conv1 = conv(channels, growth, 3)

  def forward(self, x):
    y = self.conv1(F.relu(self.norm1(x)))
    if self.bottleneck:
      y = self.conv2(F.relu(self.norm2(y)))
    return torch.cat([x, y], 1)


class Transition(nn.Module):
  def __init__(self, channels):
    super().__init__()
    self.norm = nn.BatchNorm2d(channels)
    self.conv = nn.Conv2d(channels, channels // 2, 1, bias=False)

  def forward(self, x):
    return F.avg_pool2d(self.conv(F.relu(self.norm(x))), 2)


class DenseNet(nn.Module):
  def __init__(self, layers, growth, stem, classes, bottleneck=4, small=False):
    super().__init__()
    self.features = nn.Sequential()
    add = self.features.add_module
    size = 3 if small else 7
    add("conv0", nn.Conv2d(3, stem, size, 2, size // 2, bias=False))
    if not small:
      add("norm0", nn.BatchNorm2d(stem))
      add("relu0", nn.ReLU())
      add("pool0", nn.MaxPool2d(3, 2, 1))
    channels = stem
    for block, count in enumerate(layers, start=1):
      made = nn.Sequential()
      for layer in range(1, count + 1):
        made.add_module(f"denselayer{layer}", DenseLayer(channels, growth, bottleneck))
        channels += growth
      add(f"denseblock{block}", made)
      if block < len(layers):
        add(f"transition{block}", Transition(channels))
        channels //= 2
    add("norm5", nn.BatchNorm2d(channels))
    self.classifier = nn.Linear(channels, classes)

  def forward(self, x):
    return self.classifier(F.relu(self.features(x)).mean((2, 3)))


class ConvRelu(nn.Module):
  def __init__(self, channels, features, size, stride, batch_norm):
    super().__init__()
    self.conv = nn.Conv2d(channels, features, size, stride, size // 2, bias=not batch_norm)
    if batch_norm:
      self.bn = nn.BatchNorm2d(features, eps=1e-3)

  def forward(self, x):
    x = self.conv(x)
    return F.relu(self.bn(x) if hasattr(self, "bn") else x)


class Inception(nn.Module):
  def __init__(self, channels, widths, conv, largest):
    super().__init__()
    one, reduce3, three, reduce5, five, pooled = widths
    self.branch1 = conv(channels, one, 1)
    self.branch2 = nn.Sequential(conv(channels, reduce3, 1), conv(reduce3, three, 3))
    self.branch3 = nn.Sequential(conv(channels, reduce5, 1), conv(reduce5, five, largest))
    self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(channels, pooled, 1))

  def forward(self, x):
    return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class Auxiliary(nn.Module):
  def __init__(self, channels, width, hidden, classes, conv, adaptive):
    super().__init__()
    self.pool = nn.AdaptiveAvgPool2d(4) if adaptive else nn.AvgPool2d(5, 3)
    self.conv = conv(channels, width, 1)
    self.fc1, self.fc2 = nn.Linear(16 * width, hidden), nn.Linear(hidden, classes)

  def forward(self, x):
    return self.fc2(F.relu(self.fc1(self.conv(self.pool(x)).flatten(1))))


class GoogLeNet(nn.Module):
  """torchvision's, or the paper's, with batch normalisation or the local one."""

  def __init__(self, divisor, classes, as_torchvision, batch_norm, heads=True):
    super().__init__()
    self.has_heads = heads
    self.as_torchvision, self.batch_norm = as_torchvision, batch_norm
    conv = lambda a, b, size, stride=1: ConvRelu(a, b, size, stride, batch_norm)
    wide = lambda width: width // divisor
    self.conv1, self.conv2 = conv(3, wide(64), 7, 2), conv(wide(64), wide(64), 1)
    self.conv3 = conv(wide(64), wide(192), 3)
    channels = {}
    before = wide(192)
    for name, published in INCEPTIONS.items():
      widths = [wide(width) for width in published]
      setattr(self, f"inception{name}", Inception(before, widths, conv, 3 if as_torchvision else 5))
      before = channels[name] = widths[0] + widths[2] + widths[4] + widths[5]
    for number, name in ((1, "4a"), (2, "4d")) if heads else ():
      head = Auxiliary(channels[name], wide(128), wide(1024), classes, conv, as_torchvision)
      setattr(self, f"aux{number}", head)
    self.fc = nn.Linear(before, classes)

  def forward(self, x):
    norm = lambda x: x
    if not self.batch_norm:
      norm = nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2)
    pool = lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True)
    x = norm(pool(self.conv1(x)))
    x = norm(self.conv3(self.conv2(x)))
    heads = []
    for name in INCEPTIONS:
      if name == "5a" and self.as_torchvision:
        x = F.max_pool2d(x, 2, ceil_mode=True)
      elif name.endswith("a"):
        x = pool(x)
      x = getattr(self, f"inception{name}")(x)
      if name in ("4a", "4d") and self.training and self.has_heads:
        heads.append((self.aux1 if name == "4a" else self.aux2)(x))
    logits = self.fc(x.mean((2, 3)))
    return (logits, *heads) if heads else logits


def nin(width, classes):
  layers, channels = [], 3
  for features, size, stride, padding in (
    (width, 11, 4, 0),
    (width * 8 // 3, 5, 1, 2),
    (width * 4, 3, 1, 1),
    (classes, 3, 1, 1),
  ):
    layers += [nn.MaxPool2d(3, 2)] if layers else []
    layers += [nn.Conv2d(channels, features, size, stride, padding), nn.ReLU()]
    layers += [nn.Conv2d(features, features, 1), nn.ReLU()]
    layers += [nn.Conv2d(features, features, 1), nn.ReLU()]
    channels = features
  return Stack([*layers, nn.AdaptiveAvgPool2d(1)], [])


def lenet(classes):
  conv = lambda *a: [nn.Conv2d(*a), nn.Sigmoid(), nn.AvgPool2d(2)]
  first, second, last = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, classes)
  return Stack(
    [*conv(1, 6, 5, 1, 2), *conv(6, 16, 5)], [first, nn.Sigmoid(), second, nn.Sigmoid(), last]
  )


def deep_convnet(width, hidden, classes):
  layers, channels = [], 1
  for stage, second in enumerate((1, 2, 1)):
    for padding in (1, second):
      layers += [nn.Conv2d(channels, width * 2**stage, 3, 1, padding), nn.ReLU()]
      channels = width * 2**stage
    layers.append(nn.MaxPool2d(2))
  return Stack(layers, [nn.Linear(channels * 16, hidden), nn.ReLU(), nn.Linear(hidden, classes)])
