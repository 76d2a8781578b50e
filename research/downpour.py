"""Downpour SGD: asynchronous replicas of a network learn through a parameter server.

Dean et al. 2012, "Large scale distributed deep networks", section 4.1 and algorithm 7.1. The events
of a simulated cluster (`research.parameter_server`) are replayed as one scan: a step of the learner
is one gradient, computed from the copy of the parameters that its replica holds, and all messages
up to the next. Shards do not touch each other, so that the messages of each are replayed by
themselves. Between two fetches a replica makes no steps of its own.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int, Key

from research import parameter_server
from research.batch import Batch, count
from research.data import sampling
from research.data.sampling import Sampler
from research.errors import UserError
from research.learner import Config, Learner, Metrics, TrainState
from research.optimizers import BESIDE, apply_gradients, make_optimizer
from research.parameter_server import PUSH, Cluster, Events
from research.task import Task, images, supervised_training
from research.training import Training

# What the replicas read: the loss is theirs. Averages and scales of the loss are of one process.
READ_BY_REPLICAS = set(BESIDE) - {"ema", "precision", "full_precision"}


class DownpourState(NamedTuple):
  """State of the servers and of the replicas.

  Attributes:
    step: number of gradients computed, by all replicas.
    key: the run's key; the randomness of a gradient is `fold_in(key, step)`.
    params: the servers'.
    variables: the model's other collections; there are none.
    opt_state: of each shard's server.
    copies: the parameters as each replica holds them, [replica, ...].
    sums: the gradients that each replica has not pushed yet, [replica, ...].
    raw: None.
  """

  step: Int[Array, ""]
  key: Key[Array, ""]
  params: Any
  variables: Any
  opt_state: tuple[optax.OptState, ...]
  copies: Any
  sums: Any
  raw: None = None


class Replay(NamedTuple):
  """The parts of a replay.

  Attributes:
    gradients: what computes them: a learner by `handed_over`, whose state has a `TrainState`'s
      fields.
    cluster: the replicas and the servers.
    steps: gradients in all.
    seed: of the replicas' speeds.
  """

  gradients: Learner
  cluster: Cluster
  steps: int
  seed: int

  @property
  def events(self) -> Events:
    """The events of the cluster."""
    return parameter_server.events(self.cluster, self.steps, self.seed)


def downpour_training(
  model: Callable[[Config], nn.Module],
  task: Callable[[Config, int], Task] = images,
  *,
  evaluations: int = 1,
) -> Callable[[Config, int], Training]:
  """Makes the `training(config, seed)` of a model that replicas train through a parameter server.

  These fields of the config are read by their names:

    cluster: the replicas and the servers, as `research.parameter_server.Cluster`.
    batch_size: examples in a gradient.
    steps: gradients, of all replicas together.
    optimizer: the servers' update rule, as `research.optimizers.Optimizer`.

  The seed is also that of the replicas' speeds. The servers' parameters are evaluated. `training`
  raises UserError where a replica would have no examples.

  Args:
    model: gives the Linen module, called as `module(inputs, train=...)`; without batch statistics.
    task: gives the data of a config and a seed.
    evaluations: how often the evaluation sets are looked at.
  """
  whole = supervised_training(
    model, task, optimizer=lambda config, steps: handed_over(), evaluations=evaluations
  )

  def training(config: Config, seed: int) -> Training:
    own = whole(config, seed)
    if config.cluster.replicas > count(own.data):
      raise UserError(
        f"cluster.replicas={config.cluster.replicas}: there are {count(own.data)} examples, and "
        "each replica needs one of its own; give fewer"
      )
    replay = Replay(own.learner, config.cluster, own.steps, seed)
    return own._replace(learner=downpour(replay), sampler=portions(replay, config.batch_size))

  return training


def handed_over() -> optax.GradientTransformation:
  """An update rule that moves nothing and leaves the gradient in its state."""
  still = lambda tree: jax.tree.map(jnp.zeros_like, tree)
  return optax.GradientTransformation(
    lambda params: (), lambda gradients, state, params=None: (still(gradients), gradients)
  )


@functools.cache
def downpour(replay: Replay) -> Learner:
  """The learner whose step is one replica's gradient, and the messages until the next one's."""
  own = replay.gradients
  outputs = own.outputs
  return own._replace(
    init=functools.partial(_init, replay),
    step=functools.partial(_step, replay),
    evaluate=lambda config, state, batch: own.evaluate(config, _served(state), batch),
    outputs=outputs and (lambda config, state, batch: outputs(config, _served(state), batch)),
  )


def _served(state: DownpourState) -> TrainState:
  """The servers' network."""
  return TrainState(state.step, state.key, state.params, state.variables, ())


@functools.cache
def portions(replay: Replay, batch_size: int) -> Sampler:
  """Batches of the portion of each gradient's replica: every n-th example, in epochs of its own."""
  replicas, in_portion = replay.cluster.replicas, sampling.by_epoch(batch_size).indices

  def indices(key: Key[Array, ""], examples: int, numbers: Array) -> Array:
    step, place = numbers // batch_size, numbers % batch_size
    own = jnp.asarray(replay.events.number)[step] * batch_size + place
    return jnp.asarray(replay.events.replica)[step] + replicas * in_portion(
      key, examples // replicas, own
    )

  return Sampler(batch_size, indices)


