"""Functions of data sets that are called part by part."""

import numpy as np
import pytest

from research.batch import by_parts

pytestmark = pytest.mark.fast


def test_results_of_parts_are_those_of_the_whole_with_a_shorter_last_part():
  data, sizes = {"x": np.arange(7), "y": np.arange(14).reshape(7, 2)}, []

  def function(part):
    sizes.append(len(part["x"]))
    return part["x"] + part["y"].sum(axis=1), {"double": 2 * part["y"]}

  found = by_parts(function, data, 3)
  assert sizes == [3, 3, 1]
  expected = function(data)
  np.testing.assert_array_equal(found[0], expected[0])
  np.testing.assert_array_equal(found[1]["double"], expected[1]["double"])
