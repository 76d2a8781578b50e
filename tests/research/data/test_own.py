"""Data sets of the user's own by folder:, npz: and idx:, and what is refused of them."""

import gzip

import numpy as np
import PIL.Image
import pytest

from research.data import idx, sets
from tests.fixtures.own_files import arrays, image_folder, refusal

pytestmark = pytest.mark.fast


def test_sub_folders_are_classes_and_a_tenth_is_the_test_part(tmp_path):
  name = f"folder:{image_folder(tmp_path / 'a', examples=10)}"
  splits, spec = sets.load(name), sets.spec(name)
  assert spec == sets.Spec(name, (10, 12, 3), 3, 27, 3, ("apple", "lime", "plum"))
  assert splits.train["image"].shape == (27, 10, 12, 3) and splits.train["image"].dtype == np.uint8
  assert sorted(splits.test["label"]) == [0, 1, 2]  # one of each: drawn class by class
  assert not np.all(np.diff(splits.train["label"]) >= 0)  # not sorted by class
  reds = splits.train["image"][splits.train["label"] == 0].mean(axis=(0, 1, 2))
  np.testing.assert_allclose(reds, (200, 40, 40), atol=5)
  again = sets.load(name)
  np.testing.assert_array_equal(again.train["image"], splits.train["image"])


def test_train_and_test_folders_are_the_parts(tmp_path):
  name = f"folder:{image_folder(tmp_path / 'a', parts=('train', 'val', 'test'))}"
  assert [len(part["label"]) for part in sets.load(name)] == [18, 18, 18]
  name = f"folder:{image_folder(tmp_path / 'b', parts=('train', 'val'))}"
  assert [len(part["label"]) for part in sets.load(name)] == [18, 0, 18]


def test_sizes_are_the_median_or_what_is_asked_for(tmp_path):
  image_folder(tmp_path / "a" / "train", size=(200, 100))
  image_folder(tmp_path / "a" / "test", size=(30, 30))
  assert sets.spec(f"folder:{tmp_path / 'a'}").image_shape == (200, 100, 3)
  image_folder(tmp_path / "b", size=(200, 100))
  grey = image_folder(tmp_path / "c", size=(100, 100), examples=1) / "apple" / "0.png"
  grey.rename(tmp_path / "b" / "apple" / "0.png")
  assert sets.spec(f"folder:{tmp_path / 'b'}").image_shape == (64, 32, 3)
  assert sets.spec(f"folder:{tmp_path / 'b'}@8x9").image_shape == (8, 9, 3)
  assert sets.spec(f"folder:{tmp_path / 'b'}@8x9x1").image_shape == (8, 9, 1)
  assert "is no size" in refusal(f"folder:{tmp_path / 'b'}@8")


def test_grey_images_stay_grey(tmp_path):
  image_folder(tmp_path, size=(4, 4), colours={"day": (200,) * 3, "night": (20,) * 3})
  for file in tmp_path.rglob("*.png"):
    PIL.Image.open(file).convert("L").save(file)
  assert sets.spec(f"folder:{tmp_path}").image_shape == (4, 4, 1)


def test_bad_folders_are_refused_with_the_file(tmp_path):
  whole = image_folder(tmp_path / "a")
  assert "there is no" in refusal(f"folder:{tmp_path / 'nothing'}")
  (tmp_path / "file").touch()
  assert "not a folder" in refusal(f"folder:{tmp_path / 'file'}")
  assert "no sub-folders" in refusal(f"folder:{whole / 'apple'}")
  (whole / "melon").mkdir()
  assert "class 'melon' has no image" in refusal(f"folder:{whole}")
  (whole / "melon").rmdir()
  (whole / "lime" / "broken.png").write_bytes(b"")
  assert f"{whole / 'lime' / 'broken.png'} is no image" in refusal(f"folder:{whole}")
  (whole / "lime" / "broken.png").unlink()
  (whole / "plum" / "loop").symlink_to(whole)
  assert "loop is a link to a folder that it lies in" in refusal(f"folder:{whole}")
  (whole / "plum" / "loop").unlink()
  (whole / "plum" / "self.png").symlink_to(whole / "plum" / "self.png")
  assert "self.png cannot be read" in refusal(f"folder:{whole}")
  one = image_folder(tmp_path / "b", colours={"apple": (9, 9, 9)})
  assert "one class only, 'apple'" in refusal(f"folder:{one}")
  little = image_folder(tmp_path / "c", examples=1)
  assert "has none left to learn from" in refusal(f"folder:{little}")
  other = image_folder(tmp_path / "d", parts=("train", "test"))
  (other / "train" / "lime").rename(other / "train" / "limes")
  assert "class 'lime' of the test images has no training image" in refusal(f"folder:{other}")


