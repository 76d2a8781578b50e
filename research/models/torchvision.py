"""Weights under torchvision's names, as variables of ours.

    model, variables = from_torchvision("resnet18", read_weights(Path("resnet18.pth")).tensors)
    logits = model.apply(variables, images)  # [batch, 224, 224, 3], normalised as torchvision says

torchvision keeps kernels as (out, in, height, width) and dense weights as (out, in), and flattens
maps channel by channel; ours are (height, width, in, out) and (in, out), flattened place by place.
Its GoogLeNet changes the normalised pixels once more, inside of the network: ours wants them as it
has them then, (pixel - 0.5) / 0.5 for all three colours. EfficientNet-Lite0, which torchvision has
not, goes by the names of the package that has its weights.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from research.errors import UserError, unknown_name
from research.models.alexnet import ONE_GPU, AlexNet
from research.models.densenet import FORMS, DenseNet
from research.models.efficientnet import EfficientNetLite0
from research.models.googlenet import GoogLeNet
from research.models.resnet import STAGES, ResNet
from research.models.vgg import VGG

State = Mapping[str, np.ndarray]
Place = tuple[str, ...]
Paths = dict[str, Place]  # torchvision's layers -> ours


def numbered(layers: list[str], kind: str) -> Paths:
  """Layers in a row become Conv_0, Conv_1 and so on."""
  return {layer: (f"{kind}_{number}",) for number, layer in enumerate(layers)}


def sequential_paths(layers: list[str]) -> Paths:
  """AlexNet and VGG: convolutions in `features`, dense layers in `classifier`."""
  by_number = sorted(layers, key=lambda layer: int(re.sub(r"\D", "", layer) or 0))
  part = lambda name: [layer for layer in by_number if layer.startswith(name + ".")]
  return numbered(part("features"), "Conv") | numbered(part("classifier"), "Dense")


def resnet_paths(layers: list[str]) -> Paths:
  """`layer2.0.conv1` is a convolution of the first block of the second stage."""
  paths: Paths = {"conv1": ("Conv_0",), "bn1": ("BatchNorm_0",), "fc": ("Dense_0",)}
  places = [re.match(r"layer(\d+)\.(\d+)\.", layer) for layer in layers]
  blocks = sorted({(int(place[1]), int(place[2])) for place in places if place})
  kind = "Bottleneck" if "layer1.0.conv3" in layers else "BasicBlock"
  for number, (stage, block) in enumerate(blocks):
    prefix, ours = f"layer{stage}.{block}.", f"{kind}_{number}"
    for layer in range(3):
      paths[f"{prefix}conv{layer + 1}"] = (ours, f"Conv_{layer}")
      paths[f"{prefix}bn{layer + 1}"] = (ours, f"BatchNorm_{layer}")
    paths[prefix + "downsample.0"] = (ours, "Projection_0", "Conv_0")
    paths[prefix + "downsample.1"] = (ours, "Projection_0", "BatchNorm_0")
  return paths


def densenet_paths(layers: list[str]) -> Paths:
  """`features.denseblock2.denselayer3.conv1`; files of 2017 have a further dot: `conv.1`."""
  paths: Paths = {
    "features.conv0": ("Conv_0",),
    "features.norm0": ("stem_norm",),
    "features.norm5": ("last_norm",),
    "classifier": ("Dense_0",),
  }
  places = [re.match(r"features\.denseblock(\d+)\.denselayer(\d+)\.", layer) for layer in layers]
  dense = sorted({(int(place[1]), int(place[2])) for place in places if place})
  for number, (block, layer) in enumerate(dense):
    for part in range(2):
      for dot in ("", "."):
        prefix = f"features.denseblock{block}.denselayer{layer}."
        paths[f"{prefix}norm{dot}{part + 1}"] = (f"DenseLayer_{number}", f"BatchNorm_{part}")
        paths[f"{prefix}conv{dot}{part + 1}"] = (f"DenseLayer_{number}", f"Conv_{part}")
  for number in range(max(block for block, _ in dense) - 1 if dense else 0):
    prefix = f"features.transition{number + 1}."
    paths[prefix + "norm"] = (f"Transition_{number}", "BatchNorm_0")
    paths[prefix + "conv"] = (f"Transition_{number}", "Conv_0")
  return paths


def googlenet_paths(layers: list[str]) -> Paths:
  """`inception3a.branch2.0.conv` is the convolution before the 3x3 one."""
  branches = {
    "branch1": "one",
    "branch2.0": "reduce_three",
    "branch2.1": "three",
    "branch3.0": "reduce_five",
    "branch3.1": "five",
    "branch4.1": "pooled",
  }
  heads = {"aux1": "auxiliary_4a", "aux2": "auxiliary_4d"}
  paths: Paths = {"fc": ("Dense_0",)}
  for layer in layers:
    *above, kind = layer.split(".")
    ours = {"conv": "Conv_0", "bn": "BatchNorm_0"}.get(kind)
    if stem := re.fullmatch(r"conv(\d)\.\w+", layer):
      paths[layer] = (f"ConvRelu_{int(stem[1]) - 1}", str(ours))
    elif above and above[0].startswith("inception"):
      branch = branches.get(".".join(above[1:]), "unknown")
      paths[layer] = ("inception_" + above[0].removeprefix("inception"), branch, str(ours))
    elif above and above[0] in heads:
      dense = {"fc1": "Dense_0", "fc2": "Dense_1"}.get(kind)
      paths[layer] = (
        (heads[above[0]], dense) if dense else (heads[above[0]], "ConvRelu_0", str(ours))
      )
  return paths


def efficientnet_paths(layers: list[str]) -> Paths:
  """`_blocks.3._bn0` is the first normalisation of the fourth block."""
  paths: Paths = {
    "_conv_stem": ("stem",),
    "_bn0": ("stem_norm",),
    "_conv_head": ("last",),
    "_bn1": ("last_norm",),
    "_fc": ("head",),
  }
  parts = {
    "_expand_conv": "expand",
    "_bn0": "expand_norm",
    "_depthwise_conv": "depthwise",
    "_bn1": "depthwise_norm",
    "_project_conv": "project",
    "_bn2": "project_norm",
  }
  for layer in layers:
    if (place := re.fullmatch(r"_blocks\.(\d+)\.(\w+)", layer)) and place[2] in parts:
      paths[layer] = (f"block_{place[1]}", parts[place[2]])
  return paths


def _vgg(depth: int) -> Callable[[int], linen.Module]:
  return lambda classes: VGG(depth, classes=classes)


def _resnet(depth: int) -> Callable[[int], linen.Module]:
  return lambda classes: ResNet(depth, classes=classes)


def _densenet(depth: int) -> Callable[[int], linen.Module]:
  return lambda classes: DenseNet(**FORMS[depth], classes=classes)


# torchvision's names of its builders; each makes our net for so many classes.
ARCHITECTURES: Mapping[str, Callable[[int], linen.Module]] = MappingProxyType(
  {
    "alexnet": lambda classes: AlexNet(ONE_GPU, groups=1, local_norm=False, classes=classes),
    "efficientnet_lite0": EfficientNetLite0,
    "googlenet": lambda classes: GoogLeNet(norm="batch", torchvision=True, classes=classes),
    **{f"vgg{depth}": _vgg(depth) for depth in (11, 13, 16, 19)},
    **{f"resnet{depth}": _resnet(depth) for depth in STAGES},
    **{f"densenet{depth}": _densenet(depth) for depth in FORMS},
  }
)
PATHS: Mapping[type, Callable[[list[str]], Paths]] = MappingProxyType(
  {
    AlexNet: sequential_paths,
    VGG: sequential_paths,
    ResNet: resnet_paths,
    DenseNet: densenet_paths,
    EfficientNetLite0: efficientnet_paths,
    GoogLeNet: googlenet_paths,
  }
)


STEM = re.compile(r"(conv1|_conv_stem|features\.0|features\.conv0|conv1\.conv)\.weight")
HEAD = re.compile(r"(_?fc|classifier|classifier\.6)\.weight")


def from_torchvision(architecture: str, state: State) -> tuple[linen.Module, dict[str, Any]]:
  """The net of that name, for the classes and colours that the file is of, and its variables.

  A file without the last dense layers, as feature extractors have, gives variables without them.

  Raises:
    UserError: an unknown name, or weights of another net.
  """
  if architecture not in ARCHITECTURES:
    raise UserError(unknown_name(architecture, ARCHITECTURES, "architecture"))
  heads = [value for name, value in state.items() if HEAD.fullmatch(name)]
  stems = [value for name, value in state.items() if STEM.fullmatch(name) and value.ndim == 4]
  if not stems:
    raise UserError(
      f"these weights have no first layer under torchvision's name for {architecture}; their "
      f"names are such as {', '.join(list(state)[:3]) or 'none'}"
    )
  model = ARCHITECTURES[architecture](len(heads[0]) if heads else 1000)
  if isinstance(model, GoogLeNet) and not any(name.startswith("aux") for name in state):
    model = model.clone(auxiliary=False)
  return model, variables_of(model, state, PATHS[type(model)], (224, 224, stems[0].shape[1]))


def variables_of(
  model: linen.Module,
  state: State,
  paths_of: Callable[[list[str]], Paths],
  input_shape: tuple[int, ...],
) -> dict[str, Any]:
  """A net's variables from a state_dict of the same net, of any width.

  Args:
    model: ours.
    state: tensors by name.
    paths_of: our layers for the file's, such as `resnet_paths`.
    input_shape: of one image.

  Returns:
    {"params": ..., "batch_stats": ...} in float32; without batch normalisation only the first. The
    last dense layers are left out where the file has nothing of them.

  Raises:
    UserError: naming the first layer that is missing, in excess, of another shape, or not finite.
  """
  shapes = shapes_of(model, input_shape)
  state = {name: value for name, value in state.items() if not name.endswith("batches_tracked")}
  layers = list(dict.fromkeys(name.rpartition(".")[0] for name in state))
  paths = paths_of(layers)
  found = {}
  for name, value in state.items():
    path = _path(name, state, paths)
    if path is None or path not in shapes:
      raise UserError(
        f"{name} has no place in this {type(model).__name__}; choose its architecture"
      )
    if not jnp.issubdtype(value.dtype, jnp.floating):
      raise UserError(f"{name} holds {value.dtype}; save the weights in floating point")
    array = _array(path, np.asarray(value, np.float32), _maps_before(name, state), state)
    if array.shape != shapes[path].shape:
      raise UserError(
        f"{name} is {list(array.shape)} in our layout, and this {type(model).__name__} needs "
        f"{list(shapes[path].shape)}; choose the architecture that the file is of"
      )
    if not np.isfinite(array).all():
      raise UserError(
        f"{name} holds {np.sum(~np.isfinite(array)):,} numbers of {array.size:,} that are not "
        "finite: the training it comes from diverged, or the file is damaged; take another one"
      )
    found[path] = array
  missing = [path for path in shapes if path not in found]
  if missing and not is_head(missing, list(shapes)):
    raise UserError(f"nothing in the file is our {'/'.join(missing[0])}; is it a whole state_dict?")
  return flax.traverse_util.unflatten_dict({path: found[path] for path in shapes if path in found})


def shapes_of(model: linen.Module, input_shape: tuple[int, ...]) -> dict[Place, Any]:
  """Returns the shapes of the net's variables by place; nothing is computed."""
  zeros = jnp.zeros((1, *input_shape))
  return flax.traverse_util.flatten_dict(jax.eval_shape(model.init, jax.random.key(0), zeros))


