"""Show and Tell: which sentences pass its claims, and which do not."""

import numpy as np
import pytest

from experiments.vision import show_and_tell
from experiments.vision.show_and_tell import BEAM, BLIND, GREEDY
from research.analysis.spoken_scenes import scenes_with_sentences
from research.data import captions
from research.data.captions import Captioned, Thing

pytestmark = pytest.mark.fast


@pytest.fixture(scope="module")
def scenes():
  rng = np.random.default_rng(0)
  things = []
  for _ in range(200):
    quarters = sorted(rng.choice(4, rng.integers(2, 4), replace=False))
    things.append([Thing(int(rng.integers(14)), int(rng.integers(8)), int(q)) for q in quarters])
  sentences = [captions.references(own, [number]) for number, own in enumerate(things)]
  return Captioned(np.zeros((200, 8, 8, 3), np.uint8), things, sentences)


def verdicts(scenes, change):
  true = [sentences[0] for sentences in scenes.references]
  said = {BEAM: true, GREEDY: true, BLIND: [*true[100:], *true[:100]]} | change(true)
  return [claim.verdict for claim in show_and_tell.claims(said, scenes, 0.9)]


def test_true_sentences_pass(scenes):
  assert verdicts(scenes, lambda true: {}) == ["pass"] * 5


def test_sentences_of_other_scenes_fail_but_for_the_floor(scenes):
  others = lambda true: {BEAM: [*true[50:], *true[:50]]}
  assert verdicts(scenes, others) == ["fail", "fail", "pass", "pass", "fail"]


def test_a_floor_of_nothing_is_none(scenes):
  assert verdicts(scenes, lambda true: {BLIND: [["nothing"]] * 200})[3] == "fail"


def test_the_figure_shows_the_first_scenes_and_then_mistakes(scenes):
  true = [sentences[0] for sentences in scenes.references]
  tiles = lambda said: [
    axes.texts[0].get_text()
    for axes in scenes_with_sentences(scenes, said).figure.axes
    if axes.texts
  ]
  assert len(tiles(true)) == 4
  wrong = [*true[:10], ["nothing"], *true[11:]]
  assert len(tiles(wrong)) == 5 and tiles(wrong)[4].startswith("nothing")