def test_other_files_are_passed_over_and_said(tmp_path, capsys):
  image_folder(tmp_path)
  (tmp_path / "apple" / "notes.txt").touch()
  (tmp_path / "apple" / ".hidden").touch()
  (tmp_path / "apple" / "more").mkdir()
  (tmp_path / "apple" / "0.png").rename(tmp_path / "apple" / "more" / "0.PNG")
  assert sets.spec(f"folder:{tmp_path}").train_size == 16
  assert "passed over 1 files" in capsys.readouterr().err


@pytest.mark.parametrize(
  "names", ["x_train y_train x_test y_test", "train_images train_labels test_images test_labels"]
)
def test_arrays_by_their_usual_names(tmp_path, names):
  (x, y), (x2, y2) = arrays(30), arrays(9)
  np.savez(tmp_path / "a.npz", **dict(zip(names.split(), (x, y[:, None], x2, y2), strict=True)))
  spec = sets.spec(f"npz:{tmp_path / 'a.npz'}")
  assert spec[1:] == ((6, 5, 1), 3, 30, 9, ())


def test_labels_from_1_with_gaps_as_texts_or_missing(tmp_path, capsys):
  x, y = arrays(30, first=1)
  file, name = tmp_path / "a.npz", f"npz:{tmp_path / 'a.npz'}"
  np.savez(file, image=x, label=y)
  assert sets.spec(name).class_names == ("1", "2", "3")
  assert set(sets.load(name).train["label"]) == {0, 1, 2}
  np.savez(file, image=x, label=y * 10.0)
  assert sets.spec(name).class_names == ("10", "20", "30")
  np.savez(file, image=x, label=np.array(["ä", "b", "c"])[y - 1])
  assert sets.spec(name).class_names == ("b", "c", "ä")
  np.savez(file, image=x, label=np.where(np.arange(30) < 12, -1, y))
  splits = sets.load(name)
  assert len(splits.train["label"]) + len(splits.test["label"]) == 18
  assert "left out 12 of 30 examples without a label, first" in capsys.readouterr().err
  assert set(splits.train["image"][splits.train["label"] == 0].ravel()) == {20}


def test_bad_arrays_are_refused_with_the_row(tmp_path):
  x, y = arrays(30)
  file, name = tmp_path / "a.npz", f"npz:{tmp_path / 'a.npz'}"

  def refused(**content):
    np.savez(file, **content)
    return refusal(name)

  assert "name the arrays" in refused(pictures=x)
  assert "give one label for each of the 30 rows" in refused(x=x, y=y[:-1])
  assert "[30, 6, 5, 2]" in refused(x=np.stack([x, x], axis=-1), y=y)
  assert "a.npz: row 7 of y: label -3 is below 0" in refused(
    x=x, y=np.where(np.arange(30) == 7, -3, y)
  )
  assert "row 4 of y: 1.5 is no class" in refused(x=x, y=np.where(np.arange(30) == 4, 1.5, y))
  assert "row 2 of x is not finite" in refused(
    x=np.where(np.arange(30)[:, None, None] == 2, np.nan, x), y=y
  )
  assert "one class only, 0" in refused(x=x, y=0 * y)
  assert "no example of a part has a label" in refused(x=x, y=0 * y - 1)
  assert "row 5 of y_test: label 9 of the test part" in refused(
    x_train=x, y_train=y, x_test=x, y_test=np.where(np.arange(30) == 5, 9, y)
  )
  assert "no .npz file of plain arrays" in refused(x=np.array([{}]), y=y)
  file.write_bytes(b"")
  assert "it is empty" in refusal(name)
  file.write_bytes(b"PK\3\4" + bytes(100))
  assert "no .npz file" in refusal(name)


