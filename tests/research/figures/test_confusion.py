import io

import numpy as np
import pytest

from research.figures.confusion import confusion_matrix
from research.set_metrics import confusion_counts

pytestmark = pytest.mark.fast


def captions(figure):
  return [text.get_text() for axes in figure.axes for text in axes.texts]


def png(figure):
  buffer = io.BytesIO()
  figure.savefig(buffer, format="png")
  return buffer.getvalue()


def test_confusion_counts_pairs():
  counts = confusion_counts([0, 0, 1, 2], [0, 2, 1, 1], 3)
  np.testing.assert_array_equal(counts, [[1, 0, 1], [0, 1, 0], [0, 1, 0]])


def test_the_confusion_matrix_prints_what_is_not_zero():
  figure = confusion_matrix([[8, 2], [0, 10]], title="two classes", caption="").figure
  assert captions(figure) == ["8", "2", "10"]
  assert figure.axes[0].get_title() == "90.00 % of 20 right"
  assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("prediction", "label")
  assert captions(confusion_matrix(np.eye(30, dtype=int), title="many", caption="").figure) == []
  with pytest.raises(ValueError, match="square"):
    confusion_matrix(np.zeros((2, 3)), title="no", caption="")


def test_a_class_without_examples_does_not_divide_by_zero():
  with np.errstate(all="raise"):
    assert png(confusion_matrix([[0, 0], [1, 1]], title="absent", caption="").figure)
