"""A film on its way from a report to the page of the gallery."""

import base64
import json
import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from research.errors import UserError
from research.figures.policies import film
from research.lab import registry
from research.lab.experiment import single_fit
from research.report import Picture, Report
from research.reporting import docs_gallery
from tests.fixtures import tiny_experiment
from tests.fixtures.tiny_experiment import launched

pytestmark = pytest.mark.fast

PICTURES = np.stack([np.full((4, 6, 3), shade) for shade in (0.0, 0.5, 1.0)])


def report(config, fit):
  return Report(
    tiny_experiment.report(config, fit).claims,
    [
      Picture("curve", Figure(figsize=(1, 1)), "It stands."),
      Picture("policy", film(PICTURES, caption="").figure, "It moves."),
    ],
  )


@pytest.fixture
def cli(monkeypatch, tmp_path, capfd):
  moving = single_fit(tiny_experiment.Config, tiny_experiment.training, report)
  tiny_experiment.install(monkeypatch, tmp_path, tiny_net=moving)
  monkeypatch.setattr("research.cli.main.RESULTS", tmp_path / "RESULTS.md")
  return lambda *arguments: launched(capfd, *arguments)


def frames(path):
  with Image.open(path) as image:
    return image.format, image.n_frames


def test_a_film_is_a_gif_in_the_run_in_its_report_and_in_the_gallery(cli, tmp_path):
  code, out, _ = cli("--verify", "--seeds=1")
  assert code == 0
  (run,) = (tmp_path / "runs" / "tiny_net").iterdir()
  assert frames(run / "figures" / "policy.gif") == ("GIF", 3)
  assert {path.name for path in (run / "figures").iterdir()} == {
    "captions.json",
    "curve.png",
    "curve.svg",
    "policy.gif",
  }
  (listed,) = re.findall(r"^figures: (.*)$", out, re.MULTILINE)
  assert listed.split() == [
    f"{run.relative_to(tmp_path)}/figures/{f}" for f in ("curve.png", "policy.gif")
  ]
  page = (run / "report.html").read_text()
  kinds = dict(re.findall(r'src="data:image/([\w+]+);base64,([^"]+)"', page))
  assert base64.b64decode(kinds["gif"]) == (run / "figures" / "policy.gif").read_bytes()
  assert base64.b64decode(kinds["svg+xml"]) == (run / "figures" / "curve.svg").read_bytes()

  (page,) = (tmp_path / "docs" / "gallery").glob("*.md")
  links = re.findall(r"!\[\w+\]\((.*)\)", page.read_text())
  assert links == ["tiny_net/curve.png", "tiny_net/policy.gif"]
  copy = page.parent / "tiny_net" / "policy.gif"
  assert copy.read_bytes() == (run / "figures" / "policy.gif").read_bytes()


def test_a_picture_that_became_a_film_leaves_no_still_behind(cli, tmp_path):
  cli("--verify", "--seeds=1")
  (run,) = (tmp_path / "runs" / "tiny_net").iterdir()
  own = tmp_path / "docs" / "gallery" / "tiny_net"
  (own / "policy.png").write_bytes(b"an older one")
  docs_gallery.renew(own.parent, registry.catalogue()["tiny_net"], [run])
  assert not (own / "policy.png").exists() and (own / "policy.gif").exists()
  assert list(json.loads((own / "captions.json").read_text())) == ["curve", "policy"]


def test_an_experiment_without_pictures_has_no_place_in_the_gallery(cli, tmp_path):
  cli("--verify", "--seeds=1")
  (run,) = (tmp_path / "runs" / "tiny_net").iterdir()
  gallery = tmp_path / "docs" / "gallery"
  (run / "figures" / "captions.json").write_text("{}")
  docs_gallery.renew(gallery, registry.catalogue()["tiny_net"], [run])
  (page,) = gallery.iterdir()
  assert "tiny_net" not in page.read_text()


def test_a_caption_without_its_picture_is_one_line(tmp_path):
  (tmp_path / "captions.json").write_text('{"lost": "It was here."}')
  with pytest.raises(UserError, match=r"captions\.json names lost"):
    docs_gallery._picture(tmp_path, "lost")
