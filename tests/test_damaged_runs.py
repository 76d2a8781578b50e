"""Runs whose files are lost, edited or damaged."""

import shutil
import signal
from pathlib import Path

import pytest

from tests.fixtures.processes import outcome
from tests.fixtures.stop_after import stop_after
from tests.fixtures.tiny_experiment import refused


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"experiment": "tiny_net"}', "\xff\xfe"])
def test_a_damaged_config_is_refused_and_fresh_is_the_way_out(cli, content):
  assert cli("--steps=5", "--workdir=run")[0] == 0
  Path("run/config.json").write_text(content, encoding="latin-1")
  line = refused(cli, "--steps=5", "--workdir=run")
  assert "--workdir=run" in line and "config.json is damaged" in line and "--fresh" in line
  assert cli("--steps=5", "--workdir=run", "--fresh")[0] == 0
  assert Path("run.old-1/config.json").read_text(encoding="latin-1") == content


@pytest.mark.parametrize(
  "experiment", ["tiny_net", pytest.param("tiny_race", marks=pytest.mark.slow)]
)
def test_whatever_a_user_deletes_the_same_command_ends_equal(cli, experiment):
  assert cli("--workdir=expected", experiment=experiment)[0] == 0
  expected = outcome(Path("expected"))
  fits = [path.name for path in Path("expected/checkpoints").iterdir()]
  for lost in (
    "figures",
    "report.html",
    "claims.json",
    "events*",
    "timing.jsonl",
    "environment.json",
    "checkpoints",
    *(f"checkpoints/{fit}" for fit in fits),
  ):
    shutil.copytree("expected", "run", dirs_exist_ok=True)
    (Path("run") / "claims.json").unlink()
    for path in Path("run").glob(lost):
      shutil.rmtree(path) if path.is_dir() else path.unlink()
    code, _, err = cli("--workdir=run", experiment=experiment)
    assert code == 0, (lost, err)
    assert outcome(Path("run")) == expected, lost
    shutil.rmtree("run")


@pytest.mark.parametrize("lost", ["figures", "report.html", "claims.json"])
def test_a_finished_run_that_lost_its_report_writes_it_again_without_training(
  cli, monkeypatch, lost
):
  assert cli("--steps=5", "--workdir=run")[0] == 0
  path = Path("run", lost)
  expected = {p: p.read_bytes() for p in Path("run").rglob("*.json*") if "env" not in p.name}
  shutil.rmtree(path) if path.is_dir() else path.write_text("")
  if lost == "report.html":
    path.unlink()
  monkeypatch.setattr("research.lab.lab.run_fit", None)
  assert cli("--steps=5", "--workdir=run")[0] == 0
  assert Path("run/figures/curve.png").exists() and Path("run/report.html").exists()
  assert {p: p.read_bytes() for p in expected} == expected


def test_edited_or_shortened_metrics_are_refused_by_name(cli, monkeypatch):
  with monkeypatch.context() as patch:
    stop_after(patch, 5)
    assert cli("--workdir=run")[0] == 128 + signal.SIGTERM
  path = Path("run/metrics.jsonl")
  whole = path.read_bytes()
  for content, words in (
    (whole[:-10], "shortened"),
    (b"", "shortened"),
    (whole.replace(b'"step": 5', b'"step": 6'), "changed"),
    (b"\xff" + whole, "changed"),
  ):
    path.write_bytes(content)
    code, _, err = cli("--workdir=run")
    assert code == 2 and "metrics.jsonl" in err and words in err and "--fresh" in err, err
    assert "Traceback" not in err and path.read_bytes() == content
  path.write_bytes(whole + b'{"fit": "train", "st')  # torn behind the checkpoint: no harm
  assert cli("--workdir=run")[0] == 0
  assert cli("--workdir=expected")[0] == 0
  assert outcome(Path("run")) == outcome(Path("expected"))


def test_what_a_finished_run_lost_or_has_changed_is_made_again_or_named(cli, monkeypatch):
  assert cli("--steps=5", "--workdir=expected")[0] == 0
  expected = {path.name: path.read_bytes() for path in Path("expected").glob("figures/*")}
  figure = Path("run/figures/curve.png")
  monkeypatch.setattr("research.lab.lab.run_fit", None)  # nothing is trained again
  for damage, word in (
    (figure.unlink, "figures/curve.png"),
    (lambda: figure.write_bytes(b"\x00" + figure.read_bytes()[1:]), "figures/curve.png"),
    (lambda: edit("run/claims.json", '"ours": ', '"ours": 1'), "claims.json"),
    (lambda: edit("run/report.html", "tiny_net", "tiny-net"), "report.html"),
  ):
    shutil.copytree("expected", "run", dirs_exist_ok=True)
    damage()
    code, out, err = cli("--steps=5", "--workdir=run")
    assert (code, err) == (0, "") and f"run: {word} lost or changed; made again" in out
    assert {path.name: path.read_bytes() for path in Path("run").glob("figures/*")} == expected
    assert Path("run/claims.json").read_bytes() == Path("expected/claims.json").read_bytes()
    assert "lost" not in cli("--steps=5", "--workdir=run")[1]
  for victim, word in (
    (Path("run/metrics.jsonl"), "metrics.jsonl"),
    (Path("run/checkpoints/train"), "checkpoints/train"),
  ):
    shutil.copytree("expected", "run", dirs_exist_ok=True)
    shutil.rmtree(victim) if victim.is_dir() else victim.write_text("")
    code, out, _ = cli("--steps=5", "--workdir=run")
    assert code == 0 and f"but without {word}, which are lost or changed; --fresh" in out
  shutil.copytree("expected", "run", dirs_exist_ok=True)
  edit("run/metrics.jsonl", '"step": 5', '"step": 6')
  figure.unlink()  # nothing is drawn from rows that are not those of the checkpoint
  code, _, err = cli("--steps=5", "--workdir=run")
  assert code == 2 and "metrics.jsonl was changed" in err and "--fresh" in err


def edit(path, old, new):
  text = Path(path).read_text("utf-8")
  assert old in text
  Path(path).write_text(text.replace(old, new), "utf-8")


def test_equal_runs_have_equal_checksums(cli, monkeypatch, tmp_path):
  for folder in ("one", "two"):
    Path(folder).mkdir()
    monkeypatch.chdir(tmp_path / folder)
    assert cli("--steps=5", "--workdir=run")[0] == 0
    monkeypatch.chdir(tmp_path)
  assert Path("one/run/checksums.json").read_text() == Path("two/run/checksums.json").read_text()


@pytest.mark.parametrize("content", [None, "", "{", "[]", "null", "\xff\xfe"])
def test_a_damaged_environment_counts_as_another_version(cli, content):
  assert cli("--steps=5", "--workdir=run")[0] == 0
  path = Path("run/environment.json")
  path.unlink() if content is None else path.write_text(content, encoding="latin-1")
  code, out, err = cli("--steps=5", "--workdir=run")
  assert (code, err) == (0, "") and "by another version of the code" in out
