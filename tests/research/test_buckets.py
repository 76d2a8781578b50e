"""Length buckets change what a batch costs and nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import compile as compiling
from research.batch import pair_inputs
from research.buckets import bucket_of, bucketed
from research.data import sampling
from research.learner import supervised
from research.losses import token_cross_entropy
from research.metrics import token_accuracy
from research.models.seq2seq import Seq2Seq
from research.optimizers import Optimizer, make_optimizer

BUCKETS = ({"source": 2, "target": 3}, {"source": 4, "target": 5})
TOKENS = jax.ShapeDtypeStruct((2,), jnp.int32)
PLAIN = supervised(
  lambda config: Seq2Seq(9, 9, 3, 4, attention=True, bidirectional=True),
  token_cross_entropy,
  lambda config: (TOKENS, TOKENS),
  lambda config: make_optimizer(config, 1),
  metrics={"accuracy": token_accuracy},
  inputs=pair_inputs,
)
LEARNER = bucketed(PLAIN, BUCKETS)
CONFIG = Optimizer("sgd", 0.5)


def pairs(lengths):
  """Sources of these lengths, with targets one longer."""
  rng = np.random.default_rng(0)
  made = rng.integers(4, 9, (2, len(lengths), 7)).astype(np.int32)
  places = np.arange(7)
  source = np.where(places < np.array(lengths)[:, None], made[0], 0)
  target = np.where(places < np.array(lengths)[:, None] + 1, made[1], 0)
  return {"source": jnp.asarray(source), "target": jnp.asarray(target)}


@pytest.mark.parametrize(("lengths", "bucket"), [((1, 2), 0), ((1, 4), 1), ((6, 1), 2)])
def test_a_batch_takes_the_first_bucket_that_holds_all_of_it(lengths, bucket):
  assert int(bucket_of(BUCKETS, pairs(lengths))) == bucket


def test_a_target_alone_can_need_the_larger_bucket():
  batch = pairs((2, 2))
  assert int(bucket_of(BUCKETS, batch | {"target": batch["target"].at[0, 3].set(5)})) == 1


def trained(learner, data, parallel):
  program = compiling.compile_learner(learner, sampling.in_blocks(4), 4, parallel)
  state = program.place(jax.jit(learner.init)(CONFIG, jax.random.key(0)))
  placed = program.place(data)
  state, metrics = program.steps(3, CONFIG, state, placed, jax.random.key(1), jnp.int32(0))
  return jax.device_get(state.params), jax.device_get(metrics)


@pytest.mark.parametrize("parallel", ["shard", pytest.param("pmap", marks=pytest.mark.slow)])
def test_training_is_what_it_is_without_buckets(parallel):
  data = pairs((1, 1, 2, 2, 2, 3, 4, 4, 5, 6, 6, 6))  # a block of its own for every bucket
  expected, metrics = trained(PLAIN, data, "jit")
  for form in ("jit", parallel):
    found, ours = trained(LEARNER, data, form)
    np.testing.assert_allclose(ours["loss"], metrics["loss"], rtol=1e-5, err_msg=form)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), found, expected)


def test_evaluation_is_what_it_is_without_buckets():
  state = jax.jit(PLAIN.init)(CONFIG, jax.random.key(0))
  data = pairs((1, 2))
  for ours, theirs in zip(
    jax.tree.leaves(LEARNER.evaluate(CONFIG, state, data)),
    jax.tree.leaves(PLAIN.evaluate(CONFIG, state, data)),
    strict=True,
  ):
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
