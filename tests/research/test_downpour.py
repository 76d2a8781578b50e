"""The compiled replay of a cluster, against one that is played as it happens, in NumPy."""

import heapq
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import research as ln
from research import downpour, parameter_server
from research.data import sampling
from research.downpour import Replay
from research.errors import UserError
from research.learner import Learner, TrainState
from research.parameter_server import Cluster
from tests.fixtures.equivalence import assert_devices_agree
from tests.fixtures.little_data import replace_sets

STEPS, BATCH, EXAMPLES = 30, 3, 17
RNG = np.random.default_rng(5)
DATA = {
  "x": RNG.normal(size=(EXAMPLES, 4)).astype(np.float32),
  "y": RNG.normal(size=EXAMPLES).astype(np.float32),
}
ORDER = jax.random.key(1)


@ln.pytree_config
class Config:
  cluster: Cluster = ln.nested(Cluster())
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("sgd", 0.1))
  batch_size: int = ln.static(BATCH, "examples")
  steps: int = ln.static(STEPS, "gradients")


def init(config, key):
  params = {"b": jnp.zeros(()), "w": jnp.ones(4)}
  return TrainState(jnp.int32(0), key, params, {}, ())


def step(config, state, batch):
  """A line through points."""

  def loss(params):
    error = batch["x"] @ params["w"] + params["b"] - batch["y"]
    return jnp.mean(error**2)

  value, gradient = jax.value_and_grad(loss)(state.params)
  return state._replace(opt_state=gradient), {"loss": value}


LINE = Learner(init, step, lambda config, state, batch: {})


def replayed(config, seed):
  """The last state and all losses of the compiled program."""
  replay = Replay(LINE, config.cluster, STEPS, seed)
  sampler = downpour.portions(replay, BATCH)
  program = ln.compile_learner(downpour.downpour(replay), sampler, 10)
  state = downpour.downpour(replay).init(config, jax.random.key(0))
  state = jax.tree.map(jnp.array, state)  # donated below
  state, metrics = program.steps(STEPS, config, state, DATA, ORDER, jnp.int32(0))
  return state, np.asarray(metrics["loss"])


class Server:
  """One shard, which applies what arrives."""

  def __init__(self, value, config):
    self.value, self.squares, self.config = value, np.zeros_like(value), config.optimizer

  def push(self, gradient):
    self.squares = self.squares + gradient**2
    root = np.sqrt(self.squares) + self.config.epsilon if self.config.name == "adagrad" else 1
    self.value = self.value - self.config.learning_rate * gradient / root


def as_it_happens(config, seed):
  """The servers' parameters and all losses, played with the numbers themselves.

  A replica is a generator of what it waits for: (length, what to do then) for each shard at once.
  """
  cluster, losses = config.cluster, []
  times = parameter_server.draw_times(cluster, STEPS, seed)
  servers = {"w": Server(np.ones(4), config), "b": Server(np.zeros(()), config)}
  homes = [("w",), ("b",)] if cluster.shards == 2 else [("w", "b")]
  size = EXAMPLES // cluster.replicas

  def replica(r):
    own, total = {}, {"w": np.zeros(4), "b": np.zeros(())}
    for n in itertools.count():
      if len(losses) >= STEPS:
        return
      if n % cluster.n_fetch == 0:
        fetch = lambda names: own.update({name: servers[name].value for name in names})
        yield [(times.message[r, n, 0, s], fetch, names) for s, names in enumerate(homes)]
      numbers = jnp.arange(n * BATCH, (n + 1) * BATCH)
      rows = r + cluster.replicas * np.asarray(
        sampling.by_epoch(BATCH).indices(ORDER, size, numbers)
      )
      yield [(times.computing[r, n], lambda names: None, ())]
      if len(losses) >= STEPS:
        return
      error = DATA["x"][rows] @ own["w"] + own["b"] - DATA["y"][rows]
      losses.append(np.mean(error**2))
      total = {
        "w": total["w"] + 2 * error @ DATA["x"][rows] / BATCH,
        "b": total["b"] + 2 * error.mean(),
      }
      if len(losses) == cluster.warm_start:
        now = clock[0]
        for other in range(1, cluster.replicas):
          ask(now, other)
      if (n + 1) % cluster.n_push == 0:
        push = lambda names, sums=total: [servers[name].push(sums[name]) for name in names]
        yield [(times.message[r, n, 1, s], push, names) for s, names in enumerate(homes)]
        total = {"w": np.zeros(4), "b": np.zeros(())}

  def ask(now, r):
    for wait, do, names in waiting(r):
      heapq.heappush(heap, (int(now + wait), next(order), r, do, names))

  def waiting(r):
    found = next(loops[r], [])
    awaited[r] = len(found)
    return found

  heap, order, clock = [], itertools.count(), [0]
  loops, awaited = [replica(r) for r in range(cluster.replicas)], {}
  for r in range(1 if cluster.warm_start else cluster.replicas):
    ask(0, r)
  while heap:
    now, _, r, do, names = heapq.heappop(heap)
    clock[0] = now
    if r == cluster.replicas - 1 and 0 < cluster.dies_at <= len(losses):
      continue
    do(names)
    awaited[r] -= 1
    if not awaited[r]:
      ask(now, r)
  return {name: server.value for name, server in servers.items()}, np.array(losses)


