"""The lessons on convolution: their claims hold, and their functions see mistakes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.convolution import convolution_by_hand as lesson
from experiments.convolution import pooling_by_hand, receptive_fields, speed_up
from research.errors import UserError
from tests.fixtures.stand_in_labs import FakeLab, failed


def test_every_claim_holds():
  assert not failed(lesson.run(lesson.Config(images=1, size=7, filters=2), FakeLab()))
  assert not failed(pooling_by_hand.run(pooling_by_hand.Config(images=1), FakeLab()))
  assert not failed(receptive_fields.run(receptive_fields.Config(), FakeLab()))


def test_the_books_example():
  x = np.array([[1, 2, 3, 0], [0, 1, 2, 3], [3, 0, 1, 2], [2, 3, 0, 1]]).reshape(1, 4, 4, 1)
  kernel = np.array([[2, 0, 1], [0, 1, 2], [1, 0, 2]]).reshape(3, 3, 1, 1)
  np.testing.assert_array_equal(lesson.by_loops(x, kernel, 1, 0).squeeze(), [[15, 16], [6, 15]])


@pytest.mark.parametrize(
  "size, window, stride, padding, says",
  [
    (4, 3, 2, 0, "not a whole number of windows"),
    (8, 2, 3, 1, "not a whole number of windows"),
    (2, 3, 1, 0, "larger than 2 pixels padded by 0; pad by at least 1"),
    (2, 5, 1, 0, "pad by at least 2"),
  ],
)
def test_windows_that_do_not_come_out_even_are_refused(size, window, stride, padding, says):
  with pytest.raises(UserError, match=says):
    lesson.output_size(size, window, stride, padding)


def test_an_im2col_in_another_order_is_seen():
  x = jax.random.normal(jax.random.key(0), (1, 5, 5, 2))
  kernel = jax.random.normal(jax.random.key(1), (3, 3, 2, 3))
  expected = lesson.by_loops(np.asarray(x), np.asarray(kernel), 1, 0)
  worst = lambda kernel: np.abs(np.asarray(lesson.by_product(x, kernel, 1, 0)) - expected).max()
  assert worst(kernel) < 1e-5
  assert worst(kernel.swapaxes(0, 1)) > 0.1


def test_col2im_counts_how_often_a_pixel_was_copied():
  ones = lesson.im2col(jnp.ones((1, 3, 3, 1)), 2, 1, 0)
  counts = lesson.col2im(ones, (1, 3, 3, 1), 2, 1, 0)[0, :, :, 0]
  np.testing.assert_array_equal(counts, [[1, 2, 1], [2, 4, 2], [1, 2, 1]])


def test_forms_of_a_step_are_compared_turn_by_turn():
  quick = {speed_up.LOOPS: 800.0, speed_up.NUMPY: 4.0, speed_up.EAGER: 6.0}
  one = lambda name: quick.get(name, 2.0) * np.array([[1.0, 0.5], [1.1, 0.5], [0.9, 0.5]])
  names = dict.fromkeys(name for pair in speed_up.LADDER for name in pair)
  report = speed_up.report({name: one(name) for name in names}, 1e-7)
  ours = [claim.ours for claim in report.claims]
  assert ours == pytest.approx([1e-7, 200, 2, 3, 1, 1, 1]) and not failed(report)
  slow = {name: one(name) / (6 if name == speed_up.EAGER else 1) for name in names}
  assert [claim.verdict for claim in speed_up.report(slow, 1e-3).claims].count("fail") == 2
