import errno
import resource
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from research import free_memory
from research.errors import OutOfMemoryError, UserError
from tests.fixtures.processes import ROOT, environment

pytestmark = pytest.mark.fast


def test_what_does_not_fit_is_refused_in_one_line(monkeypatch, capsys):
  reserve = lambda: free_memory.reserve("the replay memory", 7_056_000_000, "give less")
  monkeypatch.setattr(free_memory, "available_bytes", lambda: 8_000_000_000)
  with pytest.raises(UserError, match=r"7\.06 GB \(14\.11 GB .* 8\.00 GB are free; give less$"):
    reserve()
  for room in (15_000_000_000, None):
    monkeypatch.setattr(free_memory, "available_bytes", lambda room=room: room)
    reserve()
  free_memory.reserve("a little", 10_000, "give less")
  assert capsys.readouterr().err == "the replay memory: 7.06 GB\n"  # once


def test_bytes_of_arrays_and_of_keys():
  tree = {"a": jnp.zeros((3, 5)), "b": jnp.zeros(7, jnp.uint8)}
  assert free_memory.bytes_of(tree) == 67
  assert free_memory.bytes_of(jax.eval_shape(lambda: tree)) == 67
  key = jax.random.key(0)
  assert free_memory.bytes_of(key) == jax.random.key_data(key).nbytes


def test_files_that_were_read_make_room(monkeypatch):
  files = {
    "/proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   2000000 kB",
    "/sys/fs/cgroup/memory.max": "1000",
    "/sys/fs/cgroup/memory.current": "900",
    "/sys/fs/cgroup/memory.stat": "anon 3\ninactive_file 250\nactive_file 7",
  }

  def read(path):
    if str(path) not in files:
      raise FileNotFoundError
    return files[str(path)]

  monkeypatch.setattr(free_memory.Path, "read_text", read)
  assert free_memory.available_bytes() == 1000 - 900 + 250
  files["/sys/fs/cgroup/memory.max"] = "max"
  assert free_memory.available_bytes() == 2_048_000_000
  files.clear()
  assert free_memory.available_bytes() > 10**8


@pytest.mark.parametrize("limit", ["ulimit -v", "ulimit -d"])
def test_a_shell_that_allows_too_little_is_told_so_before_jax_starts(limit, tmp_path):
  process = subprocess.run(
    ["sh", "-c", f'{limit} 1000000; exec "$@"', "sh", sys.executable, str(ROOT / "launch.py")],
    cwd=tmp_path,
    env=environment(),
    capture_output=True,
    text=True,
    check=False,
  )
  assert process.returncode == 2 and process.stderr.count("\n") == 1, process.stderr
  assert f"{limit} allows this process 1.02 GB, and JAX needs 4.00 GB" in process.stderr
  assert not list(tmp_path.iterdir())


def allow(monkeypatch, size):
  limits = {resource.RLIMIT_AS: (size, size)}
  nothing = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
  monkeypatch.setattr(resource, "getrlimit", lambda which: limits.get(which, nothing))


def test_what_the_shell_allows_bounds_what_is_free(monkeypatch):
  (used,) = free_memory._numbers("/proc/self/status", "VmSize:")
  allow(monkeypatch, used * 1024 + 10**8)
  assert 0 < free_memory.available_bytes() <= 10**8
  allow(monkeypatch, resource.RLIM_INFINITY)
  assert free_memory.available_bytes() > 10**8


@pytest.mark.parametrize(
  ("error", "is_lacking"),
  [
    (MemoryError(), "always"),
    (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."), "always"),
    (RuntimeError("can't start new thread"), "always"),
    (ImportError("libx.so: failed to map segment from shared object"), "always"),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), "always"),
    (SystemError("error return without exception set"), "when limited"),
    (RuntimeError("RESOURCE_EXHAUSTED: too many requests"), "never"),
    (ImportError("No module named 'x'"), "never"),
    (OSError(errno.ENOENT, "No such file"), "never"),
  ],
  ids=repr,
)
def test_only_an_allocation_that_failed_is_called_so(monkeypatch, error, is_lacking):
  for size, words in (
    (resource.RLIM_INFINITY, "; give smaller"),
    (5 * 10**9, "ulimit -v (now 5.00 "),
  ):
    allow(monkeypatch, size)
    is_told = is_lacking == "always" or (is_lacking == "when limited" and size == 5 * 10**9)
    raised = pytest.raises(OutOfMemoryError if is_told else type(error))
    with raised as caught, free_memory.out_of_memory_is_a_user_error():
      raise error
    assert not is_told or words in str(caught.value)
