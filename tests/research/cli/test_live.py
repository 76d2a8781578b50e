"""The live page: what it shows, what it refuses, and that it touches nothing."""

import contextlib
import http.client
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import launch
from research.cli import live
from research.lab import run_folder
from research.reporting import live_views
from tests.fixtures.run_folders import make_run

pytestmark = pytest.mark.fast
ROOT = Path(__file__).parents[3]


@pytest.fixture
def runs(tmp_path):
  folder = tmp_path / "runs"
  make_run(folder / "a", seed=0)
  make_run(folder / "deep" / "b", seed=1, finished=False)
  (folder / "a" / "figures").mkdir()
  (folder / "a" / "figures" / "curve.svg").write_text("<svg/>")
  (folder / "a" / "figures" / "captions.json").write_text('{"curve": "It rises."}')
  (tmp_path / "secret.svg").write_text("secret")
  (folder / "a" / "figures" / "link.svg").symlink_to(tmp_path / "secret.svg")
  return folder


@pytest.fixture
def ask(runs):
  server = live.serve(runs, 0)
  thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
  thread.start()

  def answer(path, method="GET", host=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
    with contextlib.closing(connection):
      connection.request(method, path, headers={"Host": host} if host else {})
      response = connection.getresponse()
      return response.status, response.headers, response.read()

  yield answer
  server.shutdown()
  thread.join()
  server.server_close()


def test_runs_their_curves_claims_and_figures_are_shown(ask):
  listed = json.loads(ask("/runs.json")[2])
  assert [run["key"] for run in listed["runs"]] == ["deep/b", "a"]
  run = json.loads(ask("/run.json?run=a")[2])
  assert run["state"] == "finished" and run["progress"] is None and run["has_report"]
  assert [panel["name"] for panel in run["panels"]] == ["test/accuracy", "train/loss"]
  (line,) = run["panels"][0]["lines"]
  assert line["points"][-1] == [19, 0.1]
  assert run["claims"] == [["C06", "test accuracy", "10.00 %", "≥ 5 %", "pass"]]
  assert run["figures"] == [{"file": "curve.svg", "caption": "It rises."}]
  assert ask("/figure?run=a&name=curve.svg")[2] == b"<svg/>"
  assert ask("/report?run=a")[0] == 200


def test_a_run_that_goes_on_says_how_much_is_left(ask, runs):
  rows = [
    {"fit": "train", "step": 10 * n, "of": 100, "seconds": 2.0, "at": time.time()} for n in range(4)
  ]
  timing = "".join(json.dumps(row) + "\n" for row in rows)
  (runs / "deep" / "b" / "timing.jsonl").write_text(timing)
  lock = run_folder.Lock(runs / "deep" / "b")
  progress = json.loads(ask("/run.json?run=deep/b")[2])["progress"]
  lock.release()
  assert (
    progress["text"].startswith("train: step 30 of 100, about 0:1") and progress["share"] == 0.3
  )


def test_the_time_left_needs_two_intervals_and_sound_rows():
  row = {"fit": "train", "step": 0, "of": 100, "seconds": 2.0, "at": 0.0}
  assert live_views.time_left([], 0.0) is None
  assert live_views.time_left([{"fit": "train"}], 0.0) is None
  assert live_views.time_left([row], 0.0)["text"] == "train: step 0 of 100"
  later = row | {"step": 50, "seconds": 100.0, "at": 100.0}
  assert live_views.time_left([row, later], 110.0)["text"].endswith("about 1:30 left")


@pytest.mark.parametrize(
  "path",
  [
    "/figure?run=a&name=../config.json",
    "/figure?run=a&name=..%2F..%2F..%2Fsecret.svg",
    "/figure?run=a&name=link.svg",
    "/figure?run=..&name=secret.svg",
    "/figure?run=a/../a&name=curve.svg",
    "/figure?run=/etc&name=passwd",
    "/figure?run=a",
    "/report?run=..",
    "/report?run=deep/b",
    "/run.json?run=../runs/a",
    "/run.json",
    "/../../etc/passwd",
    "/live_views.py",
  ],
)
def test_nothing_but_listed_runs_and_their_figures_is_served(ask, path):
  assert ask(path)[0] == 404


def test_only_this_machine_asks_and_only_to_read(ask):
  assert ask("/", host="elsewhere.example:80")[0] == 403
  assert ask("/", method="POST")[0] == ask("/", method="PUT")[0] == 501
  status, headers, page = ask("/")
  assert status == 200 and b'src="live.js"' in page
  assert "default-src 'none'" in headers["Content-Security-Policy"]
  assert ask("/live.js")[0] == ask("/live.css")[0] == 200
  assert live.ADDRESS == "127.0.0.1"


def test_looking_changes_no_file(ask, runs):
  state = lambda: {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in runs.rglob("*")}
  before = state()
  for path in ("/", "/runs.json", "/run.json?run=a", "/run.json?run=deep/b"):
    assert ask(path)[0] == 200
  assert state() == before


def test_bad_input_is_refused_in_a_line(runs, capsys):
  assert launch.main(["launch.py", "live", f"--folder={runs / 'none'}"]) == 2
  assert "is not a folder" in capsys.readouterr().err
  server = live.serve(runs, 0)
  assert launch.main(["launch.py", "live", f"--folder={runs}", f"--port={server.server_port}"]) == 2
  server.server_close()
  assert "cannot be used" in capsys.readouterr().err


def test_it_imports_neither_jax_nor_matplotlib():
  code = (
    "import sys; from research.cli import live; "
    "sys.exit(bool({'jax', 'matplotlib'} & set(sys.modules)))"
  )
  assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
