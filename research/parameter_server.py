"""A parameter server with asynchronous replicas, simulated by a heap of events in whole numbers.

Dean et al. 2012, "Large scale distributed deep networks", section 4.1: the parameters are shared
out over servers, shard by shard. Each replica fetches them, computes the gradient of a batch of its
own portion of the data, and pushes what has accumulated; each server applies what arrives at once,
without locks. Here a replica waits for the answers to its messages, and a server answers at once,
whatever the crowd.

The numbers that are learnt depend on the order of the events alone. `simulate` gives this order as
plain integers, and `research.downpour` replays it in one compiled program.
"""

import functools
import heapq
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from research.config import pytree_config, static
from research.errors import UserError

COMPUTING, MESSAGE = 1_000, 30  # mean lengths, in ticks
FETCH, PUSH, COMPUTED = 0, 1, 2


@pytree_config
class Cluster:
  """Replicas and servers, and how they speak with each other."""

  replicas: int = static(4, "copies of the network, each with a portion of the data", at_least=1)
  shards: int = static(2, "servers, each with some of the parameters", at_least=1)
  n_fetch: int = static(1, "gradients of a replica from one fetch to the next", at_least=1)
  n_push: int = static(1, "gradients of a replica in one push", at_least=1)
  warm_start: int = static(0, "gradients that the first replica computes alone", at_least=0)
  dies_at: int = static(
    0, "gradients of all after which the last replica is dead; 0 for never", at_least=0
  )


class Times(NamedTuple):
  """The lengths of all that takes time, in ticks.

  Attributes:
    computing: of each replica's n-th gradient.
    message: until a server has answered the fetch before it, and the push after it.
  """

  computing: Int[np.ndarray, "replica gradient"]
  message: Int[np.ndarray, "replica gradient 2 shard"]


class Events(NamedTuple):
  """The events in their order.

  Attributes:
    replica: that computed the t-th gradient.
    number: how many it had computed before.
    ticks: when the t-th gradient was done.
    staleness: updates of a shard between the fetch for this gradient and the push with it; -1 where
      it was never pushed.
    sender: for each shard, whose messages its server got.
    kind: for each shard, whether these were a `FETCH` or a `PUSH`.
    end: for each shard, how many of them came before gradient t + 1 was done; at last, all.
  """

  replica: Int[np.ndarray, " gradient"]
  number: Int[np.ndarray, " gradient"]
  ticks: Int[np.ndarray, " gradient"]
  staleness: Int[np.ndarray, "gradient shard"]
  sender: tuple[Int[np.ndarray, " message"], ...]
  kind: tuple[Int[np.ndarray, " message"], ...]
  end: tuple[Int[np.ndarray, " gradient"], ...]

  @property
  def messages(self) -> int:
    """The messages that all servers got."""
    return sum(map(len, self.sender))

  @property
  def mean_staleness(self) -> float:
    """The mean over gradients and shards, as far as they were pushed."""
    return float(np.mean(self.staleness[self.staleness >= 0]))


@functools.cache
def events(cluster: Cluster, steps: int, seed: int) -> Events:
  """The events of a cluster with seeded times, until so many gradients are done.

  Raises:
    UserError: where the only replica is to die.
  """
  if cluster.replicas == 1 and 0 < cluster.dies_at < steps:
    raise UserError(
      f"cluster.dies_at={cluster.dies_at}: nobody goes on after the only replica; give "
      "cluster.replicas of at least 2"
    )
  return simulate(cluster, draw_times(cluster, steps, seed))


