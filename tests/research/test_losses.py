import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research.errors import UserError
from research.losses import (
  pixel_cross_entropy,
  softmax_cross_entropy,
  squared_error,
  token_cross_entropy,
  with_label_smoothing,
)
from research.metrics import pixel_accuracy

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


@pytest.mark.parametrize("weights", [None, [1.0, 0.5, 4.0]])
def test_pixel_cross_entropy_is_a_mean_over_pixels(weights):
  rng = np.random.default_rng(0)
  logits, mask = rng.normal(size=(2, 3, 4, 3)), rng.integers(0, 3, (2, 3, 4)).astype(np.uint8)
  batch = {"mask": jnp.asarray(mask)}
  if weights is not None:
    batch["mask_weights"] = jnp.array([weights, weights])
  found = pixel_cross_entropy(jnp.asarray(logits), batch)
  for example in range(2):
    total = weight = 0.0
    for place in np.ndindex(3, 4):
      odds, label = np.exp(logits[(example, *place)]), mask[(example, *place)]
      own = 1.0 if weights is None else weights[label]
      total, weight = total - own * np.log(odds[label] / odds.sum()), weight + own
    np.testing.assert_allclose(found.total[example], total, rtol=1e-5)
    np.testing.assert_allclose(found.weight[example], weight, rtol=1e-5)


def test_pixel_accuracy_is_the_share_of_pixels():
  logits = jax.nn.one_hot(jnp.array([[[0, 1], [1, 1]]]), 2)
  found = pixel_accuracy(logits, {"mask": jnp.array([[[0, 1], [1, 0]]], jnp.uint8)})
  np.testing.assert_allclose(found, [0.75])
