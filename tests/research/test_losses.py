import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research.errors import UserError
from research.losses import (
  softmax_cross_entropy,
  squared_error,
  token_cross_entropy,
  with_label_smoothing,
)

pytestmark = pytest.mark.fast

LOGITS = jax.random.normal(jax.random.key(0), (2, 3, 5))
LABELS = jnp.array([[1, 4, 2], [3, 0, 0]])


def by_hand(logits, labels, share):
  return optax.softmax_cross_entropy(logits, optax.smooth_labels(jax.nn.one_hot(labels, 5), share))


def test_label_smoothing_is_optaxs_and_may_be_traced():
  smoothed = lambda share: with_label_smoothing(softmax_cross_entropy, share)(
    LOGITS[0], {"label": LABELS[0]}
  )
  np.testing.assert_allclose(jax.jit(smoothed)(0.2), by_hand(LOGITS[0], LABELS[0], 0.2), rtol=1e-5)
  np.testing.assert_allclose(smoothed(0.0), smoothed(None), rtol=1e-6)


def test_label_smoothing_of_tokens_leaves_padding_out_and_takes_the_place_of_another():
  loss = functools.partial(token_cross_entropy, smoothing=0.5)
  batch = {"target": jnp.pad(LABELS, ((0, 0), (1, 0)))}
  found = with_label_smoothing(loss, 0.2)(LOGITS, batch)
  each = by_hand(LOGITS, LABELS, 0.2)
  np.testing.assert_allclose(found.total, [each[0].sum(), each[1, 0]], rtol=1e-5)
  np.testing.assert_allclose(found.weight, [3, 1])


def test_other_losses_have_no_labels_to_smooth():
  assert with_label_smoothing(squared_error, None) is squared_error
  with pytest.raises(UserError, match="the loss is no softmax of labels; leave it out"):
    with_label_smoothing(squared_error, 0.1)
