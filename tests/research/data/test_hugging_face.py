"""Data sets that Hugging Face's datasets saved on disk, here written by pyarrow."""

import numpy as np
import pytest

from research.data import sets
from tests.fixtures.own_files import COLOURS, FEATURES, png, refusal, saved_set

pytestmark = pytest.mark.fast


def test_images_labels_and_names_are_read_over_all_files(tmp_path):
  name = f"hf:{saved_set(tmp_path / 'a', [0, 1, 2] * 10)}"
  splits, spec = sets.load(name), sets.spec(name)
  assert spec == sets.Spec(name, (5, 6, 3), 3, 27, 3, tuple(COLOURS))
  colours = np.array(list(COLOURS.values()), np.uint8)
  for part in (splits.train, splits.test):
    np.testing.assert_array_equal(part["image"][:, 0, 0], colours[part["label"]])
  assert set(sets.digests(name)) == {
    "dataset_info.json",
    "state.json",
    "data-00000-of-00002.arrow",
    "data-00001-of-00002.arrow",
  }


def test_parts_of_a_dictionary_are_its_own(tmp_path):
  (tmp_path / "a").mkdir()
  (tmp_path / "a/dataset_dict.json").write_text('{"splits": ["train", "validation", "test"]}')
  for count, part in ((9, "train"), (6, "validation"), (3, "test")):
    saved_set(tmp_path / "a" / part, [0, 1, 2] * (count // 3))
  parts = sets.load(f"hf:{tmp_path / 'a'}")
  assert [len(part["label"]) for part in parts] == [9, 6, 3]


def test_missing_labels_are_left_out_and_classes_without_examples_have_no_name(tmp_path):
  name = f"hf:{saved_set(tmp_path / 'a', [0, 2, None, -1] * 5)}"
  assert sets.spec(name).class_names == ("apple", "plum")
  assert len(sets.load(name).train["label"]) == 9


def test_size_and_label_may_be_asked_for(tmp_path):
  two = {**FEATURES, "coarse": {"names": ["a", "b"], "_type": "ClassLabel"}}
  folder = saved_set(tmp_path / "a", [0, 1, 2] * 4, two, coarse=[0, 1, 1] * 4)
  assert sets.spec(f"hf:{folder}").classes == 3  # the one called label
  spec = sets.spec(f"hf:{folder}@coarse,4x3x1")
  assert (spec.image_shape, spec.class_names) == ((4, 3, 1), ("a", "b"))
  assert "no feature 'colour'; there are image, label" in refusal(f"hf:{folder}@colour")
  assert "give a size, the label's feature, or both" in refusal(f"hf:{folder}@4x3,5x5")


def test_what_is_no_such_set_is_refused(tmp_path):
  (tmp_path / "empty").mkdir()
  assert "give a folder that save_to_disk wrote" in refusal(f"hf:{tmp_path / 'empty'}")
  folder = saved_set(tmp_path / "a", [0, 1] * 3)
  (folder / "data-00001-of-00002.arrow").write_bytes(b"")
  assert "data-00001-of-00002.arrow cannot be read as an Arrow stream" in refusal(f"hf:{folder}")
  folder = saved_set(tmp_path / "b", [0, 1] * 3, {"text": {"_type": "Value"}})
  assert "no feature of type Image, only text" in refusal(f"hf:{folder}")
  folder = saved_set(tmp_path / "c", [0, 1] * 3)
  (folder / "state.json").write_text('{"_data_files": [{"filename": "../a/x.arrow"}]}')
  assert "'../a/x.arrow', which lies outside of it" in refusal(f"hf:{folder}")
  (folder / "state.json").write_text("{")
  assert "state.json cannot be read" in refusal(f"hf:{folder}")
  (tmp_path / "d").mkdir()
  (tmp_path / "d/dataset_dict.json").write_text('{"splits": ["dev"]}')
  assert "no part called train; it has dev" in refusal(f"hf:{tmp_path / 'd'}")


def test_an_image_that_is_missing_or_broken_is_named_by_its_row(tmp_path):
  rows = [{"bytes": png(0), "path": None}, {"bytes": b"no image", "path": None}] * 3
  folder = saved_set(tmp_path / "a", [0, 1] * 3, shards=1, image=rows)
  assert "row 1 of image is no image that can be read" in refusal(f"hf:{folder}")
  rows[1] = {"bytes": None, "path": "/elsewhere/1.png"}
  folder = saved_set(tmp_path / "b", [0, 1] * 3, shards=1, image=rows)
  assert "row 1 of image holds no image, or only the path of one" in refusal(f"hf:{folder}")
