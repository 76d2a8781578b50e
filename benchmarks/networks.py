"""What both sides train: names, batches and inputs. Imports neither JAX nor PyTorch."""

from typing import NamedTuple


class Network(NamedTuple):
  """A network to compare; the inputs are bytes, so both sides make floats of them in the step."""

  title: str
  batch_size: int
  image_shape: tuple[int, int, int]


NETWORKS = {
  "two_layer": Network("two-layer net 784-50-10", 100, (28, 28, 1)),
  "mlp": Network("MLP 784-100x4-10", 100, (28, 28, 1)),
  "simple_convnet": Network("SimpleConvNet", 100, (28, 28, 1)),
  "lenet": Network("LeNet", 256, (28, 28, 1)),
  "deep_convnet": Network("DeepConvNet", 100, (28, 28, 1)),
  "vgg11": Network("VGG-11, 8 channels", 100, (32, 32, 3)),
  "resnet20": Network("ResNet-20", 128, (32, 32, 3)),
  "alexnet": Network("AlexNet, an eighth", 32, (99, 99, 3)),
  "nin": Network("NiN, a quarter", 32, (99, 99, 3)),
  "googlenet": Network("GoogLeNet with BN, an eighth", 32, (96, 96, 3)),
  "resnet18": Network("ResNet-18, an eighth", 32, (96, 96, 3)),
  "densenet": Network("DenseNet 3-6-12-8, k = 8", 32, (96, 96, 3)),
}
EXAMPLES = 4096
CLASSES = 10
LEARNING_RATE = 0.01
MOMENTUM = 0.9
# Steps whose losses are compared at equal initial weights and equal batches.
COMPARED_STEPS = 8
