"""Settings of the process that JAX reads at its start, and a description of the machine."""

import ast
import hashlib
import importlib.metadata
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from research.errors import UserError
from research.store.files import cache_folder
from research.store.interruption import SIGNALS

# Large temporaries would otherwise go back to the system after every call, and the page faults
# cost up to 40 % of a training step on a CPU (benchmarks/README.md).
MALLOC = (
  "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=8589934592"
  ":glibc.malloc.trim_threshold=8589934592"
)
# They would change every number of a run, which is a function of its settings and its seed alone.
DECIDED_HERE = {
  "JAX_ENABLE_X64",
  "JAX_DEFAULT_DTYPE_BITS",
  "JAX_DEFAULT_PRNG_IMPL",
  "JAX_THREEFRY_PARTITIONABLE",
  "JAX_NUMPY_DTYPE_PROMOTION",
}
MOST_CPU_DEVICES = 8  # each has its own copy of the data
ROOT = Path(__file__).parent.parent.parent
IS_CHECKOUT = (ROOT / "pyproject.toml").exists()  # else the package is installed
HOME = ROOT if IS_CHECKOUT else Path()  # where measured results are kept
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "tensorflow-datasets", "numpy")


def prepare_jax(*, collectives: bool, reexecute: bool = True) -> None:
  """Sets the environment that JAX and the allocator read when they start.

  Args:
    collectives: whether devices will share a step; on the CPU it then takes more threads.
    reexecute: whether the process may replace itself once, since the allocator's settings are read
      at its start.
  """
  signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # which the process held back below
  for name in sorted(DECIDED_HERE & os.environ.keys()):
    del os.environ[name]
    print(f"{name} of the environment has no effect here", file=sys.stderr)
  os.environ["MPLBACKEND"] = "agg"  # figures go to files
  if programs := _writable_cache():
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(programs))
  os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
  os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
  # LAPACK's threads fight for the cores of a busy machine: a QR of 100x100 takes 2 ms, or 300.
  os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
  # A core for each device: lanes on two devices are 1.7 times as fast as on one that has both.
  if "host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
    os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(min(cores(), MOST_CPU_DEVICES)))
  if collectives:  # more threads than cores cost a third of the speed, fewer than this may hang
    os.environ.setdefault("NPROC", "16")
  on_linux = sys.platform == "linux" and platform.libc_ver()[0] == "glibc"
  if reexecute and on_linux and "GLIBC_TUNABLES" not in os.environ:
    os.environ["GLIBC_TUNABLES"] = MALLOC
    sys.stdout.flush()
    sys.stderr.flush()
    # They stay pending until the new program lets them through.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    os.execv(sys.executable, sys.orig_argv[:1] + sys.orig_argv[1:])


def start_jax() -> None:
  """Starts the devices, and keeps the threads that save checkpoints off the terminal.

  Raises:
    UserError: where the platform that the environment asks for is not there.
  """
  import jax

  from research.store.checkpoint import silence_background_saves

  silence_background_saves()
  try:
    jax.devices()
  except Exception as error:  # an AssertionError, RuntimeError or one of XLA's own
    asked = os.environ.get("JAX_PLATFORMS", "")
    why = " ".join(str(error).split()) or "no such device"
    raise UserError(
      f"JAX does not start with JAX_PLATFORMS={asked!r} ({why[:200]}); unset it, or give cpu"
    ) from error


def _writable_cache() -> Path | None:
  """Returns the folder of compiled programs; None where nothing can be written."""
  try:
    programs = cache_folder() / "xla"
    programs.mkdir(parents=True, exist_ok=True)
  except (UserError, OSError):
    return None
  return programs if os.access(programs, os.W_OK | os.X_OK) else None


def cores() -> int:
  """Returns the number of CPU cores available to this process."""
  if hasattr(os, "sched_getaffinity"):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def describe(experiment: Path | None) -> dict[str, Any]:
  """Versions, devices and commit of this process, and the code of an experiment."""
  import jax

  versions = {}
  for package in PACKAGES:
    try:
      versions[package] = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
      versions[package] = "not installed"
  return {
    "python": platform.python_version(),
    "packages": versions,
    "system": f"{platform.system()} {platform.machine()}",
    "cores": cores(),
    "devices": [f"{device.platform}:{device.device_kind}" for device in jax.devices()],
    "commit": _commit(),
    "code": code_digest(experiment),
  }


def code_digest(experiment: Path | None, root: Path = ROOT) -> str:
  """Returns a short digest of the library's source, one experiment's, and of what that imports.

  Equal for equal text.

  Args:
    experiment: its file.
    root: of the library.
  """
  digest = hashlib.sha256()
  for path in sources(experiment, root):
    digest.update(path.read_bytes())
  return digest.hexdigest()[:10]


def sources(experiment: Path | None, root: Path = ROOT) -> list[Path]:
  """The files of the library, then those of one experiment as `own_sources` finds them."""
  library = sorted(root.glob("research/**/*.py"))
  return library + sorted(own_sources(experiment, root) - set(library))


def own_sources(experiment: Path | None, root: Path = ROOT) -> set[Path]:
  """An experiment's file, and what it imports from around it.

  Around one of the catalogue is the repository; around a module of a package, the outermost
  package; around any other file, its folder.
  """
  if experiment is None or not experiment.is_file():
    return set()
  if experiment.is_relative_to(root / "experiments"):  # other packages lie beside an installed one
    tops, within = {root}, root if IS_CHECKOUT else root / "experiments"
  else:
    within = experiment.parent
    while (within / "__init__.py").exists() and (within.parent / "__init__.py").exists():
      within = within.parent
    tops = {within.parent, experiment.parent}
  paths: set[Path] = set()
  new = {experiment}
  while new:
    paths |= new
    found = {each for path in new for top in tops for each in _imported(path, top)} - paths
    new = {path for path in found if path.is_relative_to(within)}
  return paths


def _imported(path: Path, root: Path) -> Iterator[Path]:
  """The files under the root that a module imports, wherever in it."""
  try:
    nodes = list(ast.walk(ast.parse(path.read_bytes())))
  except (SyntaxError, ValueError):  # somebody is editing it
    return
  names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
  bases = [(root, name) for name in names]
  for node in nodes:
    if isinstance(node, ast.ImportFrom):
      base = path.parents[node.level - 1] if node.level else root
      module = [node.module] if node.module else []
      bases += [
        (base, ".".join([*module, *last])) for last in [[], *([a.name] for a in node.names)]
      ]
  for base, name in bases:
    place = base.joinpath(*name.split(".")) if name else base
    yield from (
      file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()
    )


def _commit() -> str:
  if not IS_CHECKOUT:
    return ""  # the folder that an installed package lies in may be a checkout of something else
  ask = lambda *words: subprocess.run(
    ["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False
  ).stdout.strip()
  try:
    commit = ask("rev-parse", "HEAD")
    return commit + (" with changes" if commit and ask("status", "--porcelain") else "")
  except FileNotFoundError:
    return ""
