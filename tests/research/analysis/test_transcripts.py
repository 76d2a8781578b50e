"""How sure readings are, and how the pieces' make a string."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np

from research.analysis import transcripts
from research.data.strip_pieces import Pieces


def test_coverage_is_of_the_surest_first():
  found = transcripts.coverage(np.array([0.2, 0.9, 0.5, 0.7]), np.array([0, 1, 0, 1], bool))
  np.testing.assert_allclose(found.covered, [0.25, 0.5, 0.75, 1])
  np.testing.assert_allclose(found.accuracy, [1, 1, 2 / 3, 0.5])
  assert found.at(0.98) == 0.5 and found.at(0.5) == 1


def test_equal_confidences_are_believed_together():
  found = transcripts.coverage(np.array([0.5, 0.9, 0.5]), np.array([1, 0, 1], bool))
  np.testing.assert_allclose(found.covered, [1 / 3, 1])
  assert found.at(0.98) == 0.0  # however the two equal ones are ordered


def test_pieces_make_the_string_of_their_strip(monkeypatch):
  monkeypatch.setattr(
    transcripts, "predict", lambda model, state, batch: jnp.log(batch["image"] + 1e-3)
  )
  labels = [4, 2, 7, *range(6), 1]
  pieces = Pieces(np.eye(10)[labels] * 0.99, np.array([2, 0, 1, 6, 1]))
  found = transcripts.read_pieces(None, SimpleNamespace(state=None), pieces, 5)
  np.testing.assert_array_equal(found.digits[0], [4, 2, -1, -1, -1])
  np.testing.assert_array_equal(found.digits[2], [7, -1, -1, -1, -1])
  np.testing.assert_array_equal(found.digits[4], [1, -1, -1, -1, -1])
  assert (found.digits[[1, 3]] == -1).all()  # no piece, and too many
  one = found.log_probability[2]
  np.testing.assert_allclose(found.log_probability, [2 * one, 0, one, 6 * one, one], rtol=1e-4)
  right = found.right({"digits": np.array([[4, 2, -1, -1, -1]] * 5)})
  np.testing.assert_array_equal(right, [True, False, False, False, False])
