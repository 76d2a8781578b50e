import pytest

from research.analysis import timing

pytestmark = pytest.mark.fast


def test_the_shortest_call_counts_and_the_first_does_not(monkeypatch):
  clock = iter([0.0, 5.0, 10.0, 12.0, 20.0, 23.0])
  monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
  made = []
  assert timing.shortest_call(lambda: made.append(1), 3) == 2.0
  assert len(made) == 4
