import jax
import jax.numpy as jnp
import pytest

from research import free_memory
from research.errors import UserError

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
