"""A stratified draw: so many, disjoint, each class in its share, rounded by largest remainder."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from research.data import stratify

pytestmark = pytest.mark.fast


def test_shares_are_rounded_by_largest_remainder():
  labels = np.repeat([5, 2, 9], [33, 14, 3])  # of ten: 6.6, 2.8 and 0.6
  drawn = stratify.draw(labels, 9, seed=0)  # 5.94, 2.52 and 0.54
  assert {label: int(np.sum(drawn & (labels == label))) for label in (5, 2, 9)} == {
    5: 6,
    2: 2,
    9: 1,
  }


@given(
  st.lists(st.integers(-3, 3), min_size=1, max_size=80),
  st.floats(0, 1),
  st.integers(0, 2**32),
)
def test_a_draw_is_complete_and_no_other_one_is_closer_to_the_shares(labels, share, seed):
  labels = np.array(labels)
  count = round(share * len(labels))
  drawn = stratify.draw(labels, count, seed)
  assert drawn.dtype == bool and drawn.shape == labels.shape and drawn.sum() == count
  np.testing.assert_array_equal(drawn, stratify.draw(labels, count, seed))
  _, sizes = np.unique(labels, return_counts=True)
  _, class_of = np.unique(labels, return_inverse=True)
  found = np.bincount(class_of[drawn], minlength=len(sizes))
  exact = count * sizes / len(labels)
  assert (np.abs(found - exact) < 1).all() and (found <= sizes).all()
  up, down = found > exact + 1e-9, found < exact - 1e-9
  if up.any() and down.any():
    remainders = exact - np.floor(exact)
    assert remainders[up].min() >= remainders[down].max() - 1e-9


@pytest.mark.parametrize(("kept", "held_out"), [(30, 12), (12, 30), (41, 1)])
def test_the_first_examples_are_split_in_two_by_the_seed(kept, held_out):
  arrays = {"image": np.arange(100) * 10, "label": np.arange(100)}
  first, second = stratify.shuffled_split(arrays, kept, held_out, 3)
  assert (len(first["label"]), len(second["label"])) == (kept, held_out)
  both = np.concatenate([first["label"], second["label"]])
  assert sorted(both) == list(range(kept + held_out)) and list(both) != sorted(both)
  for part in (first, second):
    np.testing.assert_array_equal(part["image"], 10 * part["label"])
  again, _ = stratify.shuffled_split(arrays, kept, held_out, 3)
  np.testing.assert_array_equal(again["label"], first["label"])
