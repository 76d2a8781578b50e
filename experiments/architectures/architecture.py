"""Any classic architecture on MNIST, Fashion-MNIST or the digits, at a width that fits (A01-A07).

The networks of `research/models/` are exact to their papers at full width. Here they are narrow:
`--width` scales them (the LeNets have one width), and the stems of the ImageNet nets take images of
28 pixels. Adam at 0.001 falling linearly to zero serves them all. Dive into Deep Learning, whose
numbers stand beside ours, trains the full widths on images blown up to 96 or 224 pixels, ten epochs
by plain SGD. Images of your own (--dataset=folder:PATH) are not compared with any source.

    python launch.py --experiment=architecture --architecture=lenet --dataset=fashion_mnist
    python launch.py --experiment=architecture --architecture=resnet --width=2 --epochs=10

Expected: on the digits, 15 epochs, seed 0: densenet 99.2 %, lenet and vgg 98.1, lenet_1998 and
plain 97.5, alexnet 96.9, resnet 95.3, in 12 to 66 seconds of processor time. Too few updates for
three of them: googlenet 91.4, nin 77.5 and lenet_sigmoid 75.8. LeNet-5 of 1998 on MNIST
(--architecture=lenet_1998 --dataset=mnist --epochs=20): 98.6 ± 0.3 % over three seeds, in 4 minutes
of a core each. `--experiment=fashion_race` compares four on Fashion-MNIST; the other bars of
`SOURCES` there are not yet measured. Dive into Deep Learning's own LeNet is
--architecture=lenet_sigmoid --batch_size=256 --epochs=10 --init.name=xavier_uniform
--optimizer.name=sgd --optimizer.learning_rate=0.9 --optimizer.schedule=constant.
"""

from collections.abc import Callable

from flax import linen

import research as ln
from research.models.alexnet import AlexNet
from research.models.densenet import DenseNet
from research.models.googlenet import GoogLeNet, heads_accuracy, heads_loss
from research.models.lenet import LeNet
from research.models.lenet5 import LeNet5
from research.models.nin import NiN
from research.models.resnet import CIFAR_DEPTHS, CifarResNet
from research.models.vgg import STAGES, VGG

# Ids, what Dive into Deep Learning prints for its form on Fashion-MNIST, and our bars there.
SOURCES = {
  "lenet": ("A01", "77.9 % (d2l, sigmoids)", 0.88),
  "lenet_sigmoid": ("A01", "77.9 % (d2l)", 0.78),
  "lenet_1998": ("A01", "77.9 % (d2l, modern form)", 0.78),
  "alexnet": ("A02", "88.3 % (d2l)", 0.883),
  "vgg": ("A03", "92.0 % (d2l)", 0.92),
  "nin": ("A04", "79.0 % (d2l)", 0.79),
  "googlenet": ("A05", "88.6 % (d2l)", 0.886),
  "resnet": ("A06", "89.3 % (d2l)", 0.925),
  "plain": ("A06", "89.3 % (d2l, residual)", 0.893),
  "densenet": ("A07", "88.5 % (d2l)", 0.925),
}
# Elsewhere: the error of LeNet-5 on MNIST in 1998 (LeCun et al.), and our bars.
ELSEWHERE = {"mnist": ("99.05 % (LeNet-5 of 1998)", 0.985), "digits": ("none for this set", 0.95)}
DEPTHS = {"vgg": tuple(STAGES), "resnet": CIFAR_DEPTHS, "plain": CIFAR_DEPTHS}


@ln.pytree_config
class Config:
  """The network, and how it is trained."""

  architecture: str = ln.static(
    "lenet",
    "which network; lenet is the modern one with ReLU, lenet_sigmoid d2l's, lenet_1998 the first",
    choices=tuple(SOURCES),
  )
  dataset: str = ln.static(
    "fashion_mnist", "images", choices=("mnist", "fashion_mnist", "digits", *ln.sets.OWN_IMAGES)
  )
  width: int = ln.static(1, "multiple of the narrowest; 1, 2, 4, 8 for googlenet", at_least=1)
  depth: int = ln.static(0, "layers: 11, 13, 16, 19 for vgg, 6n + 2 for resnet; 0: the fewest")
  dropout: float = ln.traced(0.5, "rate of dropout where there is some", at_least=0, below=1)
  init: ln.Init = ln.nested(ln.Init("he_normal"))
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 1e-3, "linear"))
  batch_size: int = ln.static(128, "examples per step", at_least=1, at_most=60_000)
  epochs: int = ln.static(5, "passes over the training set", at_least=1)


