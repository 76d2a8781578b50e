"""A fit whose data stay on the host ends with the bytes of one whose data are on the device."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import streaming
from research.compile import compile_learner
from research.data import npy_sets, sampling
from research.data.conversion import Rows, write
from research.data.spec import Spec
from research.errors import InterruptedRun, UserError
from research.lab.compiled_training import length_of_call
from research.lab.lab import Lab
from research.lanes import compile_population, pad, stack
from research.store.host_state import to_host
from research.training import Conditions, Options, on_device
from tests.fixtures.stop_after import StopAfter
from tests.fixtures.tiny_experiment import LEARNER, Config, training

KEY = jax.random.key(3)
DATA = training(Config()).data
SIZE = 8  # of evaluation batches: 30 examples are four
CONFIG = on_device(Config())


def assert_bytes_equal(ours, expected):
  ours, expected = to_host(ours), to_host(expected)
  assert ours.keys() == expected.keys()
  for name, array in expected.items():
    assert ours[name].tobytes() == array.tobytes(), name


@pytest.mark.fast
@pytest.mark.parametrize("draw", [sampling.by_epoch, sampling.balanced, sampling.in_blocks])
def test_the_order_is_the_samplers(draw):
  data = {"number": np.arange(23), "label": np.arange(23) % 3, "image": np.ones((23, 2))}
  sampler, first, seen = draw(8), 4, []
  made = training(Config(), data=data, sampler=sampler)
  feed = streaming.OnHost(made, dict, dict, has_lanes=False)
  for number, then in ((2, 3), (3, 1), (1, 0)):
    feed.steps(lambda rows, key, first: seen.append(rows), KEY, np.int32(first), number, then)
    first += number
  assert [len(rows["number"]) for rows in seen] == [16, 24, 8]
  ours = np.concatenate([rows["number"] for rows in seen]).reshape(-1, 8)
  on_device = {name: jnp.asarray(array) for name, array in data.items()}
  batch = lambda step: sampling.batch_at(sampler, on_device, KEY, step, jnp.arange(8), padded=False)
  np.testing.assert_array_equal(ours, jax.lax.map(batch, jnp.arange(4, 10))["number"])


@pytest.mark.fast
def test_rows_are_gathered_once_and_those_of_the_next_call_meanwhile():
  happened = []

  class Watched(np.ndarray):
    def take(self, *arguments, **axis):
      happened.append("gather")
      return super().take(*arguments, **axis)

  made = training(Config(), data={"number": np.arange(23).view(Watched)})
  feed = streaming.OnHost(made, dict, dict, has_lanes=False)
  call = lambda rows, key, first: happened.append("call")
  for first, number, then in ((0, 2, 2), (2, 2, 1), (4, 1, 0)):
    feed.steps(call, KEY, np.int32(first), number, then)
  assert happened == ["gather", "call", "gather", "call", "gather", "call"]
  feed.steps(call, KEY, np.int32(0), 2, 2)
  feed.steps(call, KEY, np.int32(6), 2, 0)  # not what was expected next
  assert happened[6:] == ["gather", "call", "gather", "gather", "call"]


def steps_and_evaluation(program, has_lanes, on_host, settings, key, first, monkeypatch):
  """The state and metrics of three steps, and an evaluation in blocks of two batches."""
  monkeypatch.setattr(streaming, "BYTES_PER_CALL", 2 * SIZE * streaming.row_bytes(DATA))
  made = training(Config(), evaluation_batch_size=SIZE)
  share = program.share if has_lanes else program.place
  feed = streaming.feed(made, program.place, share, on_host=on_host, has_lanes=has_lanes)
  call = lambda *data: program.steps(3, *settings, *data)
  state, metrics = feed.steps(call, key, first, 3, 0)
  return state, metrics, feed.evaluate(program, *settings[:-1], state)


@pytest.mark.parametrize(
  "parallel",
  ["jit", *(pytest.param(form, marks=pytest.mark.slow) for form in ("shard", "pmap"))],
)
def test_every_form_gives_the_same_bytes(parallel, monkeypatch):
  found = []
  for on_host in (False, True):
    sampler = streaming.fed(training(Config()), on_host)
    program = compile_learner(LEARNER, sampler, SIZE, parallel)
    settings = program.place((CONFIG, LEARNER.init(CONFIG, KEY)))
    found.append(
      steps_and_evaluation(program, False, on_host, settings, KEY, np.int32(4), monkeypatch)
    )
  assert_bytes_equal(*found)


def test_every_lane_gives_the_same_bytes(monkeypatch):
  found = []
  configs = stack([on_device(Config(learning_rate=rate)) for rate in (0.1, 0.5, 0.9)])
  for on_host in (False, True):
    sampler = streaming.fed(training(Config()), on_host)
    program = compile_population(LEARNER, sampler, SIZE, 3, 1, has_own_rows=on_host)
    active, first = np.arange(program.width) < 3, np.arange(program.width, dtype=np.int32)
    lanes = pad((configs, jax.random.split(KEY, 3)), program.width)
    active, settings, keys = program.place((active, *lanes))
    settings = active, settings, program.init(active, settings, keys)
    # Every lane is at another step, as in a sweep.
    found.append(steps_and_evaluation(program, True, on_host, settings, keys, first, monkeypatch))
  assert_bytes_equal(*found)


def fitted(folder, interruption=None, **options):
  folder.mkdir(exist_ok=True)
  lab = Lab(folder, seed=0, options=Options(**options), interruption=interruption)
  fit = lab.fit("train", Config(), training(Config()))
  return to_host(fit.state), (folder / "metrics.jsonl").read_bytes()


def test_a_fit_that_moves_between_host_and_device_ends_with_the_same_bytes(tmp_path):
  expected = fitted(tmp_path / "device", data_on="device", dispatch=2)
  for place, calls in (("host", 4), ("device", 5), ("host", 6), ("host", None)):
    stop = None if calls is None else StopAfter(calls)
    how = {"data_on": place, "dispatch": 2, "save_seconds": 1e9}
    with contextlib.nullcontext() if calls is None else pytest.raises(InterruptedRun):
      found = fitted(tmp_path / "moved", interruption=stop, **how)
  assert found[1] == expected[1]
  assert_bytes_equal(found[0], expected[0])
  timing = (tmp_path / "moved" / "timing.jsonl").read_text()
  assert '"data_on": "host"' in timing and '"data_on": "device"' in timing


def test_a_comparison_gives_the_same_bytes(tmp_path):
  found = {}
  for place in ("device", "host"):
    (tmp_path / place).mkdir()
    lab = Lab(tmp_path / place, seed=0, options=Options(data_on=place))
    configs = {"slow": Config(learning_rate=0.1), "fast": Config(learning_rate=0.9)}
    fits = lab.compare("race", configs, lambda config, seed: training(config), repeats=2)
    states = {name: [to_host(fit.state) for fit in each] for name, each in fits.items()}
    found[place] = states, (tmp_path / place / "metrics.jsonl").read_bytes()
  assert found["host"][1] == found["device"][1]
  jax.tree.map(np.testing.assert_array_equal, found["host"][0], found["device"][0])


@pytest.mark.fast
def test_calls_begin_anew_with_every_row_and_end_with_the_fit():
  made = training(Config(steps=13))  # a row every five steps
  calls, step = [], 0
  while count := length_of_call(made, 2, step):
    calls.append(count)
    step += count
  assert calls == [2, 2, 1, 2, 2, 1, 2, 1]
  assert length_of_call(made, 3, 4) == 1  # after a stop between two calls


@pytest.mark.fast
def test_large_data_stay_on_the_host_unless_asked_otherwise(monkeypatch):
  made = training(Config())
  size = sum(
    array.nbytes for data in (made.data, *made.evaluate.values()) for array in data.values()
  )
  ask = lambda how, room: (
    monkeypatch.setattr(streaming.free_memory, "available_bytes", lambda: room),
    streaming.is_on_host(made, how),
  )[1]
  assert not ask("auto", 2 * size) and ask("auto", 2 * size - 1) and not ask("auto", None)
  assert ask("host", 100 * size) and not ask("device", size)
  monkeypatch.setattr(streaming, "BYTES_PER_CALL", 10)
  assert streaming.bytes_on_device(made, "host") == 30


@pytest.mark.fast
def test_an_agent_has_no_data_to_leave_anywhere():
  agent = training(Config(), data={})
  assert not streaming.is_on_host(agent, "auto")
  with pytest.raises(UserError, match=r"--data_on=host is of data sets.*leave it out"):
    streaming.is_on_host(agent, "host")


def test_the_flag_reaches_the_run_and_leaves_its_files_alone(cli, tmp_path):
  for place in ("device", "host"):
    assert cli("--experiment=tiny_net", f"--data_on={place}", f"--workdir={place}")[0] == 0
  assert (tmp_path / "host" / "metrics.jsonl").read_bytes() == (
    tmp_path / "device" / "metrics.jsonl"
  ).read_bytes()
  assert '"data_on": "host"' in (tmp_path / "host" / "environment.json").read_text()


@pytest.mark.parametrize("place", ["device", "host"])
def test_a_mapped_set_of_which_a_share_is_held_out_gives_the_same_bytes(
  tmp_path, monkeypatch, place
):
  made = training(Config())
  arrays = {
    f"{part}_{field}": Rows(array.shape, array.dtype, lambda a, b, array=array: array[a:b])
    for part, data in (("train", made.data), ("test", made.evaluate["test"]))
    for field, array in data.items()
  }
  write(tmp_path / "set", "made", Spec("made", (4,), 3, 30, 30), arrays)
  monkeypatch.setattr(npy_sets, "BLOCK", 64)
  train, _, test = npy_sets.open_set(tmp_path / "set", "")[0]
  found = []
  for folder, changes, on in (
    ("arrays", {"evaluate": {"train set": made.data, **made.evaluate}}, "device"),
    ("mapped", {"data": train, "evaluate": {"train set": train, "test": test}}, place),
  ):
    (tmp_path / folder).mkdir()
    conditions = Conditions(validation=0.2)
    lab = Lab(tmp_path / folder, seed=0, options=Options(data_on=on), conditions=conditions)
    fit = lab.fit("train", Config(), made._replace(**changes))
    found.append((fit.state, (tmp_path / folder / "metrics.jsonl").read_bytes()))
    held = fit.training.evaluate["validation"]["image"], fit.training.evaluate["train set"]["image"]
    assert [isinstance(each, npy_sets.MappedRows) for each in held] == [folder == "mapped"] * 2
    assert [len(each) for each in held] == [6, 24]
  assert found[0][1] == found[1][1]
  assert_bytes_equal(found[0][0], found[1][0])
