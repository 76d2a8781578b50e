import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from research.analysis.slices import by_value, holm, slice_table

pytestmark = pytest.mark.fast


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closure_of_bonferroni(p):
  """A hypothesis falls where every intersection that holds it falls by Bonferroni's test."""
  tests = range(len(p))
  subsets = [each for n in tests for each in itertools.combinations(tests, n + 1)]
  bonferroni = lambda subset: min(1, len(subset) * min(p[each] for each in subset))
  wanted = [max(bonferroni(subset) for subset in subsets if test in subset) for test in tests]
  np.testing.assert_allclose(holm(np.array(p)), wanted)


def test_a_slice_is_judged_by_fishers_exact_test():
  rng = np.random.default_rng(0)
  is_wrong = rng.random(300) < 0.1
  members = {"a": rng.random(300) < 0.3, "b": rng.random(300) < 0.1}
  for has in members.values():
    is_wrong |= has & (rng.random(300) < 0.15)
  table = {row.name: row for row in slice_table(members, is_wrong)}
  p = []
  for has in members.values():
    cells = [[(has & is_wrong).sum(), (has & ~is_wrong).sum()]]
    cells += [[(~has & is_wrong).sum(), (~has & ~is_wrong).sum()]]
    p.append(scipy.stats.fisher_exact(cells, alternative="greater").pvalue)
  for name, wanted in zip(members, holm(np.array(p)), strict=True):
    has = members[name]
    assert table[name].p == pytest.approx(wanted)
    assert table[name].counted == (is_wrong[has].sum(), has.sum())
    assert table[name].rest == pytest.approx(is_wrong[~has].mean())


def test_equal_slices_are_seldom_called_worse_and_a_bad_one_is_found():
  rng = np.random.default_rng(1)
  called = 0
  for _ in range(100):
    is_wrong, kind = rng.random(400) < 0.1, rng.integers(0, 8, 400)
    called += any(row.is_worse for row in slice_table(by_value("k", kind.astype(str)), is_wrong))
  assert called <= 13  # 5 % are allowed; a binomial of 100 exceeds 13 with chance 0.0005
  is_wrong |= (kind == 3) & (rng.random(400) < 0.3)
  first, *_ = slice_table(by_value("k", kind.astype(str)), is_wrong)
  assert first.name == "k is 3" and first.is_worse


def test_columns_are_cut_by_text_by_value_or_into_quarters():
  texts = by_value("colour", np.array(["red", "", "blue", "red"]))
  assert {name: has.tolist() for name, has in texts.items()} == {
    "colour is blue": [False, False, True, False],
    "colour is red": [True, False, False, True],
  }
  assert list(by_value("legs", np.array([2.0, 4.0, 2.0]))) == ["legs is 2", "legs is 4"]
  column = np.random.default_rng(0).normal(size=100)
  quarters = by_value("width", column)
  assert [has.sum() for has in quarters.values()] == [25] * 4
  assert (np.sum(list(quarters.values()), axis=0) == 1).all()
  skewed = by_value("x", np.concatenate([np.zeros(80), np.arange(20.0)]))
  assert (np.sum(list(skewed.values()), axis=0) == 1).all()


def test_slices_that_are_too_small_are_left_out():
  is_wrong, few = np.zeros(30, bool), np.arange(30) < 9
  assert not slice_table({"few": few, "all but few": ~few}, is_wrong)
  assert not slice_table({}, is_wrong)
