"""Early stopping, coarse-to-fine refinement and population based training, on scores by hand."""

import math

import pytest

from research.sweep import pbt, refine, stopping
from research.sweep.space import Choice, Range, Space
from research.sweep.stopping import Progress
from tests.fixtures.tiny_experiment import Config

pytestmark = pytest.mark.fast

RATE = Range("log", 1e-4, 1.0)
SPACE = Space(Config(), {"learning_rate": RATE})


def trials(*scores, status="running"):
  return [Progress(number, own, status) for number, own in enumerate(scores)]


def test_rungs_divide_the_length_by_powers_of_three():
  assert stopping.rungs(81, most=99) == [1, 3, 9, 27]
  assert stopping.rungs(50, most=2) == [6, 17]
  assert stopping.rungs(2, most=9) == [1]


def test_asha_keeps_the_best_third_of_those_that_came_so_far():
  rule = stopping.asha([1, 3])
  first = trials([0.5], [0.4])
  assert [rule.verdict(first, trial) for trial in first] == ["pause", "pause"]  # a third of 2 is 0
  three = trials([0.5], [0.4], [0.6])
  assert rule.verdict(three, three[2]) == "go" and rule.verdict(three, three[0]) == "pause"
  between = trials([0.5, 0.1], [0.4], [0.6])
  assert rule.verdict(between, between[0]) == "go"  # nothing is judged between rungs


def test_asha_promotes_a_paused_trial_when_others_turn_out_worse():
  rule = stopping.asha([1, 3])
  paused = trials([0.5], [0.4], status="paused")
  assert rule.promoted(paused) is None
  assert rule.promoted([*paused, Progress(2, [0.1], "paused")]) == 0
  lost = [Progress(0, [-math.inf], "diverged"), *paused[1:], Progress(2, [0.1], "paused")]
  assert rule.promoted(lost) == 1


def test_asha_promotes_from_the_highest_rung_first():
  paused = trials([0.5] * 3, [0.4] * 3, [0.3] * 3, [0.9], [0.1], [0.1], status="paused")
  rule = stopping.asha([1, 3])
  assert rule.promoted(paused) == 0
  assert rule.promoted([paused[0]._replace(status="running"), *paused[1:]]) == 3


def test_halving_waits_for_all_of_a_rung():
  rule = stopping.in_brackets([(range(3), [1])])
  two = trials([0.5], [0.4], status="paused")
  assert rule.promoted(two) is None
  assert rule.promoted([*two, Progress(2, [0.7], "paused")]) == 2
  assert rule.verdict(two, two[0]) == "pause"


def test_the_median_rule_compares_with_averages_of_finished_trials():
  others = [[0.5] * 4] * 6

  def rule(own, status="finished"):
    trial = Progress(6, own, "running")
    made = stopping.make("median", 10, 7)
    assert made.promoted([trial]) is None
    return made.verdict([*trials(*others, status=status), trial], trial)

  assert {rule([0.1] * 4, status) for status in ("running", "stopped", "diverged")} == {"go"}
  assert rule([0.1, 0.2, 0.3, 0.4]) == "stop" and rule([0.1, 0.6, 0.3, 0.4]) == "go"
  assert rule([0.1]) == "go"  # the grace at the start


def refined(*finished):
  ranked = sorted(finished, key=lambda pair: -pair[1])
  space, decisions = refine.refined(
    SPACE, [{"learning_rate": RATE.value(place)} for place, _ in ranked]
  )
  after = space.distributions["learning_rate"]
  return RATE.unit(after.low), RATE.unit(after.high), decisions["learning_rate"].split()[0]


def test_a_round_lies_between_the_worse_neighbours_of_the_best():
  low, high, word = refined((0.1, 0), (0.3, 1), (0.4, 3), (0.5, 4), (0.55, 5), (0.7, 2), (0.9, 0))
  assert word == "narrowed" and (low, high) == pytest.approx((0.3, 0.7))


def test_a_round_keeps_the_untried_part_beyond_its_best_trials():
  low, high, word = refined((0.05, 0), (0.6, 1), (0.7, 3), (0.72, 4), (0.8, 5))
  assert word == "narrowed" and low == pytest.approx(0.6) and high == pytest.approx(1.0)


def test_a_worse_trial_between_the_best_bounds_nothing():
  low, high, _ = refined((0.3, 5), (0.5, 4), (0.7, 3), (0.4, 1), (0.9, 0))
  assert (low, high) == pytest.approx((0.2, 0.7))
  low, high, _ = refined((0.3, 5), (0.5, 4), (0.7, 3), (0.6, 1), (0.1, 0))
  assert (low, high) == pytest.approx((0.3, 0.8))


def test_a_round_is_at_least_a_tenth_and_at_most_half_of_the_one_before():
  low, high, _ = refined((0.49, 1), (0.5, 5), (0.505, 4), (0.51, 3), (0.52, 2))
  assert (low, high) == pytest.approx((0.455, 0.555))
  low, high, _ = refined((0.2, 5), (0.5, 4), (0.8, 3))
  assert (low, high) == pytest.approx((0.2, 0.7)) and low <= 0.2


def test_a_best_trial_at_the_edge_moves_the_range_beyond_it():
  low, high, word = refined((0.2, 0), (0.5, 1), (0.7, 2), (0.8, 4), (0.97, 5))
  assert word == "extended" and high > 1.05 and low > 0.5


def test_a_choice_is_never_refined():
  space = SPACE._replace(distributions={"width": Choice((3, 5))})
  assert refine.refined(space, [{"width": 3}]) == (space, {})


def test_the_worst_fifth_copies_the_best_fifth_and_varies_it():
  values = [{"learning_rate": 0.01 * (1 + member)} for member in range(10)]
  scores = {member: float(member) for member in range(10)}
  copies = pbt.copies(SPACE, 0, 5, scores, values)
  assert [copy.to for copy in copies] == [0, 1] and {copy.source for copy in copies} <= {8, 9}
  for copy in copies:
    factor = copy.values["learning_rate"] / values[copy.source]["learning_rate"]
    assert factor == pytest.approx(0.8) or factor == pytest.approx(1.2)
  assert copies == pbt.copies(SPACE, 0, 5, scores, values)
  assert copies != pbt.copies(SPACE, 0, 6, scores, values)


def test_perturbed_values_stay_in_the_range_and_diverged_members_count_as_worst():
  values = [{"learning_rate": 1.0}] * 5
  scores = {0: -math.inf, 1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4}
  for interval in range(20):
    (copy,) = pbt.copies(SPACE, 0, interval, scores, values)
    assert copy.to == 0 and copy.source == 4 and 1e-4 <= copy.values["learning_rate"] <= 1.0
  oneminus = Range("oneminus", 0.9, 0.999)
  assert pbt.perturbed(oneminus, 0.99, 1.2) == pytest.approx(1 - 0.01 / 1.2)


@pytest.mark.parametrize(
  ("intervals", "compared"),
  [
    (100, [*range(10, 100, 10)]),
    (50, [*range(5, 50, 5)]),
    (25, [*range(2, 25, 2)]),
    (10, [*range(1, 10)]),
    (3, [1, 2]),
    (1, []),
  ],
)
def test_members_are_compared_ten_times_in_a_training_and_never_at_its_end(intervals, compared):
  assert [n for n in range(1, intervals + 1) if pbt.is_ready(n, intervals)] == compared
