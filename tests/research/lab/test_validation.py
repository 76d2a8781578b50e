"""A share of the training set is held out, by label and seed, and nothing of it is learnt from."""

import numpy as np
import pytest

from research.data import sampling
from research.errors import UserError
from research.lab.validation import with_validation
from research.training import Training

pytestmark = pytest.mark.fast

RNG = np.random.default_rng(0)
LABELS = np.repeat([0, 1, 2], [50, 30, 20]).astype(np.int32)
DATA = {
  "image": np.arange(100, dtype=np.float32)[:, None] * [1, 2],
  "label": RNG.permutation(LABELS),
}
TEST = {"image": -DATA["image"][:7], "label": DATA["label"][:7]}


def made(**changes):
  training = Training(
    None, DATA, sampling.by_epoch(10), 40, {"test": TEST}, 10, 5, best="test/accuracy"
  )
  return training._replace(**changes)


def numbers(data):
  return data["image"][:, 0].astype(int).tolist()


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.99])
def test_the_parts_are_disjoint_whole_and_in_order(share):
  after = with_validation(made(), share, 3)
  kept, held_out = numbers(after.data), numbers(after.evaluate["validation"])
  assert sorted(kept + held_out) == list(range(100)) and len(held_out) == round(100 * share)
  assert kept == sorted(kept) and held_out == sorted(held_out)
  for part in (after.data, after.evaluate["validation"]):
    np.testing.assert_array_equal(part["label"], DATA["label"][numbers(part)])
  assert after.evaluate["test"] is TEST and list(after.evaluate) == ["validation", "test"]
  assert after.best == "validation/accuracy"
  same = ("learner", "sampler", "steps", "evaluate_every", "log_every")
  assert [getattr(after, name) for name in same] == [getattr(made(), name) for name in same]


def test_it_is_drawn_by_label_and_by_the_seed():
  draws = [with_validation(made(), 0.1, seed).evaluate["validation"] for seed in (0, 0, 1)]
  assert [np.bincount(each["label"]).tolist() for each in draws] == [[5, 3, 2]] * 3
  assert numbers(draws[0]) == numbers(draws[1]) != numbers(draws[2])


@pytest.mark.parametrize(
  "field", [{}, {"label": DATA["image"]}, {"label": DATA["image"][:, 0]}, {"target": DATA["label"]}]
)
def test_without_one_label_each_it_is_drawn_plainly(field):
  after = with_validation(made(data={"image": DATA["image"]} | field), 0.2, 0)
  held_out = numbers(after.evaluate["validation"])
  assert len(held_out) == 20 and max(np.diff(held_out)) > 1


def test_a_set_of_training_examples_loses_those_that_are_held_out():
  few = {name: array[20:60].copy() for name, array in DATA.items()}
  images = {"image": DATA["image"]}
  mixed = {name: np.concatenate([array, TEST[name]]) for name, array in few.items()}
  others = {"shape": {"image": DATA["image"][:, :1]}, "names": {"episode": np.arange(3)}}
  sets = {"few": few, "all": DATA, "images": images, "mixed": mixed, **others}
  after = with_validation(made(evaluate=sets), 0.3, 0)
  kept = numbers(after.data)
  assert numbers(after.evaluate["few"]) == [number for number in kept if 20 <= number < 60]
  assert numbers(after.evaluate["all"]) == numbers(after.evaluate["images"]) == kept
  assert all(after.evaluate[name] is sets[name] for name in ("mixed", *others))


def test_of_batches_that_continue_each_other_the_last_are_held_out():
  after = with_validation(made(sampler=sampling.in_order(20)), 0.35, 3)
  assert numbers(after.data) == list(range(60))
  assert numbers(after.evaluate["validation"]) == list(range(60, 100))


@pytest.mark.parametrize(
  ("changes", "share", "words"),
  [
    ({"data": {}}, 0.1, "--validation=0.1 .* its own actions"),
    ({"evaluate": {"validation": TEST}}, 0.1, "--validation=0.1: .* validation set of its own"),
    ({"sampler": sampling.in_order(100)}, 0.1, "--validation=0.1: .* from all its examples"),
    ({"sampler": sampling.in_order(20)}, 0.05, "--validation=0.05 of 5 batches .* empty"),
    ({}, 0.001, "--validation=0.001 of 100 .* empty"),
    ({}, 1.0, "--validation=1 of 100 .* empty"),
  ],
)
def test_where_nothing_can_be_held_out_one_line_says_why(changes, share, words):
  with pytest.raises(UserError, match=words) as caught:
    with_validation(made(**changes), share, 0)
  assert "\n" not in str(caught.value)
