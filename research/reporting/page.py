"""Pages for readers: the frame, the style and the parts that all have in common.

A page holds its pictures inside, has no script, fetches nothing (its content policy forbids it),
and follows the reader's light or dark setting. No text is trusted to be HTML.
"""

import base64
import functools
import re
import textwrap
from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from pathlib import Path


def page(title: str, parts: Iterable[str]) -> str:
  """A whole page of parts that are HTML; empty ones are left out."""
  return _PAGE.format(title=escape(title), style=_style(), body="\n".join(filter(None, parts)))


@functools.cache
def _style() -> str:
  """The style of all pages of the project, and what is a report's own."""
  base = resources.files("research.reporting").joinpath("base.css").read_text("utf-8")
  return f"\n{base}{_STYLE}"


def section(name: str, content: str) -> str:
  """A section under its heading; "" where there is no content."""
  return f"<section><h2>{escape(name)}</h2>{content}</section>" if content else ""


def table(head: Sequence[str], lines: Sequence[str], kind: str = "") -> str:
  """A table of lines that are HTML, which scrolls by itself where it is wider than the page.

  `kind` is a class of the page's style.
  """
  names = "".join(f"<th>{escape(name)}</th>" for name in head)
  body = "\n".join(lines)
  opened = f'<table class="{kind}">' if kind else "<table>"
  whole = f"{opened}<thead><tr>{names}</tr></thead><tbody>\n{body}\n</tbody></table>"
  return f'<div class="wide">{whole}</div>'


def line(cells: Sequence[str], kind: str = "") -> str:
  """A table's line of plain cells; `kind` is a class of the page's style."""
  opened = f'<tr class="{kind}">' if kind else "<tr>"
  return opened + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def bullets(items: Sequence[str]) -> str:
  """A list of sentences; "" where there are none."""
  return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>" if items else ""


def pre(text: str) -> str:
  """A text whose lines are kept, such as a command."""
  return f"<pre>{escape(text)}</pre>"


def command(line: str) -> str:
  """A command line, which a narrow page breaks between its words."""
  words = "".join(f"<span>{escape(word)}</span> " for word in line.split(" "))
  return f'<pre class="command">{words.strip()}</pre>'


def prose(text: str) -> str:
  """Paragraphs of a docstring; indented ones (commands, tables) keep their lines."""
  parts = []
  for block in text.strip("\n").split("\n\n"):
    if not block.strip():
      continue
    verbatim = any(line.startswith("  ") for line in block.splitlines())
    parts.append(pre(textwrap.dedent(block)) if verbatim else f"<p>{_with_code(block)}</p>")
  return "\n".join(parts)


def _with_code(text: str) -> str:
  """A text whose `words` between backticks are code."""
  return re.sub(r"`([^`\n]+)`", r"<code>\1</code>", escape(text))


def figure(image: bytes, kind: str, caption: str, name: str, narrow: bytes | None = None) -> str:
  """A picture in the page, which a click opens in full size and another one closes.

  Args:
    image: the file.
    kind: "png", "gif" or "svg+xml".
    caption: below it.
    name: its own on the page, of letters, digits, "_" and "-".
    narrow: an SVG that takes its place on a narrow screen.
  """
  shown = f'<img alt="{escape(caption)}" src="{_data(image, kind)}">'
  if narrow is not None:
    source = f'<source media="(max-width: 40rem)" srcset="{_data(narrow, "svg+xml")}">'
    shown = f"<picture>{source}{shown}</picture>"
  return (
    f'<figure id="{name}"><span id="at-{name}"></span>'
    f'<a class="open" href="#{name}" title="full size">{shown}</a>'
    f'<a class="close" href="#at-{name}">close</a>'
    f"<figcaption>{escape(caption)}</figcaption></figure>"
  )


def figure_of(picture: Path, caption: str) -> str:
  """A picture's file in the page: where there are any, the SVG files beside a PNG in its place."""
  drawing, narrow = (picture.with_suffix(kind) for kind in (".svg", ".narrow.svg"))
  name, image = picture.stem, picture.read_bytes()
  if picture.suffix != ".png" or not drawing.exists():
    return figure(image, picture.suffix.removeprefix("."), caption, name)
  shown = narrow.read_bytes() if narrow.exists() else None
  return figure(drawing.read_bytes(), "svg+xml", caption, name, shown)


