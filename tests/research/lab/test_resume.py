"""Checkpoints against the fit that is to go on from them."""

import pytest

from research.errors import UserError
from research.lab.recorder import About
from research.lab.resume import compared
from research.store.checkpoint import Snapshot

pytestmark = pytest.mark.fast

NOW = {"steps": 40, "settings": "a", "task": "b"}
ABOUT = About(True, 0, 0, {}, None, NOW)


def test_a_checkpoint_is_compared_by_its_fingerprint():
  at = lambda step, **changes: Snapshot(step, {}, ABOUT._replace(**changes)._asdict())
  assert compared("train", at(40), NOW) == (True, True)
  assert compared("train", at(20, finished=False), NOW) == (False, True)
  other_data = {**NOW, "task": "c"}
  assert compared("train", at(20, finished=False), other_data) == (False, False)
  with pytest.raises(UserError, match="at step 40 already"):
    compared("train", at(40), {**NOW, "settings": "c"})


def test_a_checkpoint_from_before_fingerprints_is_taken_for_the_same_fit():
  old = {name: value for name, value in ABOUT._asdict().items() if name != "fingerprint"}
  assert compared("train", Snapshot(40, {}, old), NOW) == (True, True)