def is_head(missing: list[Place], places: list[Place]) -> bool:
  """Tells whether whole dense layers are missing, from some one on to the last."""
  dense = sorted({place[1] for place in places if place[1].startswith(("Dense_", "head"))})
  first = min((place[1] for place in missing), default="")
  is_behind = lambda place: place[0] == "params" and place[1] in dense and place[1] >= first
  return set(missing) == set(filter(is_behind, places)) != set()


def _path(name: str, state: State, paths: Paths) -> Place | None:
  layer, _, leaf = name.rpartition(".")
  if layer not in paths:
    return None
  if layer + ".running_mean" in state:
    collection, ours = {
      "weight": ("params", "scale"),
      "bias": ("params", "bias"),
      "running_mean": ("batch_stats", "mean"),
      "running_var": ("batch_stats", "var"),
    }.get(leaf, ("", ""))
    return (collection, *paths[layer], ours)
  return ("params", *paths[layer], {"weight": "kernel", "bias": "bias"}.get(leaf, ""))


def _array(path: Place, value: np.ndarray, before: str | None, state: State) -> np.ndarray:
  """In our layout; `before` is the convolution whose flattened maps a dense layer sees."""
  if path[-1] != "kernel":
    return value
  if value.ndim == 4:
    return value.transpose(2, 3, 1, 0)
  channels = value.shape[1] if before is None else len(state[before])
  by_channel = value.reshape(len(value), channels, -1)
  return by_channel.transpose(2, 1, 0).reshape(-1, len(value))


def _maps_before(name: str, state: State) -> str | None:
  """The convolution whose maps are flattened into this dense layer, if any are."""
  if match := re.fullmatch(r"(aux\d)\.fc1\.weight", name):
    return f"{match[1]}.conv.conv.weight"
  number = lambda name: int(name.split(".")[1])
  dense = [other for other in state if re.fullmatch(r"classifier\.\d+\.weight", other)]
  if name not in dense or number(name) > min(map(number, dense)):
    return None
  convolutions = [other for other in state if re.fullmatch(r"features\.\d+\.weight", other)]
  return max(convolutions, key=number, default=None)
