"""Texts of the user's own, as editors and other systems write them."""

import pytest

from research.data.text.language import text_of_file
from research.errors import UserError

pytestmark = pytest.mark.fast


def test_marks_and_line_ends_are_no_characters_of_the_text(tmp_path):
  file = tmp_path / "odd.txt"
  long = "long " * 100_000
  file.write_bytes(b"\xef\xbb\xbf" + f"😀 e\u0301\r\n{long}\r\nend".encode())
  assert text_of_file(str(file)) == f"😀 \u00e9\n{long}\nend"


@pytest.mark.parametrize(
  ("content", "said"), [(b"", "is empty"), (b"\xef\xbb\xbf\r\n", "is empty"), (b"\xff\0", "UTF-8")]
)
def test_what_is_no_text_is_refused_by_its_name(tmp_path, content, said):
  file = tmp_path / "odd.txt"
  file.write_bytes(content)
  with pytest.raises(UserError, match=rf"--text=.*odd.txt.*{said}"):
    text_of_file(str(file))


def test_a_file_that_is_not_there_is_refused(tmp_path):
  with pytest.raises(UserError, match=r"--text=.* cannot be read"):
    text_of_file(str(tmp_path / "nothing.txt"))
