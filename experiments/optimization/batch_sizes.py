"""Batch, mini-batch and stochastic descent on the same images (O04).

Ng, course 2 week 2: single examples are noisy and cannot be vectorised, all at once are smooth and
make one update an epoch; between them lie 64 to 512. Here 2048 images of MNIST, the net of
`optimizer_race`, SGD with rate 0.01 for all sizes. Noise is the deviation of the batches' losses
within the last epoch over their mean. Losses are compared after equal epochs and equal time; the
compiled step is timed on the machine at hand. At one rate for all, single examples, which make
64 times the updates, keep the lower loss; larger batches would need, and bear, larger rates. The
course's rule of thumb, all at once below 2,000 examples, is not tested.

    python launch.py --experiment=batch_sizes

Expected: noise falls and the loss after equal epochs rises with the size; an epoch of single
examples takes three to five times as long as one of 64. About a minute on two CPU cores.
"""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np

import research as ln
from research.analysis.timing import shortest_call
from research.training import on_device


@ln.pytree_config
class Config:
  """One size; `run` compares six."""

  batch_size: int = ln.static(64, "examples per step", at_least=1)
  examples: int = ln.static(2048, "images, the first of MNIST", at_least=1024, at_most=60_000)
  hidden: tuple[int, ...] = ln.static((100,) * 4, "units of the hidden layers", at_least=1)
  init: ln.Init = ln.nested(ln.Init("he_normal"))
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer(name="sgd", learning_rate=0.01))
  epochs: int = ln.static(20, "passes over the training images", at_least=1)
  repeats: int = ln.static(3, "seeds of every size", at_least=1)


Curves = dict[str, np.ndarray]  # by size
Numbers = dict[str, float]
SIZES = (1, 64, 128, 256, 512)  # and all


def model(config: Config) -> ln.MLP:
  """The dense net, with ReLU between its layers."""
  return ln.MLP((*config.hidden, 10), kernel_init=ln.kernel_init(config.init))


def images(config: Config, seed: int) -> ln.Task:
  """Few images, looked at as a whole."""
  few = ln.images(config, seed).train
  return ln.Task(few, {"all": few})


def with_squares(learner: ln.Learner) -> ln.Learner:
  """The learner that reports squares of the losses too, so that rows hold their variance."""

  def step(
    config: Config, state: ln.TrainState, batch: ln.Batch
  ) -> tuple[ln.TrainState, ln.Metrics]:
    state, metrics = learner.step(config, state, batch)
    return state, metrics | {"loss_squared": jnp.square(metrics["loss"])}

  return learner._replace(step=step)


training = ln.supervised_training(model, images, transform=with_squares)


def noise(fit: ln.Fit) -> float:
  """Deviation of the batches' losses in the last epoch over their mean; 0 where there is one."""
  if fit.training.steps_per_epoch == 1:
    return 0.0
  mean, squared = fit.last("train/loss"), fit.last("train/loss_squared")
  return math.sqrt(max(squared - mean**2, 0)) / mean


def seconds_per_epoch(config: Config, seed: int, key: jax.Array) -> float:
  """Best of three, without evaluation."""
  own = training(config, seed)
  program = ln.compile_learner(own.learner, own.sampler, own.evaluation_batch_size)
  settings, data = on_device(config), program.place(dict(own.data))
  state = jax.jit(own.learner.init)(settings, key)
  starts = itertools.count(step=own.log_every)

  def epoch() -> ln.TrainState:
    nonlocal state
    state, _ = program.steps(own.log_every, settings, state, data, key, np.int32(next(starts)))
    return state

  return shortest_call(epoch, calls=3)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """All sizes; then the time that each takes."""
  sizes, key = (*SIZES, config.examples), lab.key("timing")
  members = {str(size): ln.replace(config, {"batch_size": size}) for size in sizes}
  fits = lab.compare("race", members, training, repeats=config.repeats)
  seconds = {name: seconds_per_epoch(own, lab.seed, key) for name, own in members.items()}
  deviation = {name: float(np.mean([noise(fit) for fit in fits[name]])) for name in members}
  # On all images, before learning and after every epoch.
  of_all = lambda repeats: [ln.series(fit.history, "all/loss")[1] for fit in repeats]
  loss = {name: np.mean(of_all(repeats), axis=0) for name, repeats in fits.items()}
  every = str(config.examples)
  falling = int(np.sum(np.diff([values[-1] for values in loss.values()]) < 0))
  calmer = deviation["1"] / deviation["64"] if deviation["64"] else math.nan  # equal losses
  at_once = loss["64"][-1] / at_time("64", every, loss, seconds)
  claim, epoch = ln.claims("O04"), "seconds of an epoch, single examples"
  slower = "no vectorising: slower"
  order = "loss after equal epochs rises with the size: neighbours in order, of 5"
  noisy, equal = "noise, single examples / 64", "sqrt(64) = 8 for losses of equal spread"
  sooner, fewer = "loss of 64 / of all, at the time that 64 needs", "mini-batches get there sooner"
  return ln.Report(
    [
      claim(order, "all", 5 - falling, ln.equals(5)),
      claim(noisy, equal, calmer, ln.at_least(2)),
      claim(f"{epoch} / 64", slower, seconds["1"] / seconds["64"], ln.at_least(1)),
      claim(f"{epoch} / all", slower, seconds["1"] / seconds[every], ln.at_least(1)),
      claim(sooner, fewer, at_once, ln.at_most(0.5)),
    ],
    pictures(fits, loss, deviation, seconds),
  )


def at_time(name: str, other: str, loss: Curves, seconds: Numbers) -> float:
  """The other's loss when this one has finished, between its epochs along a straight line."""
  epochs = (len(loss[name]) - 1) * seconds[name] / seconds[other]
  return float(np.interp(epochs, np.arange(len(loss[other])), loss[other]))


def pictures(
  fits: dict[str, list[ln.Fit]], loss: Curves, deviation: Numbers, seconds: Numbers
) -> list[ln.Picture]:
  """Losses after equal epochs and after equal time; noise and speed."""
  over_time = {
    f"batches of {name}": (seconds[name] * np.arange(1, len(values)), values[1:])
    for name, values in loss.items()
  }
  by_size = lambda values: {"": (np.array([int(name) for name in values]), [*values.values()])}
  return [
    ln.compare_curves(
      {f"batches of {name}": repeats for name, repeats in fits.items()},
      "all/loss",
      title="Batch sizes after equal epochs",
      y="loss on all images (nats)",
      epochs=True,
      log=True,
      caption="Lines are means over the seeds, bands reach one standard deviation to both sides.",
      file="epochs",
    ),
    ln.function_curves(
      [ln.Panel("loss on all images (nats)", over_time, log="xy")],
      title="Batch sizes after equal time",
      x="seconds",
      caption="Against the time that the compiled updates take: means over the seeds.",
      file="seconds",
    ),
    ln.function_curves(
      [
        ln.Panel("deviation of the loss / mean", by_size(deviation), log="xy"),
        ln.Panel("seconds of an epoch", by_size(seconds), log="xy"),
      ],
      title="Noise and speed",
      x="examples in a batch",
      caption="Left: of the batches' losses in the last epoch; all images at once have no noise.",
      file="noise_and_speed",
    ),
  ]


experiment = ln.Experiment(Config, run, training, takes=("lanes",))
