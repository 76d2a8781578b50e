"""A generative and a discriminative classifier of one family, from few labels to many (U06).

Ng and Jordan 2002, "On discriminative vs. generative classifiers: a comparison of logistic
regression and naive Bayes": both give a class's log-probability as a linear function of the pixels.
Naive Bayes fits the images of each class, pixels independent, by counting; logistic regression fits
the labels. Where the pixels are not independent, the former ends with the higher error, but it gets
there with far fewer labels.

MNIST's pixels are on or off here. Naive Bayes counts in every class one image more, the mean of
all. With Laplace's, which is half grey, it is behind for any number of labels: 68 % at 20, where
logistic regression has 54 %.

    python launch.py --experiment=generative_discriminative

Expected: 48.5 against 54.2 % test error with 20 labels, 15.6 against 8.1 % with 60,000; they cross
between 100 and 200; 40 seconds of one CPU core.
"""

import functools

import numpy as np
from jaxtyping import Float

import research as ln

CLASSES = 10
GENERATIVE, DISCRIMINATIVE = "naive Bayes", "logistic regression"


@ln.pytree_config
class Config:
  """Settings of the label counts and of logistic regression."""

  sizes: tuple[int, ...] = ln.static(
    (20, 50, 100, 200, 500, 1000, 5000, 60_000), "labelled images", at_least=1
  )
  repeats: int = ln.static(3, "draws of each size", at_least=2)
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("adam", 1e-3, "linear"))
  batch_size: int = ln.static(100, "examples per step", at_least=1)
  steps: int = ln.static(5000, "updates", at_least=1)


@functools.cache
def bits(split: str) -> ln.HostData:
  """The images with every pixel black or white, as bytes, and the labels."""
  data = getattr(ln.sets.load("mnist"), split)
  return {"image": 255 * (data["image"] > 127).astype(np.uint8), "label": data["label"]}


logistic_regression = ln.supervised_training(
  lambda config: ln.MLP((CLASSES,)),
  lambda config, seed: ln.Task(bits("train"), {"test": bits("test")}),
  sampler=ln.sampling.with_replacement,
)


def drawn(size: int, rng: np.random.Generator) -> ln.HostData:
  """So many labelled images."""
  train = bits("train")
  chosen = rng.permutation(len(train["label"]))[:size]
  return {name: array[chosen] for name, array in train.items()}


def naive_bayes(
  data: ln.HostData,
) -> tuple[Float[np.ndarray, "pixel class"], Float[np.ndarray, " class"]]:
  """Weights and biases of log P(class, image) + constant, of the pixels' bits."""
  image = data["image"].reshape(len(data["label"]), -1) / 255
  member = np.eye(CLASSES)[data["label"]]  # [image, class]
  count = member.sum(axis=0)
  mean = (image.sum(axis=0) + 1) / (len(image) + 2)
  on = (image.T @ member + mean[:, None]) / (count + 1)  # P(pixel | class)
  prior = np.log((count + 1) / (count.sum() + CLASSES))
  return np.log(on / (1 - on)), np.log(1 - on).sum(axis=0) + prior


def bayes_error(data: ln.HostData) -> float:
  """Test error of naive Bayes."""
  (weights, biases), test = naive_bayes(data), bits("test")
  scores = test["image"].reshape(len(test["label"]), -1) / 255 @ weights + biases
  return float(np.mean(scores.argmax(axis=1) != test["label"]))


def errors(config: Config, lab: ln.Lab) -> dict[str, Float[np.ndarray, "size draw"]]:
  """Test errors of both, on the same draws."""
  rng = np.random.default_rng(lab.seed)
  training, shape = logistic_regression(config, 0), (len(config.sizes), config.repeats)
  found = {GENERATIVE: np.empty(shape), DISCRIMINATIVE: np.empty(shape)}
  for place in np.ndindex(shape):
    size, data = config.sizes[place[0]], drawn(config.sizes[place[0]], rng)
    fit = lab.fit(f"{size} labels {place[1]}", config, training._replace(data=data))
    found[GENERATIVE][place] = bayes_error(data)
    found[DISCRIMINATIVE][place] = 1 - fit.last("test/accuracy")
  return found


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Two curves that cross."""
  found = errors(config, lab)
  generative, discriminative = (found[name].mean(axis=1) for name in (GENERATIVE, DISCRIMINATIVE))
  near = lambda curve: config.sizes[np.flatnonzero(curve <= 1.1 * curve[-1])[0]]
  labels = near(discriminative) / near(generative)
  few, many = f"{config.sizes[0]:,} labels", f"{config.sizes[-1]:,} labels"
  at_first = f"{few}: test error of logistic regression less that of naive Bayes, points"
  at_last = f"{many}: test error of naive Bayes less that of logistic regression, points"
  later = (
    "labels at which logistic regression is within a tenth of its last error, over those at which "
    "naive Bayes is"
  )
  end, linear = f"{many}: test error of logistic regression", "7.5-8 % (linear classifiers)"
  claim, positive = ln.claims("U06", unit="%"), ln.above(0)
  claims = [
    claim(at_first, "above 0", discriminative[0] - generative[0], positive, "points"),
    claim(at_last, "above 0", generative[-1] - discriminative[-1], positive, "points"),
    claim(later, "above 1", labels, ln.above(1), "times"),
    claim(end, linear, discriminative[-1], ln.at_most(0.085)),
  ]
  crossing = ln.spread_curves(
    {name: (config.sizes, 100 * errors) for name, errors in found.items()},
    title="Fitting the images, or the labels",
    x="labelled images",
    y="test error (%)",
    log_x=True,
    caption=f"Means of {config.repeats} draws, bars one standard deviation.",
    file="crossing",
  )
  return ln.Report(claims, [crossing])


experiment = ln.Experiment(Config, run)
