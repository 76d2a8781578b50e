"""Twelve rules for initial weights compared, and every layer's signals on the way (I03).

What Saito 2016, section 6.2, leaves out: zero, constant, deviation 1 and 0.01, LeCun's rule (the
book's Xavier: fan-in), Glorot and Bengio's (fan-average), He's, each normal and uniform, and Saxe's
orthogonal weights, in the net of `init_race`, 784-100x4-10. All rules and seeds are lanes of one
program. At every look the first 1,000 training images are sent through, for the root mean squares
of every layer's outputs and of the loss's gradient by its weighted sums. What the layers do before
anything is learned is the experiment `first_signals`.

    python launch.py --experiment=weight_initializers
    python launch.py --experiment=weight_initializers --dataset=fashion_mnist --activation=tanh

Expected: deviation 1 diverges and 0.01 stays at ln 10; uniform and normal weights of one variance
learn alike, He's and stretched orthogonal ones fastest. About two minutes on two CPU cores. On
Fashion-MNIST LeCun's rule reaches 81.1 %, He's 83.3 %, and all else holds as well.
"""

import jax
import jax.numpy as jnp
import numpy as np

import research as ln
from research.analysis.signals import ACTIVATIONS, classifier_signals, layer_means
from research.batch import weights_of
from research.initializers import RULES, rule_at


@ln.pytree_config
class Config:
  """The net of the book's comparison; the rule is the members' own."""

  rule: float = ln.traced(
    0, "place in RULES of what draws the weights", at_least=0, below=len(RULES)
  )
  dataset: str = ln.static(
    "mnist", "images or a table", choices=("mnist", "fashion_mnist", *ln.sets.OWN)
  )
  activation: str = ln.static("ReLU", "of the hidden layers", choices=tuple(ACTIVATIONS))
  hidden: tuple[int, ...] = ln.static((100,) * 4, "units of the hidden layers", at_least=1)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer(name="sgd", learning_rate=0.01))
  batch_size: int = ln.static(128, "examples per step", at_least=1)
  steps: int = ln.static(2000, "updates", at_least=1)
  evaluate_every: int = ln.static(100, "updates between looks at the layers", at_least=1)
  looked_at: int = ln.static(1000, "training images that are sent through at a look", at_least=1)
  repeats: int = ln.static(3, "seeds of every member", at_least=1)


def model(config: Config) -> ln.MLP:
  """The net, whose weights the config's rule draws."""
  units = (*config.hidden, ln.sets.spec(config.dataset).classes)
  return ln.MLP(units, ACTIVATIONS[config.activation], rule_at(config.rule))


def with_looks(learner: ln.Learner) -> ln.Learner:
  """The learner whose evaluation adds the means of `layer_means`."""

  def evaluate(config: Config, state: ln.TrainState, batch: ln.Batch) -> dict[str, ln.Mean]:
    looks = classifier_signals(config.activation, state.params, batch)
    means = layer_means(looks, weights_of(batch))
    return dict(learner.evaluate(config, state, batch)) | means

  return learner._replace(evaluate=evaluate)


def images(config: Config, seed: int) -> ln.Task:
  """All images to learn from; the first of them are sent through at every look."""
  train = ln.sets.load(config.dataset).train
  few = {name: array[: config.looked_at] for name, array in train.items()}
  return ln.Task(train, {"look": few})


training = ln.supervised_training(
  model, images, transform=with_looks, sampler=ln.sampling.with_replacement
)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Compares all rules; of the user's own data nothing is claimed."""
  members = {name: ln.replace(config, {"rule": place}) for place, name in enumerate(RULES)}
  fits = lab.compare("race", members, training, repeats=config.repeats)
  claims = findings(config, fits) if config.dataset in ln.sets.names() else []
  return ln.Report(claims, pictures(config, fits))


