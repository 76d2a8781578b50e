import types

import pytest

from experiments.vision import fully_convolutional

pytestmark = pytest.mark.fast


def test_each_is_compared_with_the_coarser_one():
  scores = {"32s": 0.5, "16s": 0.7, "8s": 0.81}
  fits = {
    name: types.SimpleNamespace(last=lambda metric, score=score: score)
    for name, score in scores.items()
  }
  found, finer, finest = fully_convolutional.order(fits)
  assert (found.ours, found.verdict) == (0.81, "pass")
  assert finer.ours == pytest.approx(0.2) and finest.ours == pytest.approx(0.11)
