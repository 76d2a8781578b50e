"""Which way to go on: small versions of whole experiments, and the traps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import research as ln
from experiments.strategy import (
  dev_set_sizes,
  end_to_end,
  error_analysis,
  fine_tuning,
  five_gaps,
  label_noise,
  multi_task,
)
from research.analysis import error_gaps
from research.config import replace
from research.data import sets
from research.data.planted_faults import TAGS, WRONG, plant
from research.initializers import kernel_init
from research.lab.groups import by_program
from research.models.mlp import MLP
from research.task import supervised_training
from tests.fixtures.little_data import replace_digits, replace_sets
from tests.fixtures.little_photographs import replace_photographs, replace_weights
from tests.fixtures.stand_in_labs import UntrainedLab, failed


def many_labels(count=20_000):
  label = (np.arange(count) % 10).astype(np.int32)
  data = label_noise.prone({"image": np.zeros((count, 1)), "label": label})
  return jax.tree.map(jnp.asarray, data)


def test_so_many_labels_are_wrong_and_each_other_class_as_often():
  data = many_labels()
  given = label_noise.given_labels(label_noise.Config(at_random=0.3), data)
  wrong = given != data["label"]
  assert abs(wrong.mean() - 0.3) < 0.01
  steps = np.bincount((given - data["label"])[wrong] % 10, minlength=10) / wrong.sum()
  np.testing.assert_allclose(steps, [0] + [1 / 9] * 9, atol=0.02)


def test_systematic_errors_are_fours_called_nines():
  data = many_labels()
  given = label_noise.given_labels(label_noise.Config(fours=0.25), data)
  wrong = given != data["label"]
  assert set(np.asarray(data["label"][wrong])) == {4} and set(np.asarray(given[wrong])) == {9}
  assert abs(wrong.mean() - 0.025) < 0.004


def test_no_share_leaves_all_labels_and_a_larger_one_adds_to_a_smaller():
  data = many_labels()
  given = lambda share: label_noise.given_labels(label_noise.Config(at_random=share), data)
  np.testing.assert_array_equal(given(0.0), data["label"])
  few, many = given(0.1), given(0.2)
  few_wrong = few != data["label"]
  np.testing.assert_array_equal(few[few_wrong], many[few_wrong])


def test_only_fours_count_in_their_recall():
  logits = jnp.eye(10)[jnp.array([4, 9, 4, 3])]
  mean = label_noise.recall_of_fours(logits, {"label": jnp.array([4, 4, 1, 3])})
  assert mean.total.sum() == 1 and mean.weight.sum() == 2


def little_net(config):
  return MLP((config.hidden, 10), kernel_init=kernel_init(config.init))


def test_a_net_learns_the_labels_that_are_given(monkeypatch):
  replace_sets(monkeypatch)
  config = label_noise.Config(fours=1.0, batch_size=20)
  training = label_noise.training(config, 0)
  state = training.learner.init(config, jax.random.key(0))
  right = {
    **training.data,
    "label": np.where(training.data["label"] == 4, 9, training.data["label"]),
  }
  after, metrics = jax.jit(training.learner.step)(config, state, training.data)
  plain = supervised_training(little_net, label_noise.task)(config, 0).learner
  expected, others = jax.jit(plain.step)(config, state, right)
  assert metrics["loss"] == others["loss"]
  jax.tree.map(np.testing.assert_array_equal, after.params, expected.params)


def test_label_noise_reports_both_kinds(monkeypatch):
  replace_sets(monkeypatch)
  report = label_noise.run(replace(label_noise.Config(), {"batch_size": 20}), UntrainedLab())
  assert len(report.claims) == 4
  assert [picture.name for picture in report.pictures] == ["lost"]


def test_photographs_are_split_by_the_seed_a_third_of_each_family_to_test(monkeypatch):
  data = replace_photographs(monkeypatch)
  config = fine_tuning.Config()
  tasks = [fine_tuning.photographs(config, seed) for seed in (0, 0, 1)]
  for task in tasks:
    assert np.bincount(task.train["label"]).tolist() == [2] * 7
    both = np.concatenate([task.train["image"], task.evaluate["test"]["image"]])
    assert len(np.unique(both.reshape(21, -1), axis=0)) == len(data["label"])
  np.testing.assert_array_equal(tasks[0].train["image"], tasks[1].train["image"])
  assert (tasks[0].train["image"] != tasks[2].train["image"]).any()


def test_fine_tuning_begins_with_the_weights_but_for_its_own_head(monkeypatch):
  replace_weights(monkeypatch)
  config = fine_tuning.Config()
  fresh = {"net": {"stem": {"kernel": jnp.zeros((3, 3, 3, 32))}, "head": {"bias": jnp.zeros(7)}}}
  plain = ln.Learner(lambda config, key: ln.TrainState(0, key, fresh, {}, None), None, None)
  begun = fine_tuning.begin_trained(plain).init(config, jax.random.key(0)).params["net"]
  np.testing.assert_array_equal(begun["stem"]["kernel"], 0.5)
  np.testing.assert_array_equal(begun["head"]["bias"], 0)
  assert fine_tuning.not_loaded(config) == (
    "not loaded: params/net/head/bias (given [1000], needed [7]), "
    "params/net/head/kernel (given [1280, 1000], needed [1280, 7])"
  )


def test_images_are_turned_left_to_right_or_left_as_they_are():
  images = jax.random.uniform(jax.random.key(0), (40, 2, 3, 1))
  turned = fine_tuning.mirrored(fine_tuning.Config(), jax.random.key(1), images)
  is_turned = (turned == images[:, :, ::-1]).all(axis=(1, 2, 3))
  assert 8 < is_turned.sum() < 32
  np.testing.assert_array_equal(turned[~is_turned], images[~is_turned])


def test_the_largest_gap_is_that_of_the_courses_examples():
  # Human level, training, train-dev, dev and test error of cat classifiers (weeks 1 and 2).
  cases = {
    (0.04, 0.07, 0.10, 0.12, 0.12): error_gaps.BIAS,  # 3, 3, 2, 0: the first of equals
    (0.00, 0.08, 0.085, 0.10, 0.10): error_gaps.BIAS,
    (0.00, 0.01, 0.09, 0.10, 0.10): error_gaps.VARIANCE,
    (0.00, 0.01, 0.015, 0.10, 0.10): error_gaps.MISMATCH,
    (0.00, 0.01, 0.015, 0.02, 0.09): error_gaps.OVERUSED,
  }
  for errors, fault in cases.items():
    found = error_gaps.gaps(error_gaps.Errors(*errors))
    assert sum(found.values()) == pytest.approx(errors[-1] - errors[0])
    assert error_gaps.largest_gap(error_gaps.Errors(*errors)) == fault


def test_dev_sets_rank_by_the_normal_law_and_intervals_hold_the_error(monkeypatch):
  monkeypatch.setattr(dev_set_sizes, "DRAWS", 400)
  rng = np.random.default_rng(0)
  better, worse = np.arange(1000) < 100, np.arange(1000) < 150
  right, by_law = dev_set_sizes.ranked(worse, better, 100, rng)
  # Fifty of a thousand differ: five of a hundred, whose standard deviation is the root of 4.75.
  assert by_law == pytest.approx(0.989, abs=1e-3) and right == pytest.approx(by_law, abs=0.02)
  width, held = dev_set_sizes.intervals(better, 400, rng)
  assert held > 0.9 and width == pytest.approx(2 * 1.96 * np.sqrt(0.1 * 0.9 / 400), rel=0.03)


def test_a_dev_set_from_elsewhere_chooses_what_is_best_there(monkeypatch):
  monkeypatch.setattr(dev_set_sizes, "DRAWS", 10)
  monkeypatch.setattr(dev_set_sizes, "SIZES", (10, 20, 30))
  error = lambda share: np.arange(1000) < 1000 * share
  names = (dev_set_sizes.BEST, dev_set_sizes.SMALLER, dev_set_sizes.TURNED)
  upright = dict(zip(names, map(error, (0.1, 0.12, 0.3)), strict=True))
  of_turned = dict(zip(names, map(error, (0.5, 0.6, 0.1)), strict=True))
  claims = dev_set_sizes.report(upright, of_turned, np.random.default_rng(0)).claims
  assert claims[-1].ours == pytest.approx(0.2)


def test_cures_bring_what_is_counted_where_each_error_has_one_fault(monkeypatch):
  monkeypatch.setattr(error_analysis, "SAMPLE", 10)
  rng = np.random.default_rng(0)
  data = {"image": np.zeros((400, 28, 28, 1), np.uint8), "label": rng.integers(0, 10, 400)}
  made = plant(data, 300, 0.1, 0.3, seed=1)
  is_wrong = lambda spoiled: spoiled["label"] != made.label  # a net that knows the right ones
  found = error_analysis.analysed(made, is_wrong)
  place = TAGS.index(WRONG)
  share = made.tags[WRONG].mean()
  assert found.measured[place] == found.by_all[place] == found.by_sample[place]
  assert found.measured[place] == pytest.approx(share)
  assert found.measured.sum() == pytest.approx(share)  # other cures bring nothing
  assert 0 < found.by_all[0] < share and found.is_held.dtype == bool


def test_five_sets_have_no_image_in_common_and_some_labels_are_wrong(monkeypatch):
  replace_sets(monkeypatch)
  config = five_gaps.Config(examples=15, turned=90.0, wrong=0.5)
  made = five_gaps.task(config, 3)
  plain = five_gaps.task(replace(config, {"turned": 0.0, "wrong": 0.0}), 3)
  whole = np.concatenate([part["image"] for part in plain.evaluate.values()])
  images = sets.load("mnist").train["image"]
  assert len(np.unique(whole, axis=0)) == len(whole) == 35
  assert {image.tobytes() for image in whole} <= {image.tobytes() for image in images}
  np.testing.assert_array_equal(made.train["image"], plain.train["image"])
  np.testing.assert_allclose(
    made.evaluate["dev"]["image"], np.rot90(plain.evaluate["dev"]["image"], 1, (1, 2)), atol=1
  )
  wrong = [np.mean(made.evaluate[s]["label"] != plain.evaluate[s]["label"]) for s in made.evaluate]
  assert 0.3 < np.mean(wrong) < 0.7


def test_what_is_kept_lowers_the_dev_loss_and_the_rest_of_the_errors_stay(monkeypatch):
  replace_sets(monkeypatch)
  config = five_gaps.Config(hidden=8, examples=15)
  fit = UntrainedLab().fit("net", config, five_gaps.training(config, 0))
  errors = lambda tries: five_gaps.errors_of(config, fit, 5, tries, np.random.default_rng(0))
  before, after = errors(0), errors(1000)
  assert after.dev < before.dev and after.test > after.dev
  assert before[:3] == after[:3] == (0.1, 0.5, 0.5)


def test_a_fault_is_named_and_its_gap_compared_with_the_cures():
  base = error_gaps.Errors(0.1, 0.12, 0.13, 0.14, 0.145)
  planted = {
    error_gaps.BIAS: base._replace(train=0.5, train_dev=0.51, dev=0.52, test=0.52),
    error_gaps.VARIANCE: base._replace(train_dev=0.4, dev=0.41, test=0.41),
    error_gaps.MISMATCH: base._replace(dev=0.5, test=0.5),
    error_gaps.OVERUSED: base._replace(dev=0.02, test=0.3),
  }
  report = five_gaps.report(
    {fault: [errors] * 2 for fault, errors in planted.items()}, dict.fromkeys(planted, [base] * 2)
  )
  assert not failed(report) and len(report.claims) == 12
  none = five_gaps.report(dict.fromkeys(planted, [base] * 2), dict.fromkeys(planted, [base] * 2))
  assert [claim.verdict for claim in none.claims[3:6]] == ["fail", "fail", "pass"]


def test_both_kinds_see_the_same_strips_and_the_pipeline_two_pieces_of_each(monkeypatch):
  replace_digits(monkeypatch)
  whole = end_to_end.Config(examples=12, held_out=10)
  cut = replace(whole, {"reads": end_to_end.PIPELINE})
  strips, pieces = (end_to_end.task(config, 3) for config in (whole, cut))
  assert len(pieces.train["label"]) == 2 * len(strips.train["label"])
  for of_strips, of_pieces in zip(
    (strips.train, strips.evaluate["test"]), (pieces.train, pieces.evaluate["test"]), strict=True
  ):
    added = of_pieces["label"].reshape(-1, 2).sum(axis=1)
    np.testing.assert_array_equal(added, of_strips["label"])
  other = end_to_end.task(whole, 4)
  assert (other.train["image"] != strips.train["image"]).any()
  np.testing.assert_array_equal(other.evaluate["test"]["image"], strips.evaluate["test"]["image"])


def test_a_sum_may_be_right_though_both_digits_are_wrong(monkeypatch):
  config = end_to_end.Config(reads=end_to_end.PIPELINE, held_out=3)
  data = {"image": np.zeros((6, 1)), "label": np.array([1, 2, 3, 4, 5, 6])}
  monkeypatch.setattr(ln, "predict_classes", lambda *_: np.array([2, 1, 3, 4, 5, 5]))
  training = ln.Training(None, {}, None, 1, {"test": data}, 1, 1)
  fit = ln.Fit("net", config, None, [], None, training)
  assert end_to_end.strip_error(config, fit) == pytest.approx(1 / 3)


def test_the_crossing_and_both_margins_are_of_the_repetitions():
  pipeline = np.array([[0.4, 0.2, 0.15], [0.4, 0.2, 0.15]])
  whole = np.array([[0.8, 0.3, 0.05], [0.9, 0.3, 0.05]])
  report = end_to_end.report([10, 100, 1000], pipeline, whole)
  first, last, place = report.claims
  assert first.ours == pytest.approx(0.45) and last.ours == pytest.approx(0.1)
  assert place.ours == pytest.approx(10**2.5) and place.verdict == "pass"
  assert "316" in report.pictures[0].caption
  none = end_to_end.report([10, 100, 1000], pipeline, pipeline + 0.1)
  assert none.claims[2].verdict == "fail" and "do not cross" in none.pictures[0].caption


def test_every_image_is_asked_once_and_the_seed_draws_the_images(monkeypatch):
  replace_digits(monkeypatch)
  config = multi_task.Config(examples=16, held_out=5)
  made, other = (multi_task.task(config, seed) for seed in (0, 1))
  assert made.train["number"].tolist() == list(range(16))
  assert made.train["answers"].shape == (16, 8) and len(made.evaluate["test"]["image"]) == 5
  assert (made.train["image"] != other.train["image"]).any()


def test_gains_are_over_nets_of_as_many_units_in_all_or_each():
  sizes = (1, 2, 4, 8, 16, 32, 64, 128, 256)
  alone = {
    multi_task.member(size, 1, first=number): np.array([0.3, 0.5]) / size + number / 100
    for size in sizes
    for number in range(8)
  }
  trunks = {
    multi_task.member(units, tasks): np.array([0.01, 0.02])
    for units in multi_task.WIDTHS
    for tasks in multi_task.COUNTS
  }
  more = {multi_task.member(256, 8, labels): np.array([1, 2]) / labels for labels in (4, 8)}
  errors = alone | trunks | more
  gains = multi_task.gain(errors, 16, 4, True)
  np.testing.assert_allclose(gains, [0.075 + 0.015 - 0.01, 0.125 + 0.015 - 0.02])
  gains = multi_task.gain(errors, 16, 4, False)
  np.testing.assert_allclose(gains, [0.3 / 16 + 0.005, 0.5 / 16 - 0.005])
  assert np.isnan(multi_task.gain(errors, 4, 8, True)).all()
  report = multi_task.report(errors)
  assert report.claims[-1].ours == pytest.approx(1.5 / 8) and report.claims[-1].verdict == "fail"


def test_multi_task_learns_all_sizes_in_one_program(monkeypatch):
  replace_sets(monkeypatch, size=28)
  monkeypatch.setattr(multi_task, "WIDTHS", (2, 4))
  monkeypatch.setattr(multi_task, "COUNTS", (2, 8))
  monkeypatch.setattr(multi_task, "WIDEST", 4)
  config = multi_task.Config(examples=16, repeats=2)
  groups = []

  class OneGroupLab(UntrainedLab):
    def compare(self, name, configs, training, **asked):
      made = by_program(configs, lambda config: training(config, 0))
      groups.append(len(made))
      return super().compare(name, configs, training, **asked)

  report = multi_task.run(config, OneGroupLab())
  assert groups == [1, 1] and len(report.claims) == 4
  assert [picture.name for picture in report.pictures] == ["surface"]
