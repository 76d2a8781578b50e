import types

import numpy as np
import pytest

from experiments.vision import segnet

pytestmark = pytest.mark.fast


def test_boundaries_are_compared_with_each_other_decoder():
  scores = {"indices": 0.9, "bilinear": 0.8, "unet": 0.95}
  fits = {
    name: types.SimpleNamespace(last=lambda metric, score=score: score)
    for name, score in scores.items()
  }
  iou, sharper, kept = segnet.found(fits)
  assert (iou.ours, iou.verdict) == (0.9, "pass")
  assert sharper.ours == pytest.approx(0.1) and kept.ours == pytest.approx(0.05)


def test_the_figures_show_scenes_and_classes():
  rng = np.random.default_rng(0)
  mask = rng.integers(0, segnet.CLASSES, (7, 8, 8))
  test = {"image": np.zeros((7, 8, 8, 3), np.uint8), "mask": mask}
  assert "scene, truth, unet" in str(segnet.examples(test, {"unet": mask}).figure._supxlabel)
  axes = segnet.by_class(mask, {"unet": mask}).figure.axes[0]
  assert [bar.get_height() for bar in axes.patches] == [100] * segnet.CLASSES