def draw_times(cluster: Cluster, steps: int, seed: int) -> Times:
  """Seeded times: replicas are up to 20 % faster or slower, each of their gradients up to 10 %."""
  generator = np.random.default_rng(seed)
  mean = generator.integers(COMPUTING * 4 // 5, COMPUTING * 6 // 5 + 1, cluster.replicas)
  percent = generator.integers(90, 111, (cluster.replicas, steps))
  size = (cluster.replicas, steps, 2, cluster.shards)
  message = generator.integers(MESSAGE // 2, MESSAGE * 3 // 2 + 1, size)
  return Times(mean[:, None] * percent // 100, message)


def rounds(cluster: Cluster, steps: int, seed: int) -> Int[np.ndarray, " step"]:
  """The ticks at which each step is done where replicas of these times learn synchronously.

  All wait for the slowest, and for its messages.
  """
  times = draw_times(cluster, steps, seed)
  return np.cumsum(np.max(times.computing + times.message.max(-1).sum(-1), axis=0))


def simulate(cluster: Cluster, times: Times) -> Events:
  """Plays the events until as many gradients are done as the times have for each replica.

  A message that is then under way still arrives.
  """
  return _Simulation(cluster, times).played()


class _Replica:
  """The place of a replica in its loop."""

  def __init__(self, shards: int):
    self.number = 0  # gradients done
    self.awaited = 0  # answers of servers
    self.seen = [0] * shards  # how many updates were in the shards that it fetched
    self.kept: list[tuple[int, list[int]]] = []  # gradients since the last push, and what they saw
    self.sent: list[tuple[int, list[int]]] = []


class _Simulation:
  """Replicas, servers and the heap of what is to come."""

  def __init__(self, cluster: Cluster, times: Times):
    self.cluster, self.times = cluster, times
    self.steps, self.shards = times.computing.shape[1], range(cluster.shards)
    self.replicas = [_Replica(cluster.shards) for _ in range(cluster.replicas)]
    self.heap: list[tuple[int, int, int, int, int]] = []  # time, tie-break, replica, kind, shard
    self.planned = 0
    self.done: list[tuple[int, int, int]] = []  # replica, its number, time of each gradient
    self.came: list[list[tuple[int, int]]] = [[] for _ in self.shards]  # senders and kinds
    self.end: list[list[int]] = [[] for _ in self.shards]
    self.updates = [0] * cluster.shards
    self.staleness = np.full((self.steps, cluster.shards), -1)

  def played(self) -> Events:
    """Plays all events; returns them."""
    for replica in range(1 if self.cluster.warm_start else self.cluster.replicas):
      self._begin(0, replica)
    while self.heap:
      now, _, replica, kind, shard = heapq.heappop(self.heap)
      if self._is_dead(replica):
        continue
      if kind != COMPUTED:
        self._arrived(now, replica, kind, shard)
      elif len(self.done) < self.steps:
        self._computed(now, replica)
    self._note_ends()
    columns = lambda rows, width: np.array(rows, np.int32).reshape(-1, width).T
    came = [columns(rows, 2) for rows in self.came]
    replicas, numbers, ticks = columns(self.done, 3)
    return Events(
      replicas,
      numbers,
      ticks,
      self.staleness,
      tuple(senders for senders, _ in came),
      tuple(kinds for _, kinds in came),
      tuple(np.array(counts, np.int32) for counts in self.end),
    )

  def _is_dead(self, replica: int) -> bool:
    is_last = replica == self.cluster.replicas - 1
    return is_last and 0 < self.cluster.dies_at <= len(self.done)

  def _plan(self, time: int, replica: int, kind: int, shard: int) -> None:
    heapq.heappush(self.heap, (int(time), self.planned, replica, kind, shard))
    self.planned += 1

  def _begin(self, now: int, replica: int) -> None:
    if len(self.done) == self.steps:
      return
    if self.replicas[replica].number % self.cluster.n_fetch == 0:
      self._send(now, replica, FETCH)
    else:
      self._compute(now, replica)

  def _send(self, now: int, replica: int, kind: int) -> None:
    own = self.replicas[replica]
    own.awaited = self.cluster.shards
    for shard in self.shards:
      length = self.times.message[replica, own.number - (kind == PUSH), kind, shard]
      self._plan(now + length, replica, kind, shard)

  def _compute(self, now: int, replica: int) -> None:
    length = self.times.computing[replica, self.replicas[replica].number]
    self._plan(now + length, replica, COMPUTED, 0)

  def _computed(self, now: int, replica: int) -> None:
    own = self.replicas[replica]
    if self.done:
      self._note_ends()
    own.kept.append((len(self.done), list(own.seen)))
    self.done.append((replica, own.number, now))
    own.number += 1
    if len(self.done) == self.cluster.warm_start:
      for other in range(1, self.cluster.replicas):
        self._begin(now, other)
    if own.number % self.cluster.n_push == 0:
      own.kept, own.sent = [], own.kept
      self._send(now, replica, PUSH)
    else:
      self._begin(now, replica)

  def _arrived(self, now: int, replica: int, kind: int, shard: int) -> None:
    own = self.replicas[replica]
    self.came[shard].append((replica, kind))
    if kind == FETCH:
      own.seen[shard] = self.updates[shard]
    else:
      for gradient, seen in own.sent:
        self.staleness[gradient, shard] = self.updates[shard] - seen[shard]
      self.updates[shard] += 1
    own.awaited -= 1
    if not own.awaited:
      self._compute(now, replica) if kind == FETCH else self._begin(now, replica)

  def _note_ends(self) -> None:
    for shard in self.shards:
      self.end[shard].append(len(self.came[shard]))
