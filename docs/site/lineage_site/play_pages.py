"""Interactive pages: one HTML file each, which holds its data and its script."""

import hashlib
import json
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import NamedTuple

from lineage_site import ROOT, play_data

_FOLDER = ROOT / "docs/site/play"


class Play(NamedTuple):
  """An interactive page; its text and script are `docs/site/play/NAME.html` and `NAME.js`.

  Attributes:
    name: of its files.
    title: of the page.
    about: what to find out, in a sentence.
    experiments: that it belongs to.
    data: computes what it shows.
  """

  name: str
  title: str
  about: str
  experiments: tuple[str, ...]
  data: Callable[[], play_data.Data]


PAGES = (
  Play(
    "gates",
    "One line, four gates",
    "Set the weights of a threshold unit by hand, and find the gate that it cannot be.",
    ("gates", "perceptron_rule"),
    play_data.gates,
  ),
  Play(
    "optimizer_paths",
    "Six ways down a valley",
    "Change the rates of six update rules on x^2/20 + y^2.",
    ("paths", "update_rules", "optimizer_race"),
    play_data.optimizer_paths,
  ),
  Play(
    "activation_histograms",
    "Initial weights, layer by layer",
    "See what five layers say, by activation and by the size of the initial weights.",
    ("activation_histograms", "depth", "weight_initializers"),
    play_data.activation_histograms,
  ),
  Play(
    "decision_regions",
    "A small net learns",
    "Watch the decision region of nets of one to sixteen units bend round the points.",
    ("mlp_demo", "two_layer_net", "deep_net"),
    play_data.decision_regions,
  ),
  Play(
    "convolution",
    "Convolution by hand",
    "Slide a filter of your own over a digit, with padding and stride.",
    ("convolution_by_hand", "first_layer_filters", "simple_convnet"),
    play_data.convolution,
  ),
  Play(
    "attention",
    "Where attention looks",
    "Pick a date, and see which letters a net read for each that it wrote.",
    ("dates", "reversal", "attention_lessons", "translation"),
    play_data.attention,
  ),
)


def computed(page: Play, folder: Path) -> play_data.Data:
  """A page's data, kept in a folder for builds that follow, until a line of source changes."""
  files = [ROOT / "docs/site/lineage_site/play_data.py"]
  files += [*ROOT.glob("research/**/*.py"), *ROOT.glob("experiments/**/*.py")]
  digest = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(files))).hexdigest()[:16]
  kept = folder / f"{page.name}-{digest}.json"
  if not kept.is_file():
    folder.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(page.data()), encoding="utf-8")
  data: play_data.Data = json.loads(kept.read_text(encoding="utf-8"))
  return data


def html(page: Play, data: play_data.Data) -> str:
  """The whole page, which needs no other file."""
  read = lambda name: (_FOLDER / name).read_text(encoding="utf-8")
  links = [("../play.html", "All pages to play with"), ("../index.html", "Lineage")]
  links += [(f"../learn/experiments/{name}.html", name) for name in page.experiments]
  parts = {
    "title": escape(page.title),
    "style": read("style.css"),
    "links": " ".join(f'<a href="{target}">{escape(text)}</a>' for target, text in links),
    "body": read(f"{page.name}.html"),
    "data": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
    "common": read("common.js"),
    "script": read(f"{page.name}.js"),
  }
  text = read("frame.html")
  for name, part in parts.items():
    text = text.replace("{{" + name + "}}", part)
  return text


def contents() -> str:
  """A card for each page, as Markdown."""
  cards = [
    f":::{{grid-item-card}} {page.title}\n:link: play/{page.name}.html\n:link-type: url\n\n"
    f"{page.about}\n:::"
    for page in PAGES
  ]
  return "::::{grid} 1 1 2 2\n:gutter: 3\n\n" + "\n\n".join(cards) + "\n::::"