def findings(config: Config, fits: dict[str, list[ln.Fit]]) -> list[ln.Claim]:
  """Claims of how well each rule learns."""
  loss = {name: ln.mean_of_last(fits[name], "train/loss") for name in RULES}
  ratio = lambda rule, other: loss[rule] / loss[other]
  is_the_books = (config.dataset, config.activation) == ("mnist", "ReLU")
  source = {"LeCun normal": 0.914, "He normal": 0.935} if is_the_books else {}
  claim, last = ln.claims("I03"), f"loss of the last {config.evaluate_every} batches"
  nothing, flat = "ln 10: nothing is learned", ln.within_ratio(2.3026, 0.01)
  half, sooner = "above 1: the half that ReLU drops", ln.at_least(1.1)
  he, stretched = ratio("LeCun normal", "He normal"), ratio("orthogonal", "orthogonal x 1.41")
  alike = {of: ratio(f"{of} uniform", f"{of} normal") for of in ("LeCun", "Xavier", "He")}
  one, near = "1: the variance decides", ln.within_ratio(1, 0.1)
  tested = {name: test_accuracy(config, fits[name]) for name in source}
  return [
    *(claim(f"{name}: {last}", nothing, loss[name], flat) for name in ("zero", "std 0.01")),
    *(claim(f"loss of {of} uniform / of {of} normal", one, alike[of], near) for of in alike),
    claim("loss of LeCun normal / of He normal", half, he, sooner),
    claim("loss of orthogonal / of orthogonal x 1.41", "above 1: the same half", stretched, sooner),
    *(
      claim(
        f"{name}: test accuracy", f"{100 * due:.4g} %", tested[name], ln.within(due, 0.015), "%"
      )
      for name, due in source.items()
    ),
  ]


def test_accuracy(config: Config, repeats: list[ln.Fit]) -> float:
  """The mean over the seeds."""
  test = {name: jnp.asarray(array) for name, array in ln.sets.load(config.dataset).test.items()}
  evaluate = repeats[0].training.learner.evaluate
  judge = jax.jit(lambda state: evaluate(config, state, test)["accuracy"])
  return float(np.mean([float(np.divide(*judge(fit.state))) for fit in repeats]))


SHOWN = ("std 0.01", "LeCun normal", "He normal")  # in histograms; deviation 1 is not finite
HISTOGRAMS = (  # of what, their range, and the caption
  ("activations", (0, 4), "Values above 4 are counted in the last bin."),
  ("gradients", None, "Of each image's loss by the layer's weighted sums."),
)
STATISTICS = ("activation", "gradient")  # of every layer, while they are followed
FOLLOWED = ("std 0.01", "LeCun normal", "Xavier normal", "He normal", "orthogonal x 1.41")


def pictures(config: Config, fits: dict[str, list[ln.Fit]]) -> list[ln.Picture]:
  """The losses, the layers' statistics through training, and histograms after it."""
  spread = f"Lines are means over {config.repeats} seeds, bands one standard deviation."
  of = f"{config.activation}, {config.dataset}"
  few = {name: jnp.asarray(array) for name, array in images(config, 0).evaluate["look"].items()}
  look = lambda fit: classifier_signals(config.activation, fit.state.params, few)
  looks, layers = {name: look(fits[name][0]) for name in SHOWN}, range(1, len(config.hidden) + 1)
  return [
    ln.compare_panels(
      {name: {"this rule": own, "He normal": fits["He normal"]} for name, own in fits.items()},
      "train/loss",
      title=f"Twelve rules for initial weights, {of}",
      y="loss (nats)",
      columns=4,
      caption=f"Every rule beside He's. {spread} A loss that is no number is not drawn.",
      file="loss",
    ),
    ln.metric_panels(
      {name: fits[name] for name in FOLLOWED},
      {f"layer {n}, {what}": f"look/{what} {n}" for what in STATISTICS for n in layers},
      title="Every layer through training",
      y="mean square",
      columns=len(config.hidden),
      log=True,
      caption=f"Mean squares over {config.looked_at:,} images. {spread}",
      file="layers",
    ),
    *(
      ln.histogram_grid(
        {name: getattr(found, kind) for name, found in looks.items()},
        title=f"{kind.capitalize()} after learning, {of}",
        x=kind.removesuffix("s"),
        value_range=value_range,
        caption=caption,
        file=f"{kind}_after",
      )
      for kind, value_range, caption in HISTOGRAMS
    ),
  ]


experiment = ln.Experiment(Config, run, training, takes=("lanes",))
