"""The events of a simulated cluster, as whole numbers."""

import numpy as np
import pytest

from research import parameter_server
from research.errors import UserError
from research.parameter_server import PUSH, Cluster, Times

pytestmark = pytest.mark.fast


def played(steps=40, seed=0, **cluster):
  return parameter_server.events(Cluster(**cluster), steps, seed)


def even(cluster, steps, speeds, message=0):
  """Times without chance: a speed for each replica."""
  computing = np.repeat(np.array(speeds)[:, None], steps, axis=1)
  size = (cluster.replicas, steps, 2, cluster.shards)
  return Times(computing, np.full(size, message))


def test_one_replica_sees_its_own_updates_at_once():
  events = played(replicas=1)
  assert not events.staleness.any() and events.number.tolist() == list(range(40))
  assert events.messages == 2 * 2 * 40


def test_a_faster_replica_computes_more_and_all_see_each_others_updates():
  cluster = Cluster(replicas=2, shards=1)
  events = parameter_server.simulate(cluster, even(cluster, 6, (10, 25)))
  assert events.ticks.tolist() == [10, 20, 25, 30, 40, 50]
  assert events.replica.tolist() == [0, 0, 1, 0, 0, 1]
  assert events.staleness[:, 0].tolist() == [0, 0, 2, 1, 0, 2]


def test_staleness_is_that_of_the_others():
  assert played(500, replicas=8).mean_staleness == pytest.approx(7, rel=0.15)
  assert played(500, replicas=8, n_fetch=3).mean_staleness > 10


def test_what_accumulates_is_pushed_in_fewer_messages():
  events = played(replicas=1, n_fetch=2, n_push=4)
  assert [kind.tolist().count(PUSH) for kind in events.kind] == [10, 10]
  assert events.messages == 2 * (20 + 10)


def test_the_first_replica_warms_up_alone():
  events = played(replicas=3, warm_start=10)
  assert not events.replica[:10].any() and set(events.replica[10:]) == {0, 1, 2}


def test_a_dead_replica_says_nothing_and_the_others_go_on():
  events = played(replicas=3, dies_at=12)
  assert set(events.replica[:12]) == {0, 1, 2} and set(events.replica[12:]) == {0, 1}
  late = [sender[end[11] :] for sender, end in zip(events.sender, events.end, strict=True)]
  assert all(set(senders) == {0, 1} for senders in late)


def test_shards_are_out_of_step():
  events = played(replicas=8)
  pushes = [
    [int(s) for s, k in zip(senders, kinds, strict=True) if k == PUSH]
    for senders, kinds in zip(events.sender, events.kind, strict=True)
  ]
  assert pushes[0] != pushes[1] and sorted(pushes[0]) == sorted(pushes[1])


def test_the_seed_gives_the_events():
  one, same = (parameter_server.events.__wrapped__(Cluster(), 40, 3) for _ in range(2))
  np.testing.assert_equal(one, same)
  assert not np.array_equal(one.ticks, played(seed=4).ticks)


def test_synchronous_replicas_wait_for_the_slowest():
  times = parameter_server.draw_times(Cluster(replicas=5), 30, 1)
  ticks = parameter_server.rounds(Cluster(replicas=5), 30, 1)
  assert (np.diff(ticks, prepend=0) > times.computing.max(0)).all()


def test_the_only_replica_must_not_die():
  with pytest.raises(UserError, match=r"dies_at=5: nobody goes on"):
    played(replicas=1, dies_at=5)
