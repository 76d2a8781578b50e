import itertools

import numpy as np
import pytest

from research.analysis.grounding import chance, finds_held_out, right_words
from research.data.captions import Thing, held_out

pytestmark = pytest.mark.fast
SCENE = [Thing(3, 1, 0), Thing(5, 2, 3)]


def by_hand(said, there):
  """The best of all pairings, one by one."""
  most = max(len(said), len(there))
  pad = lambda things, filling: [*things, *[(filling,) * 3] * (most - len(things))]
  whole, others = pad(there, -2), pad(said, -3)
  agree = lambda own: (np.array(own) == np.array(whole)).sum()
  return max(map(agree, itertools.permutations(others))) / (3 * most)


@pytest.mark.parametrize(
  ("said", "share"),
  [
    (SCENE, 1),
    (SCENE[::-1], 1),
    (SCENE[:1], 0.5),
    ([*SCENE, Thing(1, 1, 1)], 6 / 9),
    ([Thing(3, 2, 0), Thing(5, 1, 3)], 4 / 6),
    ([Thing(), Thing()], 0),
    ([], 0),
  ],
)
def test_right_words(said, share):
  assert right_words(said, SCENE) == pytest.approx(share)


def test_the_pairing_is_the_best_of_all():
  rng = np.random.default_rng(0)
  things = lambda: [Thing(*map(int, rng.integers(0, 3, 3))) for _ in range(rng.integers(1, 5))]
  for _ in range(200):
    said, there = things(), things()
    assert right_words(said, there) == pytest.approx(by_hand(said, there))


def test_a_held_out_pair_is_found_where_one_object_has_both():
  rare, other = Thing(4, held_out(4), 2), Thing(5, 1, 0)
  there = [[other, rare]] * 3
  said = [[Thing(4, held_out(4), 0)], [Thing(4, 1, 2), Thing(5, held_out(4), 0)], []]
  assert list(finds_held_out(said, there)) == [True, False, False]


def test_chance_compares_with_the_scenes_behind():
  there = [[Thing(0, 0, 0)], [Thing(1, 1, 1)], [Thing(0, 0, 2)]]
  np.testing.assert_allclose(chance(there, there, 2), [1 / 3, 0, 1 / 3])