def test_idx_files_as_of_mnist_and_transposed(tmp_path):
  (x, y), (x2, y2) = arrays(30, first=1), arrays(9, first=1)
  x[..., 0] = 7
  for part, images, labels in (("train", x, y), ("test", x2, y2)):
    (tmp_path / f"emnist-{part}-images-idx3-ubyte").write_bytes(idx.encode(images))
    packed = gzip.compress(idx.encode(labels))
    (tmp_path / f"emnist-{part}-labels-idx1-ubyte.gz").write_bytes(packed)
  assert sets.spec(f"idx:{tmp_path}")[1:] == ((6, 5, 1), 3, 30, 9, ("1", "2", "3"))
  turned = sets.load(f"idx:{tmp_path}@transposed").train["image"]
  assert turned.shape == (30, 5, 6, 1) and np.all(turned[:, 0] == 7)
  assert "is unknown" in refusal(f"idx:{tmp_path}@sideways")
  (tmp_path / "emnist-test-images-idx3-ubyte").write_bytes(b"\0\0\10\3")
  assert "emnist-test-images-idx3-ubyte cannot be read" in refusal(f"idx:{tmp_path}")
  (tmp_path / "emnist-test-images-idx3-ubyte").unlink()
  assert "lacks *test-images*" in refusal(f"idx:{tmp_path}")


def test_digests_change_with_the_files(tmp_path):
  image_folder(tmp_path)
  before = sets.digests(f"folder:{tmp_path}")
  assert len(before) == 18 and "apple/0.png" in before
  (tmp_path / "apple" / "0.png").write_bytes((tmp_path / "apple" / "1.png").read_bytes())
  now = sets.digests(f"folder:{tmp_path}")
  assert {file for file in before if before[file] != now[file]} == {"apple/0.png"}
  assert sets.digests("mnist") == {} == sets.digests("digits")


def iris(rows=30):
  return ["width,colour,kind"] + [
    f"{i % 3 + 0.1},{'red' if i % 2 else 'blue'},{'abc'[i % 3]}" for i in range(rows)
  ]


def test_a_table_of_numbers_and_texts(tmp_path):
  file = tmp_path / "iris.csv"
  file.write_text("\n".join(iris()))
  splits, spec = sets.load(f"csv:{file}"), sets.spec(f"csv:{file}")
  assert spec[1:] == ((3,), 3, 27, 3, ("a", "b", "c"))
  x = splits.train["image"]
  assert x.dtype == np.float32 and set(x[:, 1:].sum(axis=1)) == {1}  # blue or red
  np.testing.assert_allclose((x[:, 0].mean(), x[:, 0].std()), (0, 1), atol=1e-6)
  assert sorted(set(splits.test["image"][:, 0])) == sorted(set(x[:, 0]))  # by the same scale
  assert sets.spec(f"csv:{file}@colour")[1:3] == ((4,), 2)