@pytest.mark.parametrize(
  ("seed", "rule", "cluster"),
  [
    pytest.param(0, "sgd", Cluster(replicas=1), marks=pytest.mark.slow),
    pytest.param(1, "adagrad", Cluster(replicas=3), marks=pytest.mark.slow),
    (2, "sgd", Cluster(replicas=4, shards=1, n_fetch=2, n_push=3)),
    (3, "adagrad", Cluster(replicas=5, n_fetch=3, n_push=2, warm_start=6, dies_at=15)),
  ],
)
def test_the_replay_equals_what_happens(seed, rule, cluster):
  config = Config(cluster, ln.Optimizer(rule, 0.05))
  state, losses = replayed(config, seed)
  params, expected = as_it_happens(config, seed)
  np.testing.assert_allclose(losses, expected, rtol=1e-4, atol=1e-6)
  for name, value in params.items():
    np.testing.assert_allclose(state.params[name], value, rtol=1e-4, atol=1e-6)


def test_replicas_have_portions_of_their_own():
  replay = Replay(LINE, Cluster(replicas=3), STEPS, 0)
  draw = downpour.portions(replay, BATCH).indices
  rows = np.asarray(draw(ORDER, EXAMPLES, jnp.arange(STEPS * BATCH))).reshape(STEPS, BATCH)
  assert (rows % 3 == replay.events.replica[:, None]).all()
  assert len(np.unique(rows)) == 15  # 5 for each of the replicas; two are left over


def test_shards_are_alike_in_size():
  params = {"a": {"kernel": jnp.zeros((6, 5)), "bias": jnp.zeros(5)}, "c": jnp.zeros((4, 5))}
  assert [list(shard) for shard in downpour.shards_of(params, 2)] == [["a/kernel"], ["c", "a/bias"]]
  with pytest.raises(UserError, match=r"shards=4: the network has 3 arrays"):
    downpour.shards_of(params, 4)


@ln.pytree_config
class NetConfig:
  cluster: Cluster = ln.nested(Cluster(replicas=1))
  optimizer: ln.Optimizer = ln.nested(ln.Optimizer("sgd", 0.3))
  batch_size: int = ln.static(7, "examples")
  steps: int = ln.static(6, "gradients")


def net(config):
  return ln.MLP((6, 10))


def test_what_a_cluster_cannot_do_is_said(monkeypatch):
  replace_sets(monkeypatch)
  refused = {
    "61 examples of its own|there are 60 examples": (net, {"cluster.replicas": 61}),
    "keeps no average": (net, {"optimizer.ema": 0.9}),
    "keeps no batch_stats": (lambda config: ln.MLP((6, 10), batch_norm=True), {}),
  }
  for words, (model, changes) in refused.items():
    with pytest.raises(UserError, match=words):
      config = ln.replace(NetConfig(), changes)
      jax.eval_shape(
        downpour.downpour_training(model)(config, 0).learner.init, config, jax.random.key(0)
      )


@pytest.mark.slow
def test_one_replica_is_sgd_to_the_bit(monkeypatch):
  replace_sets(monkeypatch)
  ends = []
  for made in (ln.supervised_training(net), downpour.downpour_training(net)):
    training = made(NetConfig(), 0)
    program = ln.compile_learner(training.learner, training.sampler, 10)
    state = jax.jit(training.learner.init)(NetConfig(), jax.random.key(0))
    ends.append(program.steps(6, NetConfig(), state, training.data, ORDER, jnp.int32(0)))
  (one, losses), (other, same) = ends
  jax.tree.map(np.testing.assert_array_equal, one.params, other.params)
  np.testing.assert_array_equal(losses["loss"], same["loss"])


@pytest.mark.slow
def test_devices_share_a_replicas_batch(monkeypatch):
  replace_sets(monkeypatch)
  config = ln.replace(NetConfig(), {"cluster.replicas": 3, "cluster.n_push": 2})
  assert_devices_agree(config, downpour.downpour_training(net)(config, 0), steps=5)
