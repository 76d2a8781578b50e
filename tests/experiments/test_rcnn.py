"""R-CNN as an experiment: what the network learns from, and what the report is made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.vision import rcnn
from research.analysis.detection import Found, Objects
from research.analysis.warped_regions import regions_of
from research.models.region_net import RegionNet

BOX = np.array([[0, 0, 20, 20], [30, 30, 50, 44]])
TRUTH = Objects(np.array([0, 1]), np.array([3, 7]), BOX)
IMAGES = np.zeros((2, 64, 64), np.uint8)


def regions():
  near = [BOX[:1] + np.array([0, 0, 0, 10]), BOX[1:] + 5]  # overlaps of 2/3 and 0.41
  return regions_of(IMAGES, TRUTH, near, rcnn.CLASSES, with_truth=True)


def test_fine_tuning_begins_with_the_trained_layers_and_learns_objects_from_an_overlap_of_half():
  own, config = regions(), rcnn.Config(steps=2, batch_size=8)
  whole = RegionNet(rcnn.CLASSES - 1).init(jax.random.key(3), jnp.zeros((1, 24, 24, 1)))["params"]
  training = rcnn.fine_tuning(config, 0, whole, {"train": own, "test": own})
  assert training.data["label"].tolist() == [3, 3, 7, 0]
  assert training.sampler.batch_size == 8
  drawn = training.sampler.indices(
    jax.random.key(0),
    training.sampler.facts(jax.tree.map(jnp.asarray, training.data)),
    jnp.arange(8),
  )
  assert (training.data["label"][np.asarray(drawn)] > 0).sum() == 2
  begun = jax.jit(training.learner.init)(config, jax.random.key(0)).params
  assert begun.keys() == whole.keys()
  for layer in whole.keys() - {"logits"}:
    np.testing.assert_array_equal(begun[layer]["kernel"], whole[layer]["kernel"])
  assert begun["logits"]["kernel"].shape[1] == whole["logits"]["kernel"].shape[1] + 1


@pytest.mark.fast
def test_whole_digits_have_the_rim_that_warped_ones_have(monkeypatch):
  image = np.zeros((3, 28, 28, 1), np.uint8)
  image[:, 4:24, 4:24] = 1
  part = {"image": image, "label": np.arange(3)}
  splits = type("Splits", (), {"train": part, "test": part})
  monkeypatch.setattr(rcnn.ln.sets, "load", lambda name: splits)
  cut = rcnn.digits(rcnn.Config(), 0).train["image"]
  assert cut.shape == (3, 24, 24, 1) and cut[:, 2:-2, 2:-2].all() and cut.sum() == image.sum()


@pytest.mark.fast
def test_each_part_is_missed_where_the_whole_is_better():
  right = Found(*TRUTH, np.array([2.0, 1.0]))
  beside = right._replace(box=BOX + 2)  # overlaps of 0.68 and 0.60
  found = dict.fromkeys((rcnn.FULL, *rcnn.PARTS), right) | {rcnn.UNMOVED: beside}
  report = rcnn.report(found, TRUTH, regions(), IMAGES)
  ours = {claim.what: claim.ours for claim in report.claims}
  assert ours["mAP@0.5"] == 1 and ours["recall of the proposals at an overlap of 0.5"] == 1
  gains = {what: value for what, value in ours.items() if "less" in what}
  assert len(gains) == len(rcnn.PARTS)
  assert [value for what, value in gains.items() if "regression" in what] == [1]
  assert sum(gains.values()) == 1
  assert [picture.name for picture in report.pictures] == ["detections", "precision_recall"]
