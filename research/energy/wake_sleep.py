"""The up-down algorithm as a learner: contrastive wake-sleep for deep belief nets."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from research.batch import Batch, count
from research.data import sampling, sets
from research.energy import belief_net, rbm
from research.energy.belief_net import Association, BeliefNet
from research.energy.contrastive import flat
from research.energy.rbm import Rbm
from research.layers.batch_axis import batch_keys, batch_sum
from research.learner import Config, Learner, Metrics
from research.losses import softmax_cross_entropy
from research.metrics import Mean, accuracy, batch_means, batch_shares
from research.training import Fit, Fits, Training

CLASSES = 10
GIBBS_STEPS = (3, 6, 10)  # in each third of the up-down algorithm


class State(NamedTuple):
  """The net, its optimizer, and the persistent chains of the top, if there are any."""

  step: Int[Array, ""]
  key: Key[Array, ""]
  net: BeliefNet
  opt_state: optax.OptState
  dreams: Association


def wake_sleep(begin: BeliefNet, steps: int, *, top_only: bool) -> Learner:
  """The learner of a net that begins as `begin` (Hinton, Osindero and Teh 2006, appendix B).

  These fields of the config are read by their names:

    start: where the top's chains start, at the "data" or, "persistent", where they were.
    chains: how many persistent ones.
    learning_rate, momentum, weight_cost: of the descent; the rate falls linearly to zero.

  Args:
    begin: the net at first; batches hold images and their "label".
    steps: updates in all.
    top_only: whether the top learns alone, with the layers below as they are.
  """
  return Learner(
    functools.partial(_init, begin),
    functools.partial(_step, steps, top_only),
    _evaluate,
  )


def _optimizer(config: Config, share: Float[Array, ""] | float) -> optax.GradientTransformation:
  """Descent with momentum, whose rate falls linearly over the share of learning that is done."""
  return optax.sgd((1 - share) * config.learning_rate, momentum=config.momentum)


def _init(net: BeliefNet, config: Config, key: Key[Array, ""]) -> State:
  run_key, bits_key = jax.random.split(key)
  opt_state = _optimizer(config, 0.0).init(net)
  chains = config.chains if config.start == "persistent" else 0
  labels = jax.nn.one_hot(jnp.arange(chains) % CLASSES, CLASSES)
  half = jnp.full((chains, len(net.top.visible) - CLASSES), 0.5)
  dreams = Association(rbm.bits(jax.random.split(bits_key, chains), half), labels)
  return State(jnp.int32(0), run_key, jax.tree.map(jnp.copy, net), opt_state, dreams)


def _step(
  steps: int, top_only: bool, config: Config, state: State, batch: Batch
) -> tuple[State, Metrics]:
  share, net = state.step / steps, state.net
  third = (len(GIBBS_STEPS) * share).astype(int)
  count_of_steps = 1 if top_only else jnp.asarray(GIBBS_STEPS)[third]
  keys = jax.random.split(jax.random.fold_in(state.key, state.step), 3)
  weight, of_batch = batch_shares(batch), [batch_keys(key, count(batch)) for key in keys]
  labels = jax.nn.one_hot(batch["label"], CLASSES)
  waking, awake = belief_net.wake(net, flat(batch), labels, weight, of_batch[0])
  dreams = state.dreams
  if config.start == "persistent":
    size = len(dreams.labels)  # under pmap every device has them all
    gibbs_keys, down_keys = (jax.random.split(key, size) for key in keys[1:])
    dreams = belief_net.alternate(net.top, dreams, gibbs_keys, count_of_steps, held=False)
    sleeping = belief_net.sleep(net, dreams, jnp.full(size, 1 / size), down_keys)
  else:
    last = belief_net.alternate(net.top, awake, of_batch[1], count_of_steps, held=False)
    sleeping = batch_sum(belief_net.sleep(net, last, weight, of_batch[2]))
  descent = belief_net.descent(batch_sum(waking), sleeping)
  cost = lambda change, leaf: change + (config.weight_cost * leaf if leaf.ndim > 1 else 0)
  descent = jax.tree.map(cost, descent, net)
  if top_only:
    descent = jax.tree.map(jnp.zeros_like, descent)._replace(top=descent.top)
  updates, opt_state = _optimizer(config, share).update(descent, state.opt_state)
  loss = _evaluate(config, state, batch)["loss"]
  net = optax.apply_updates(net, updates)
  after = State(state.step + 1, state.key, net, opt_state, dreams)
  return after, {"loss": loss.total / loss.weight}


def _evaluate(config: Config, state: State, batch: Batch) -> dict[str, Mean]:
  del config
  scores = belief_net.label_scores(state.net, flat(batch))
  values = {"loss": softmax_cross_entropy(scores, batch), "accuracy": accuracy(scores, batch)}
  return batch_means(values, batch)


def phase(config: Config, net: BeliefNet, *, top_only: bool) -> Training:
  """Learning that begins with `net`: of the top alone, or by the up-down algorithm.

  Reads `dataset`, `batch_size`, and `top_epochs` or `epochs` from the config.
  """
  splits = sets.load(config.dataset)
  epoch = max(1, len(splits.train["label"]) // config.batch_size)
  steps = epoch * (config.top_epochs if top_only else config.epochs)
  return Training(
    wake_sleep(jax.tree.map(jnp.asarray, net), steps, top_only=top_only),
    splits.train,
    sampling.by_epoch(config.batch_size),
    steps=steps,
    evaluate={"test": splits.test},
    evaluate_every=epoch,
    log_every=epoch,
  )


def first_net(config: Config, machines: Sequence[Rbm], key: Array) -> BeliefNet:
  """The machines below a top machine that knows nothing yet."""
  visible = jnp.zeros(config.layers.units[-1] + CLASSES)
  return belief_net.untied(machines, rbm.draw(key, visible, config.top))


class Learnt(NamedTuple):
  """The fits of the top alone, and of all layers together."""

  greedy: Fit
  tuned: Fit


def up_down(lab: Fits, config: Config, machines: Sequence[Rbm], prefix: str = "") -> Learnt:
  """First the top learns on fixed layers, then the up-down algorithm moves all of them.

  Args:
    lab: keeps the fits "top" and "up-down".
    config: of both, as `phase` and `wake_sleep` read it.
    machines: the layers, learnt greedily.
    prefix: of the fits' names.
  """
  begin = first_net(config, machines, lab.key(f"{prefix}top"))
  greedy = lab.fit(f"{prefix}top", config, phase(config, begin, top_only=True))
  tuned = phase(config, greedy.state.net, top_only=False)
  return Learnt(greedy, lab.fit(f"{prefix}up-down", config, tuned))
