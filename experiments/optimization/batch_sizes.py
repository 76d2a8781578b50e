"""Batch, mini-batch and stochastic descent on the same images (O04).

Ng, course 2 week 2: one example at a time is noisy and cannot be vectorised, all m at once is
smooth and makes one update an epoch; between them lie 64 to 512, and below about 2,000 examples
one batch will do. Here m = 2048 images of MNIST, the net of `optimizer_race`, 784-100x4-10, SGD
with rate 0.01 for all sizes, 20 epochs. The noise is the deviation of the batches' losses within
the last epoch, as a share of their mean. Losses are compared after equal epochs and after equal
time; the time of an epoch is measured with the compiled step, on the machine at hand. Ng expects
mini-batches to win there. At one rate for all they do not: single examples make 64 times the
updates in three to five times the time, and their loss stays lower; larger batches would need,
and bear, larger rates.

    python launch.py --experiment=batch_sizes

Expected: noise falls and the loss after equal epochs rises with the size; an epoch of single
examples takes three to five times as long as one of 64. About a minute on two CPU cores.
"""

import math
import time

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import research as ln
from research.training import on_device


@ln.pytree_config
class Config:
  """One size; `run` compares six."""

  batch_size: int = ln.static(64, "examples per step", at_least=1)
  examples: int = ln.static(
    2048, "training images, the first of MNIST", at_least=1024, at_most=60_000
  )
  hidden: tuple[int, ...] = ln.static((100,) * 4, "units of the hidden layers", at_least=1)
  init: ln.Init = ln.nested(ln.Init("he_normal"))
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer(name="sgd", learning_rate=0.01))
  epochs: int = ln.static(20, "passes over the training images", at_least=1)
  repeats: int = ln.static(3, "seeds of every size", at_least=1)


SIZES = (1, 64, 128, 256, 512)  # and all


def steps_per_epoch(config: Config) -> int:
  """Batches that hold every image once."""
  return math.ceil(config.examples / config.batch_size)


net = ln.supervised(
  lambda config: ln.MLP((*config.hidden, 10), kernel_init=ln.kernel_init(config.init)),
  ln.softmax_cross_entropy,
  lambda config: ln.sets.spec("mnist").image_shape,
  lambda config: ln.make_optimizer(config.optimizer, config.epochs * steps_per_epoch(config)),
)


def step(config: Config, state: ln.TrainState, batch: ln.Batch) -> tuple[ln.TrainState, ln.Metrics]:
  """One update; squares of the losses are reported too, so that rows hold their variance."""
  state, metrics = net.step(config, state, batch)
  return state, metrics | {"loss_squared": jnp.square(metrics["loss"])}


learner = net._replace(step=step)


def training(config: Config, seed: int) -> ln.Training:
  """Few images, looked at as a whole after every epoch."""
  few = {name: a[: config.examples] for name, a in ln.sets.load("mnist").train.items()}
  return ln.Training(
    learner,
    few,
    ln.sampling.by_epoch(config.batch_size),
    steps=config.epochs * steps_per_epoch(config),
    evaluate={"all": few},
    evaluate_every=steps_per_epoch(config),
    log_every=steps_per_epoch(config),
  )


def noise(fit: ln.Fit) -> float:
  """Deviation of the batches' losses in the last epoch over their mean; 0 where there is one."""
  row = fit.history[-1]
  variance = row["train/loss_squared"] - row["train/loss"] ** 2
  return (
    0.0 if steps_per_epoch(fit.config) == 1 else math.sqrt(max(variance, 0)) / row["train/loss"]
  )


