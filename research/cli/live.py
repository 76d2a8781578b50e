"""A page that shows runs while they go on: a server for this machine alone, which only reads."""

import json
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from absl import flags

from research.cli import common_flags
from research.errors import UserError
from research.reporting.live_views import Runs

ADDRESS = "127.0.0.1"
PAGES = {
  "/": "live_page/index.html",
  "/live.js": "live_page/live.js",
  "/live.css": "live_page/live.css",
  "/base.css": "base.css",
}
KINDS = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".gif": "image/gif",
}
POLICY = (
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
OF_A_FILE = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox"


def define(values: flags.FlagValues) -> None:
  """Defines the flags of the verb."""
  flags.DEFINE_string("folder", "runs", "the folder under which runs are shown", values)
  help = "of this machine's loopback address; 0 takes a free one"
  flags.DEFINE_integer("port", 6006, help, 0, 65535, flag_values=values)


def live(values: flags.FlagValues, words: list[str]) -> int:
  """Serves the page until Ctrl-C.

  Raises:
    UserError: for a folder that is none, or a port that is in use.
  """
  del words
  folder = common_flags.path(values, "folder")
  if not folder.is_dir():
    raise UserError(f"--folder={folder} is not a folder")
  try:
    server = serve(folder, values.port)
  except OSError as error:
    raise UserError(
      f"--port={values.port} cannot be used: {error.strerror}; give another one, or 0"
    ) from error
  print(f"http://{ADDRESS}:{server.server_port}/  shows {folder}; Ctrl-C ends it", flush=True)
  with server:
    server.serve_forever()
  return 0


def serve(folder: Path, port: int) -> ThreadingHTTPServer:
  """A server of the page, bound to the loopback address and not yet serving."""
  server = ThreadingHTTPServer((ADDRESS, port), partial(_Handler, Runs(folder)))
  server.daemon_threads = True
  return server


class _Handler(BaseHTTPRequestHandler):
  """Answers GET for the page, for JSON, and for figures and reports of runs that it listed."""

  def __init__(self, runs: Runs, *arguments: Any):
    self._runs = runs
    super().__init__(*arguments)

  def do_GET(self) -> None:
    """Answers one request."""
    host = self.headers.get("Host", "").rpartition(":")[0]
    if host not in (ADDRESS, "localhost"):  # a page elsewhere under a name that leads here
      self._refuse(HTTPStatus.FORBIDDEN, f"ask for http://{ADDRESS}")
      return
    asked = urlsplit(self.path)
    given = {name: texts[0] for name, texts in parse_qs(asked.query).items()}
    try:
      self._answer(asked.path, given)
    except KeyError as error:
      self._refuse(HTTPStatus.NOT_FOUND, f"there is no {error}")
    except (UserError, OSError) as error:
      self._refuse(HTTPStatus.NOT_FOUND, str(error))

  def _answer(self, path: str, given: dict[str, str]) -> None:
    if path in PAGES:
      file = resources.files("research.reporting") / PAGES[path]
      self._send(file.read_bytes(), KINDS[Path(PAGES[path]).suffix], POLICY)
    elif path == "/runs.json":
      self._send_json(self._runs.listing())
    elif path == "/run.json":
      self._send_json(self._runs.run(given["run"]))
    elif path in ("/figure", "/report"):
      is_figure = path == "/figure"
      key = given["run"]
      file = self._runs.figure(key, given["name"]) if is_figure else self._runs.report(key)
      self._send(file.read_bytes(), KINDS[file.suffix], OF_A_FILE)
    else:
      raise KeyError(path)

  def _send_json(self, value: Any) -> None:
    self._send(json.dumps(value).encode(), "application/json", POLICY)

  def _send(
    self, content: bytes, kind: str, policy: str, status: HTTPStatus = HTTPStatus.OK
  ) -> None:
    self.send_response(status)
    self.send_header("Content-Type", kind)
    self.send_header("Content-Length", str(len(content)))
    self.send_header("Content-Security-Policy", policy)
    self.send_header("X-Content-Type-Options", "nosniff")
    self.send_header("Cache-Control", "no-store")
    self.end_headers()
    self.wfile.write(content)

  def _refuse(self, status: HTTPStatus, words: str) -> None:
    self._send(f"{words}\n".encode(), "text/plain; charset=utf-8", OF_A_FILE, status)

  def log_message(self, format: str, *arguments: Any) -> None:
    """Says nothing of each request."""