def test_tables_with_bom_crlf_semicolons_emoji_and_parts(tmp_path):
  for part in ("train", "valid", "test"):
    lines = [line.replace(",", ";").replace("red", "😀") for line in iris()]
    (tmp_path / f"{part}.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode() + b"\r\n")
  assert [len(part["label"]) for part in sets.load(f"csv:{tmp_path}")] == [30, 30, 30]


def test_parquet_holds_the_same_table(tmp_path):
  import pyarrow
  from pyarrow import parquet

  (tmp_path / "a.csv").write_text("\n".join(iris()))
  rows = [line.split(",") for line in iris()[1:]]
  widths, colours, kinds = zip(*rows, strict=True)
  table = pyarrow.table({"width": [*map(float, widths)], "colour": colours, "kind": kinds})
  parquet.write_table(table, tmp_path / "a.parquet")
  both = [sets.load(f"{form}:{tmp_path / 'a'}.{form}") for form in ("csv", "parquet")]
  for one, other in zip(*both, strict=True):
    np.testing.assert_array_equal(one["image"], other["image"])
    np.testing.assert_array_equal(one["label"], other["label"])


@pytest.mark.parametrize(
  ("line", "text", "refused"),
  [
    (7, "NaN,red,a", "line 7: width is missing ('NaN')"),
    (7, ",red,a", "line 7: width is missing ('')"),
    (7, "1.5,?,a", "line 7: colour is missing"),
    (7, "inf,red,a", "line 7: width is 'inf', and no finite number"),
    (7, "1e99,red,a", "line 7: width is '1e99'"),
    (7, "wide,red,a", "line 7: width is 'wide', and other rows have numbers"),
    (7, "1.5,red", "line 7 has 2 cells, and line 1 names 3 columns"),
    (7, '1.5,"red,a', "is no CSV"),
    (1, "1.5,red,a", "line 1 names the columns, and has '1.5' there"),
    (1, "width,width,kind", "two columns are called 'width'"),
  ],
)
def test_bad_tables_are_refused_with_the_line(tmp_path, line, text, refused):
  lines = iris()
  lines[line - 1] = text
  (tmp_path / "a.csv").write_text("\n".join(lines))
  assert refused in refusal(f"csv:{tmp_path / 'a.csv'}")


def test_other_bad_tables(tmp_path):
  file, name = tmp_path / "a.csv", f"csv:{tmp_path / 'a.csv'}"
  file.write_bytes(b"")
  assert "a.csv is empty" in refusal(name)
  file.write_text("width,kind\n")
  assert "holds no rows" in refusal(name)
  file.write_bytes(b"width,kind\n\xff,1\n")
  assert "not UTF-8" in refusal(name)
  file.write_text("name,kind\n" + "\n".join(f"n{i},{i % 2}" for i in range(101)))
  assert "line 2: name holds 101 different texts, such as 'n0'" in refusal(name)
  file.write_text("\n".join(iris()))
  assert "no column 'species'; there are width, colour, kind" in refusal(f"{name}@species")
  assert "line 2: 0.1 is no class" in refusal(f"{name}@width")
  file.write_text("width,kind\n" + "\n".join(f"{i},a" for i in range(9)))
  assert "one class only, a" in refusal(name)
  (tmp_path / "a.parquet").write_bytes(b"PAR1nothing")
  assert "a.parquet is no Parquet file" in refusal(f"parquet:{tmp_path / 'a.parquet'}")


def test_a_row_without_a_label_is_left_out(tmp_path):
  file = tmp_path / "a.csv"
  file.write_text(
    "width,kind\n" + "\n".join(f"{i},{('1', '2', '', '-1')[i % 4]}" for i in range(40))
  )
  assert sets.spec(f"csv:{file}")[1:] == ((1,), 2, 18, 2, ("1", "2"))


def test_paths_that_cannot_be_looked_at(tmp_path, monkeypatch):
  assert "cannot be looked at" in refusal(f"folder:{'a' * 5000}")
  assert "cannot be looked at" in refusal("folder:~nobody-has-this-name/birds")
  image_folder(tmp_path / "a")

  def forbidden(folder):
    raise PermissionError(13, "Permission denied", str(folder))

  monkeypatch.setattr("os.listdir", forbidden)
  assert "Permission denied" in refusal(f"folder:{tmp_path / 'a'}")


def test_a_thousand_classes(tmp_path):
  _, y = arrays(4000, classes=1000)
  np.savez(tmp_path / "a.npz", x=np.zeros((4000, 2, 2), np.uint8), y=y)
  spec = sets.spec(f"npz:{tmp_path / 'a.npz'}")
  assert spec[1:] == ((2, 2, 1), 1000, 3600, 400, ())