# By name, the network of a config, a number of classes and a rule for the initial weights.
BUILD: dict[str, Callable[[Config, int, linen.initializers.Initializer], linen.Module]] = {
  "lenet": lambda c, k, init: LeNet(k, linen.relu, ln.max_pool, init),
  "lenet_sigmoid": lambda c, k, init: LeNet(k, kernel_init=init),
  "lenet_1998": lambda c, k, init: LeNet5(kernel_init=init),
  "alexnet": lambda c, k, init: AlexNet(
    tuple(width * c.width for width in (12, 32, 48, 48, 32)),
    hidden=128 * c.width,
    classes=k,
    dropout_rate=c.dropout,
    stem=(5, 1),
    kernel_init=init,
  ),
  "vgg": lambda c, k, init: VGG(c.depth or 11, 8 * c.width, 128 * c.width, k, c.dropout, init),
  "nin": lambda c, k, init: NiN(24 * c.width, k, c.dropout, (5, 1), 2, init),
  "googlenet": lambda c, k, init: GoogLeNet(
    8 // c.width, k, "batch", dropout_rate=c.dropout, small_images=True, kernel_init=init
  ),
  "resnet": lambda c, k, init: CifarResNet(c.depth or 8, 8 * c.width, k, init),
  "plain": lambda c, k, init: CifarResNet(c.depth or 8, 8 * c.width, k, init, residual=False),
  "densenet": lambda c, k, init: DenseNet(
    (4, 4, 4), 8 * c.width, 16 * c.width, classes=k, small_stem=2, kernel_init=init
  ),
}


def model(config: Config) -> linen.Module:
  """The network at its width, with a logit for each class of the data.

  Raises:
    UserError: for a width or a depth that the network does not come in, and for LeNet-5 of 1998,
      whose outputs are drawn digits, with other than ten classes of grey images.
  """
  name, depth = config.architecture, config.depth
  if depth and depth not in DEPTHS.get(name, ()):
    known = ", ".join(map(str, DEPTHS.get(name, ())[:4])) or "none"
    raise ln.UserError(f"--depth={depth} is no depth of {name} (it has {known}); 0 is always right")
  if name == "googlenet" and 8 % config.width:
    raise ln.UserError(f"--width={config.width} does not divide googlenet; give 1, 2, 4 or 8")
  spec = ln.sets.spec(config.dataset)
  if name == "lenet_1998" and (spec.classes, spec.image_shape[2]) != (10, 1):
    raise ln.UserError(
      "--architecture=lenet_1998 has drawings of ten digits for outputs and takes grey images; "
      f"{config.dataset} has {spec.classes} classes of images {spec.image_shape}; give lenet"
    )
  return BUILD[name](config, spec.classes, ln.kernel_init(config.init))


def images(config: Config, seed: int) -> ln.Task:
  """Training and test set; every pixel of the 8x8 digits becomes 4x4, as LeNet needs 28 of them."""
  task = ln.images(config, seed)
  if config.dataset != "digits":
    return task
  enlarge = lambda data: {**data, "image": data["image"].repeat(4, 1).repeat(4, 2)}
  return task._replace(train=enlarge(task.train), evaluate={"test": enlarge(task.evaluate["test"])})


METRICS = {"accuracy": heads_accuracy}
training = ln.supervised_training(
  model, images, loss=heads_loss, metrics=METRICS, evaluation_batch_size=500
)


def report(config: Config, fit: ln.Fit) -> ln.Report:
  """The test accuracy after the last step, the curves, and which classes are confused."""
  id, source, bar = SOURCES[config.architecture]
  if config.dataset != "fashion_mnist":
    chance = "chance", round(1 / ln.sets.spec(config.dataset).classes, 4)
    source, bar = ELSEWHERE.get(config.dataset, chance)
  net = f"{config.architecture} x {config.width} on {config.dataset}"
  what = f"{net}, test accuracy after {config.epochs} epochs"
  claim = ln.claims(id, unit="%")(what, source, fit.last("test/accuracy"), ln.at_least(bar))
  curves = ln.learning_curves(
    fit,
    title=net,
    epochs=True,
    log_loss=True,
    caption="Training curves are means over the epoch, test curves are taken at its end.",
  )
  return ln.Report([claim], [curves, ln.confusion(fit, model(config))])


LENET_1998 = {"architecture": "lenet_1998", "dataset": "mnist", "epochs": 20}
experiment = ln.single_fit(Config, training, report)._replace(verified=(LENET_1998,))
