"""Reports at settings that nobody would choose: they are made, and their figures can be read."""

import warnings

import pytest

from research.figures.rendering import as_narrow_svg, as_svg
from tests.fixtures import far_off, legible

LARGEST = 600_000  # bytes of a figure


@pytest.mark.slow
@pytest.mark.parametrize("name", far_off.NAMES)
def test_a_report_stands_at_far_off_settings(monkeypatch, tmp_path, name):
  report = far_off.report(monkeypatch, tmp_path, name)
  with warnings.catch_warnings():
    warnings.filterwarnings("error", module="matplotlib")
    for picture in report.pictures:
      assert picture.caption.strip()
      assert not legible.problems(picture.figure), picture.name
      if picture.file_name.endswith(".png"):
        drawings = as_svg(picture.figure), as_narrow_svg(picture.figure)
        assert all(drawing is None or len(drawing) < LARGEST for drawing in drawings)