def seconds_per_epoch(config: Config, seed: int, key: jax.Array) -> float:
  """Best of three, without evaluation."""
  own = training(config, seed)
  program = ln.compile_learner(own.learner, own.sampler, own.evaluation_batch_size)
  settings, data = on_device(config), program.place(dict(own.data))
  state = jax.jit(learner.init)(settings, key)
  times = []
  for number in range(4):  # the first one compiles
    start = time.perf_counter()
    state, _ = program.steps(
      own.log_every, settings, state, data, key, np.int32(number * own.log_every)
    )
    jax.block_until_ready(state)
    times.append(time.perf_counter() - start)
  return min(times[1:])


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """All sizes; then the time that each takes."""
  members = {
    str(size): ln.replace(config, {"batch_size": size}) for size in (*SIZES, config.examples)
  }
  fits = lab.compare("race", members, training, repeats=config.repeats)
  seconds = {
    name: seconds_per_epoch(own, lab.seed, lab.key("timing")) for name, own in members.items()
  }
  deviation = {name: float(np.mean([noise(fit) for fit in fits[name]])) for name in members}
  loss = {name: np.mean([losses(fit) for fit in fits[name]], axis=0) for name in members}
  every = str(config.examples)
  row = lambda what, source, ours, bar, unit="": ln.Claim("O04", what, source, ours, bar, unit)
  return ln.Report(
    [
      row(
        "loss after equal epochs rises with the size: neighbours in order, of 5",
        "all",
        5 - in_order({name: values[-1] for name, values in loss.items()}),
        ln.equals(5),
      ),
      row(
        "noise, single examples / 64",
        "sqrt(64) = 8 for losses of equal spread",
        deviation["1"] / deviation["64"],
        ln.at_least(2),
      ),
      row(
        "seconds of an epoch, single examples / 64",
        "no vectorising: slower",
        seconds["1"] / seconds["64"],
        ln.at_least(1),
      ),
      row(
        "seconds of an epoch, single examples / all",
        "no vectorising: slower",
        seconds["1"] / seconds[every],
        ln.at_least(1),
      ),
      row(
        "loss of 64 / of all, at the time that 64 needs",
        "mini-batches get there sooner",
        loss["64"][-1] / at_time("64", every, loss, seconds),
        ln.at_most(0.5),
      ),
    ],
    [
      ln.compare_curves(
        {f"batches of {name}": repeats for name, repeats in fits.items()},
        "all/loss",
        title="Batch sizes after equal epochs",
        y="loss on all images (nats)",
        epochs=True,
        log=True,
        caption=(
          "At one rate, what counts is the number of updates: small batches make more of "
          "them. Lines "
          f"are means over {config.repeats} seeds, bands reach one standard deviation to both "
          "sides."
        ),
        file="epochs",
      ),
      ln.Picture(
        "seconds",
        over_time(loss, seconds),
        "The same against the time that the compiled updates take: means over the seeds. At one "
        "rate single examples stay ahead.",
      ),
      ln.function_curves(
        [
          ln.Panel(
            y,
            {"": (np.array([int(name) for name in values]), np.array([*values.values()]))},
            log="xy",
          )
          for y, values in (
            ("deviation of the loss / mean", deviation),
            ("seconds of an epoch", seconds),
          )
        ],
        title="Noise and speed",
        x="examples in a batch",
        caption=(
          "Noise falls with the size of the batch; all images at once, which have none, are left "
          "out. An epoch takes less time in batches, until the products fill the machine."
        ),
        file="noise_and_speed",
      ),
    ],
  )


def losses(fit: ln.Fit) -> np.ndarray:
  """On all images, before learning and after every epoch."""
  return ln.series(fit.history, "all/loss")[1]


def in_order(values: dict[str, float]) -> int:
  """How many of the neighbours fall."""
  return int(np.sum(np.diff([*values.values()]) < 0))


def at_time(name: str, other: str, loss: dict[str, np.ndarray], seconds: dict[str, float]) -> float:
  """The other's loss when this one has finished, between its epochs along a straight line."""
  epochs = (len(loss[name]) - 1) * seconds[name] / seconds[other]
  return float(np.interp(epochs, np.arange(len(loss[other])), loss[other]))


def in_epochs(fit: ln.Fit) -> list[dict]:
  """The fit's rows, counted in epochs."""
  return [{**row, "step": row["step"] / steps_per_epoch(fit.config)} for row in fit.history]


def over_time(loss: dict[str, np.ndarray], seconds: dict[str, float]) -> Figure:
  """Losses against seconds, both on log scales."""
  curves = {
    f"batches of {name}": (seconds[name] * np.arange(1, len(values)), values[1:])
    for name, values in loss.items()
  }
  panel = ln.Panel("loss on all images (nats)", curves, log="xy")
  return ln.function_curves(
    [panel], title="Batch sizes after equal time", x="seconds", caption=""
  ).figure


experiment = ln.Experiment(Config, run, training)
