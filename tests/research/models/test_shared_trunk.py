"""A trunk for several tasks, whose labels may be missing."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.models import shared_trunk

LOGITS = jnp.array([[1.0, -2.0, 0.5], [-1.0, 3.0, 2.0]])
BATCH = {"answers": jnp.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]), "number": jnp.array([4, 2])}


def config(**changes):
  return SimpleNamespace(**{"first": 0.0, "tasks": 3.0, "labels": 3.0, "units": 3.0} | changes)


def test_the_loss_is_minus_the_logarithm_of_each_answers_probability():
  yes = jax.nn.sigmoid(LOGITS)
  expected = -jnp.log(jnp.where(BATCH["answers"] > 0, yes, 1 - yes)).sum(axis=1)
  np.testing.assert_allclose(
    shared_trunk.labelled_loss(LOGITS, BATCH, config()), expected, rtol=1e-5
  )


def test_what_is_not_labelled_or_not_asked_has_no_gradient():
  of = lambda **changes: jax.grad(
    lambda logits: shared_trunk.labelled_loss(logits, BATCH, config(**changes)).sum()
  )(LOGITS)
  there = lambda **changes: np.asarray(of(**changes) != 0).astype(int).tolist()
  assert there(labels=1.0) == [[0, 1, 0], [0, 0, 1]]
  assert there(labels=2.0) == [[0, 1, 1], [1, 0, 1]]
  assert there(first=2.0, tasks=1.0) == [[0, 0, 1], [0, 0, 1]]
  assert there(first=2.0, tasks=1.0, labels=1.0) == [[0, 0, 0], [0, 0, 1]]


def test_every_task_has_as_many_labels():
  batch = {"number": jnp.arange(24)}
  for labels in (1, 2, 3):
    counts = shared_trunk.is_labelled(3, batch, config(labels=labels)).sum(axis=0)
    assert counts.tolist() == [8 * labels] * 3


def test_errors_are_of_the_tasks_that_are_asked_also_where_the_label_is_missing():
  errors = lambda **changes: shared_trunk.task_errors(LOGITS, BATCH, config(**changes)).tolist()
  assert errors(labels=1.0) == pytest.approx([2 / 3, 1 / 3])
  assert errors(tasks=2.0) == [0.5, 0]
  assert errors(first=1.0, tasks=1.0) == [1, 0]


def test_units_beyond_the_number_change_nothing():
  x = jax.random.uniform(jax.random.key(0), (2, 4, 1, 1))
  net = lambda units: shared_trunk.SharedTrunk(units, 6, 3)
  params = net(3.0).init(jax.random.key(1), x)["params"]
  head = jax.random.normal(jax.random.key(2), (6, 3))
  params["Dense_1"]["kernel"] = head
  changed = params | {"Dense_1": params["Dense_1"] | {"kernel": head.at[3:].set(9)}}
  few = jax.jit(lambda units, params: net(units).apply({"params": params}, x))
  np.testing.assert_array_equal(few(3.0, params), few(3.0, changed))
  assert (few(4.0, params) != few(4.0, changed)).any()