def tiles(images: Sequence[bytes], captions: Sequence[str]) -> str:
  """Small PNG pictures beside each other, as many as the page is wide, each above its caption."""
  parts = [
    f'<figure><img alt="{escape(caption)}" src="{_data(image, "png")}">'
    f"<figcaption>{escape(caption)}</figcaption></figure>"
    for image, caption in zip(images, captions, strict=True)
  ]
  return f'<div class="tiles">{"".join(parts)}</div>'


def _data(image: bytes, kind: str) -> str:
  return f"data:image/{kind};base64,{base64.b64encode(image).decode('ascii')}"


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""

_STYLE = """main { max-width: 62rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; padding-bottom: .25rem;
  border-bottom: 1px solid var(--line); }
header p { max-width: 46rem; }
.summary { font-weight: 600; }
.pass { color: var(--pass); } .fail { color: var(--fail); }
.undecided { color: var(--undecided); }
.verdict { border: 1px solid; border-radius: .3rem; padding: .05rem .45rem; font-weight: 600;
  font-size: .85rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .93rem; }
th { text-align: left; font-weight: 600; color: var(--quiet); white-space: nowrap; }
th, td { padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
td.words { min-width: 9rem; }
td code { overflow-wrap: anywhere; }
.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
code, pre { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: .88em; }
pre { background: var(--faint); border-radius: .3rem; padding: .75rem 1rem; white-space: pre-wrap;
  overflow-wrap: anywhere; }
pre.command span { display: inline-block; white-space: pre-wrap; }
figure { margin: 1.25rem 0 2rem; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr));
  gap: 0 1.5rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(6rem, 1fr)); gap: .75rem; }
.tiles figure { margin: 0; }
.tiles img { width: 100%; image-rendering: pixelated; border: 1px solid var(--line); }
.tiles figcaption { font-size: .8rem; white-space: pre-line; overflow-wrap: anywhere; }
tr.first td { font-weight: 600; background: var(--faint); }
.about { color: var(--quiet); font-size: .93rem; } .about p { margin: .3rem 0; }
details { margin-top: 2.5rem; }
summary { font-size: 1.2rem; font-weight: 700; cursor: pointer; padding-bottom: .25rem;
  border-bottom: 1px solid var(--line); }
.same { color: var(--quiet); }
figure img { display: block; max-width: 100%; background: #fff; border-radius: .3rem;
  padding: .4rem; }
a { color: var(--link); }
a.open { display: inline-block; max-width: 100%; cursor: zoom-in; }
a.close { display: none; }
figure:target { position: fixed; inset: 0; z-index: 1; margin: 0; padding: 3.2rem 1rem 1rem;
  overflow: auto; background: var(--paper); }
figure:target a.open { cursor: default; max-width: none; display: block; }
figure:target img { max-width: none; width: calc(100vw - 2rem); min-width: 44rem; }
figure:target a.close { display: block; position: fixed; top: .6rem; right: 1rem;
  padding: .3rem 1rem; background: var(--faint); border: 1px solid var(--line);
  border-radius: .3rem; }
.claims .name { display: none; }
@media (max-width: 40rem) {
  main { padding: 1.25rem 1rem 3rem; }
  .claims thead { display: none; }
  .claims, .claims tbody, .claims tr, .claims td { display: block; }
  .claims tr { border-bottom: 1px solid var(--line); padding: .6rem 0; }
  .claims td { border: 0; padding: .1rem 0; white-space: normal; }
  .claims td.mark, .claims td.id { display: inline-block; padding-right: .6rem; }
  .claims .name { display: inline-block; min-width: 4.5rem; color: var(--quiet); } }
figcaption { color: var(--quiet); font-size: .93rem; margin-top: .4rem; max-width: 46rem; }
@media print { section { break-inside: avoid; } }
"""
