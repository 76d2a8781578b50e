"""Metrics of whole sets, asked for on the command line."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from research.compile import compile_learner
from research.data.sampling import by_epoch
from research.errors import UserError
from research.lab.class_report import with_classes
from research.lab.measured import measured, read_names
from research.lanes import compile_population
from research.learner import supervised
from research.losses import softmax_cross_entropy, squared_error
from research.metrics import averages
from research.report import Report
from research.set_metrics import SET_METRICS
from research.training import Fit, Training, larger_is_better

NAMES = tuple(SET_METRICS)
RNG = np.random.default_rng(0)
DATA = {
  "image": RNG.normal(size=(23, 4)).astype(np.float32),
  "label": RNG.integers(0, 3, 23).astype(np.int32),
}
ARRAYS = jax.tree.map(jnp.asarray, DATA)


class Linear(nn.Module):
  @nn.compact
  def __call__(self, x, train=False):
    return nn.Dense(3)(x)


def training(loss=softmax_cross_entropy, **options):
  learner = supervised(
    lambda config: Linear(), loss, lambda config: (4,), lambda config: optax.sgd(0.1), **options
  )
  sampler = by_epoch(5)
  return Training(learner, DATA, sampler, 5, {"test": DATA}, 5, 5, evaluation_batch_size=10)


@pytest.mark.fast
def test_names_are_checked_and_kept_once():
  assert read_names("") == () and read_names("f1, auc,f1") == ("f1", "auc")
  with pytest.raises(UserError, match=r"--metrics: .*f2"):
    read_names("f2")


@pytest.mark.fast
def test_only_classifiers_have_them():
  with pytest.raises(UserError, match="--metrics=f1 is of networks with an output for each class"):
    measured(training(squared_error, metrics={}), None, ("f1",))
  plain = training()
  assert measured(plain, None, ()) is plain
  assert measured(plain, None, NAMES) == measured(plain, None, NAMES)  # one program for both
  assert [larger_is_better(plain, f"test/{name}") for name in NAMES] == [True, True, True, False]


@pytest.mark.parametrize("parallel", ["jit", "shard", "pmap"])
def test_they_are_of_the_whole_set_whatever_the_batches_and_devices(parallel):
  made = measured(training(), None, NAMES)
  state = made.learner.init(None, jax.random.key(0))
  outputs = np.asarray(made.learner.outputs(None, state, ARRAYS))
  program = compile_learner(made.learner, made.sampler, made.evaluation_batch_size, parallel)
  found = averages({"test": program.evaluate(None, program.place(state), program.place(DATA))})
  assert sorted(found) == sorted(f"test/{name}" for name in ("loss", "accuracy", *NAMES))
  for name in NAMES:
    wanted = SET_METRICS[name](outputs, DATA["label"])
    np.testing.assert_allclose(found[f"test/{name}"], wanted, rtol=1e-6)


def test_every_lane_has_its_own():
  made = measured(training(), None, NAMES)
  population = compile_population(made.learner, made.sampler, 10, 2, 1)
  active, keys = population.place(jnp.ones(2, bool)), jax.random.split(jax.random.key(0), 2)
  states = population.init(active, None, population.place(keys))
  found = averages({"test": population.evaluate(active, None, states, population.share(DATA))})
  for lane, key in enumerate(keys):
    outputs = np.asarray(made.learner.outputs(None, made.learner.init(None, key), ARRAYS))
    wanted = SET_METRICS["auc"](outputs, DATA["label"])
    np.testing.assert_allclose(found["test/auc"][lane], wanted, rtol=1e-6)


def test_a_report_has_recall_by_class_and_the_matrix():
  made = training()
  state = made.learner.init(None, jax.random.key(0))
  made = made._replace(class_names=("a", "b", "c"))
  answers = np.asarray(made.learner.outputs(None, state, ARRAYS)).argmax(axis=1)
  found = with_classes(Report(), Fit("train", None, state, [], lambda: state, made))
  (table,) = found.tables
  assert table.head == ["class", "test: examples", "test: recall (%)"]
  for label, (name, examples, recall) in enumerate(table.rows):
    own = answers[DATA["label"] == label]
    assert (name, examples) == ("abc"[label], str(len(own)))
    assert float(recall) == pytest.approx(100 * np.mean(own == label), abs=0.05)
  assert [picture.name for picture in found.pictures] == ["classes_test"]