def _optimizer(replay: Replay, config: Config) -> optax.GradientTransformation:
  updates = max(1, replay.steps // replay.cluster.n_push)
  return make_optimizer(config.optimizer, updates, READ_BY_REPLICAS)


def shards_of(params: Any, servers: int) -> list[dict[str, Any]]:
  """The parameters shared out over servers: the leaves by their paths, the largest first.

  Each leaf goes to the server that has the least so far.

  Raises:
    UserError: where there are more servers than leaves.
  """
  leaves = {
    jax.tree_util.keystr(path, simple=True, separator="/"): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(params)
  }
  if servers > len(leaves):
    raise UserError(
      f"cluster.shards={servers}: the network has {len(leaves)} arrays of parameters, and a server "
      "needs at least one; give fewer"
    )
  shards: list[dict[str, Any]] = [{} for _ in range(servers)]
  for name in sorted(leaves, key=lambda name: -leaves[name].size):
    least = min(shards, key=lambda shard: (sum(leaf.size for leaf in shard.values()), len(shard)))
    least[name] = leaves[name]
  return shards


def _together(params: Any, shards: list[dict[str, Any]]) -> Any:
  """The shards as a tree of the form of `params`."""
  merged = {name: leaf for shard in shards for name, leaf in shard.items()}
  named = lambda path, _: merged[jax.tree_util.keystr(path, simple=True, separator="/")]
  return jax.tree_util.tree_map_with_path(named, params)


def _init(replay: Replay, config: Config, key: Key[Array, ""]) -> DownpourState:
  first = replay.gradients.init(config, key)
  if first.variables:
    raise UserError(
      f"a parameter server keeps no {', '.join(first.variables)}; give a network without"
    )
  update = _optimizer(replay, config)
  shards = shards_of(first.params, replay.cluster.shards)
  for_each = lambda leaf: jnp.broadcast_to(leaf, (replay.cluster.replicas, *leaf.shape))
  return DownpourState(
    first.step,
    first.key,
    first.params,
    {},
    tuple(update.init(shard) for shard in shards),
    jax.tree.map(for_each, first.params),
    jax.tree.map(lambda leaf: jnp.zeros_like(for_each(leaf)), first.params),
  )


def _step(
  replay: Replay, config: Config, state: DownpourState, batch: Batch
) -> tuple[DownpourState, Metrics]:
  events, now = replay.events, state.step
  replica = jnp.asarray(events.replica)[now]
  own = jax.tree.map(lambda leaf: leaf[replica], state.copies)
  computing = TrainState(now, state.key, own, {}, ())
  after, metrics = replay.gradients.step(config, computing, batch)
  add = lambda leaf, gradient: leaf.at[replica].add(gradient)
  sums = jax.tree.map(add, state.sums, after.opt_state)
  split = functools.partial(shards_of, servers=replay.cluster.shards)
  update, parts = (
    _optimizer(replay, config),
    zip(split(state.params), state.opt_state, split(state.copies), split(sums), strict=True),
  )
  answered = [
    _answered(events, shard, now, update, metrics["loss"], part) for shard, part in enumerate(parts)
  ]
  params, opt_state, copies, sums_left = zip(*answered, strict=True)
  whole = lambda shards: _together(state.params, list(shards))
  return DownpourState(
    now + 1, state.key, whole(params), {}, opt_state, whole(copies), whole(sums_left)
  ), metrics


def _answered(
  events: Events,
  shard: int,
  now: Int[Array, ""],
  update: optax.GradientTransformation,
  loss: Array,
  part: tuple[Any, optax.OptState, Any, Any],
) -> tuple[Any, optax.OptState, Any, Any]:
  """A shard's parameters, optimizer state, copies and sums after the messages up to the next step.

  A push moves the parameters by the replica's sum and empties it; a fetch replaces its copy.
  """
  sender, kind = jnp.asarray(events.sender[shard]), jnp.asarray(events.kind[shard])
  end = events.end[shard]
  begin = np.concatenate([[0], end[:-1]]).astype(end.dtype)

  def answer(number: Int[Array, ""], part: Any) -> Any:
    params, opt_state, copies, sums = part
    replica, is_push = sender[number], kind[number] == PUSH
    of_replica = lambda tree: jax.tree.map(lambda leaf: leaf[replica], tree)
    choose = lambda new, old: jax.tree.map(functools.partial(jnp.where, is_push), new, old)
    pushed = of_replica(sums)
    moved = apply_gradients(update, pushed, opt_state, params, loss)
    fetched = choose(of_replica(copies), params)
    left = choose(jax.tree.map(jnp.zeros_like, pushed), pushed)
    put = lambda tree, own: jax.tree.map(lambda leaf, row: leaf.at[replica].set(row), tree, own)
    return *choose(moved, (params, opt_state)), put(copies, fetched), put(sums, left)

  return jax.lax.fori_loop(jnp.asarray(begin)[now], jnp.asarray(end)[now], answer, part)
