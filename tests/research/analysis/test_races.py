"""The claims of a race: which are made, and of what."""

from types import SimpleNamespace

import pytest

from research.analysis.races import LAST, Published, losses_at_end, race_claims
from research.report import claims
from research.training import Fit

pytestmark = pytest.mark.fast


def fit(loss, accuracy):
  row = {"train/loss_after": loss, "test/accuracy": accuracy}
  history = [{"step": 100, "train/loss_after": 9.0}, {"step": 100 + LAST, **row}]
  return Fit("race", None, None, history, lambda: None, SimpleNamespace(log_every=100))


RACE = {"slow": [fit(2.0, 0.5), fit(4.0, 0.7)], "fast": [fit(1.0, 0.9), fit(1.0, 0.9)]}


def test_losses_are_means_of_the_last_batches_and_the_seeds():
  assert losses_at_end(RACE) == {"slow": 3.0, "fast": 1.0}


def test_claims_are_made_of_what_the_source_has():
  source = {"slow": Published(2.5, words="about 2.5"), "fast": Published(1.2, 0.91)}
  slow, fast, accuracy = race_claims(
    claims("O03"), RACE, source, loss_slack=0.2, accuracy_slack=0.01
  )
  assert (slow.source, slow.ours, slow.verdict) == ("about 2.5", 3.0, "pass")
  assert (fast.source, fast.ours, fast.verdict) == ("1.2", 1.0, "pass")
  assert (accuracy.what, accuracy.source) == ("fast: test accuracy", "91 %")
  assert accuracy.ours == pytest.approx(0.9) and accuracy.verdict == "pass"
  (late,) = race_claims(
    claims("O03"), RACE, {"fast": Published(1.3)}, loss_slack=0.2, accuracy_slack=0
  )
  assert late.verdict == "fail"
