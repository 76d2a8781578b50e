"""Dropout as an ensemble, and a vote of five nets (R04).

Srivastava et al. 2014, sections 1 and 7.5: the scaled net of the test stands for the mean of
exponentially many thinned nets; here against the mean of 100 of them (Monte Carlo). Nielsen,
chapter 6, lets five nets vote: 99.60 % become 99.67 % with convolutional nets and dropout. Here
five nets of 784-200-10 vote; they are lanes of one program.

    python launch.py --experiment=ensembles

Expected: the scaled net within 0.3 points of the thinned nets' mean; a vote above its voters' mean.
About 30 seconds on two CPU cores.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

import research as ln


@ln.pytree_config
class Config:
  """One member of the ensemble."""

  rate: float = ln.traced(0.5, "share of the hidden units that is dropped", at_least=0, below=1)
  hidden: int = ln.static(200, "hidden units", at_least=1)
  members: int = ln.static(5, "nets that vote", at_least=1)
  thinned: int = ln.static(100, "thinned nets that are averaged", at_least=1)
  init: ln.Init = ln.nested(ln.Init("he_normal"))
  optimizer: ln.Optimizer = ln.nested(
    ln.Optimizer(name="adam", learning_rate=1e-3, schedule="linear")
  )
  batch_size: int = ln.static(100, "examples per step", at_least=1)
  steps: int = ln.static(3000, "updates", at_least=1)


def model(config: Config) -> ln.MLP:
  """784-200-10 with dropout on the hidden layer."""
  return ln.MLP(
    (config.hidden, 10), kernel_init=ln.kernel_init(config.init), dropout_rate=config.rate
  )


training = ln.supervised_training(model)


def scaled(config: Config, state: ln.TrainState, x: Array) -> Float[Array, "n class"]:
  """Probabilities of the whole net."""
  return jax.nn.softmax(model(config).apply({"params": state.params}, x))


def thinned(config: Config, state: ln.TrainState, x: Array, key: Array) -> Float[Array, "n class"]:
  """Probabilities of one thinned net, another for every image."""
  logits = model(config).apply({"params": state.params}, x, train=True, rngs={"dropout": key})
  return jax.nn.softmax(logits)


def means_of_thinned(
  config: Config, state: ln.TrainState, x: Array, key: Array
) -> Float[Array, "nets n class"]:
  """Mean probabilities of the first 1, 2, 3, ... thinned nets."""

  def add(total: Array, key: Array) -> tuple[Array, Array]:
    total = total + thinned(config, state, x, key)
    return total, total

  keys = jax.random.split(key, config.thinned)
  _, totals = jax.lax.scan(add, jnp.zeros((len(x), 10)), keys)
  return totals / jnp.arange(1, config.thinned + 1)[:, None, None]


def vote(guesses: Int[np.ndarray, "members n"], classes: int = 10) -> Int[np.ndarray, " n"]:
  """The class that most members name; the smallest of those where several have as many."""
  return np.stack([np.sum(guesses == label, axis=0) for label in range(classes)]).argmax(axis=0)


def run(config: Config, lab: ln.Lab) -> ln.Report:
  """Five nets side by side; the first one thinned."""
  fits = lab.compare("race", {"net": config}, training, repeats=config.members)["net"]
  test = fits[0].training.evaluate["test"]
  x = ln.inputs_of({"image": jnp.asarray(test["image"])})
  accuracy = lambda guesses: np.mean(np.asarray(guesses) == test["label"], axis=-1)
  whole = jax.jit(scaled)
  guesses = np.stack([np.asarray(whole(config, fit.state, x).argmax(-1)) for fit in fits])
  sampled = jax.jit(lambda state: means_of_thinned(config, state, x, lab.key("thinned")).argmax(-1))
  by_count = accuracy(sampled(fits[0].state))
  members, voted = accuracy(guesses), float(accuracy(vote(guesses)))
  claim, nets = ln.claims("R04", unit="points"), f"mean of {config.thinned} thinned nets"
  apart, gain = abs(members[0] - by_count[-1]), by_count[-1] - by_count[0]
  many = "mean of the thinned nets - one thinned net, test accuracy"
  votes = f"vote of {config.members} - mean of its voters, test accuracy"
  above, source = voted - members.mean(), "99.67 - 99.60 = 0.07 points"
  return ln.Report(
    [
      claim(f"|scaled net - {nets}|, test accuracy", "about equal", apart, ln.at_most(0.003)),
      claim(many, "many are better", gain, ln.at_least(0.005)),
      claim(votes, source, above, ln.above(0)),
    ],
    [thinned_figure(by_count, float(members[0]))],
  )


def thinned_figure(by_count: np.ndarray, whole: float) -> ln.Picture:
  """Test accuracy of the mean of 1, 2, 3, ... thinned nets."""
  counts = np.arange(1, len(by_count) + 1)
  curves = {
    "mean of thinned nets": (counts, 100 * by_count),
    "scaled net": (counts, np.full(len(counts), 100 * whole)),
  }
  return ln.function_curves(
    [ln.Panel("test accuracy (%)", curves)],
    title="Dropout is an ensemble",
    x="thinned nets",
    caption="The mean of so many thinned nets, each a pass; the scaled net costs one pass.",
    file="thinned",
  )


experiment = ln.Experiment(Config, run, training, takes=("lanes",))
