"""The sequence experiments at tiny sizes: what they measure, and that they run through a lab."""

import importlib
import math
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import research as ln
from experiments.sequences import (
  addition,
  attention_lessons,
  attention_pooling,
  backprop_through_time,
  character_model,
  cost_of_length,
  dates,
  deep_and_both_ways,
  gradient_clipping,
  long_lag,
  lstm_equations,
  memorisation,
  reversal,
  translation,
)
from research.analysis.bleu import mean_d2l_bleu
from research.analysis.compression import compressed_bits, counted_bits
from research.config import replace
from research.data.text import catalogs, corpora, sentences, tasks
from research.data.text.vocabulary import CHARACTERS_OF_UNICODE, UNKNOWN, naming_nats, vocabulary
from research.errors import UserError
from research.lab.lab import Lab
from research.models import ngrams, vanilla_rnn
from research.models.decoding import written
from research.models.language_model import lines
from research.optimizers import Optimizer
from research.training import Options
from tests.fixtures.stand_in_labs import FakeLab, UntrainedLab, failed


def test_back_propagation_through_time_is_jaxs_gradient():
  with jax.enable_x64(True):
    params = vanilla_rnn.init(4, 5, 1.0, jax.random.key(0))
    params = jax.tree.map(lambda w: w + 0.3, params)
    letters = jax.nn.one_hot(jnp.array([[0, 1], [2, 3], [1, 1], [3, 0], [2, 2]]), 4, dtype=float)
    by_hand = vanilla_rnn.back_propagate(params, letters[:-1], letters[1:])
    by_jax = jax.grad(vanilla_rnn.loss)(params, letters[:-1], letters[1:])
    for name in by_jax:
      np.testing.assert_allclose(by_hand[name], by_jax[name], rtol=1e-10, atol=1e-14)
  config = backprop_through_time.Config(vocabulary=4, hidden=5, times=6)
  assert not failed(backprop_through_time.run(config, FakeLab()))


def test_the_lstms_two_forms_are_equal():
  report = lstm_equations.run(lstm_equations.Config(times=5), FakeLab())
  assert not failed(report)


def test_clipping_bounds_the_updates():
  config = gradient_clipping.Config(
    hidden=8, times=6, batch=4, updates=1, rate=0.5, theta=1e-2, bound=1e-3
  )
  text = jnp.asarray(tasks.two_followers(config.vocabulary, 0, 200))
  start = vanilla_rnn.init(12, 8, 1.0, jax.random.key(0))
  steps, lengths = {}, {}
  for cut in gradient_clipping.CUTS:
    last, (_, lengths[cut]) = gradient_clipping.train(config, start, text, cut)
    steps[cut] = {name: last[name] - start[name] for name in start}
  flat = {
    cut: np.concatenate([leaf.ravel() for leaf in step.values()]) for cut, step in steps.items()
  }
  free, length = flat["not cut"], float(lengths["not cut"][0])
  assert length > 2e-2 and np.linalg.norm(free) == pytest.approx(0.5 * length, rel=1e-4)
  np.testing.assert_allclose(flat["cut by norm"], free * 1e-2 / length, atol=1e-7)
  np.testing.assert_allclose(flat["cut by value"], np.clip(free, -5e-4, 5e-4), atol=1e-7)


def test_an_error_that_is_cut_at_every_time_does_not_explode():
  config = gradient_clipping.Config(hidden=8, times=20)
  params = vanilla_rnn.init(12, 8, 1.0, jax.random.key(0))
  params |= {"W": 3 * params["W"]}
  letters = jax.nn.one_hot(tasks.two_followers(12, 0, 20)[:, None], 12)
  found = gradient_clipping.cut_through_time(config, params, letters * 0)
  assert found["not cut"][0] > 1e3 and found["not cut"][-1] == pytest.approx(1)
  for name in ("at every time, by norm", "at every time, by value"):
    assert found[name].min() > 0.1 and found[name].max() <= 1 + 1e-5
  whole = found["cut as a whole"]
  assert float(jnp.linalg.norm(whole)) == pytest.approx(1) and whole[-1] < 1e-3


def test_the_generated_text_offers_two_letters_everywhere():
  text = tasks.two_followers(3, 0, 2000)
  followers = {}
  for a, b, c in zip(text, text[1:], text[2:], strict=False):
    followers.setdefault((a, b), set()).add(c)
  assert max(map(len, followers.values())) == 2


def test_attention_lessons():
  assert not failed(attention_lessons.run(attention_lessons.Config(dimension=64), FakeLab()))
  assert not failed(attention_pooling.run(attention_pooling.Config(), FakeLab()))


def test_a_reversed_map_is_the_alignment_and_a_straight_one_is_not():
  end = np.full((1, 1, 6), 1 / 6)
  followed_by_end = lambda weights: np.concatenate([weights, end], axis=1)
  assert reversal.alignment(followed_by_end(np.eye(6)[None, ::-1])) == 1
  assert reversal.alignment(followed_by_end(np.eye(6)[None])) == 0


@pytest.mark.parametrize(
  ("module", "nets"), [(dates, dates.NETS), (reversal, reversal.NETS), (addition, addition.NETS)]
)
def test_all_nets_of_an_experiment_take_its_batches(module, nets):
  sizes = {"embedding": 4, "hidden": 8, "features": 8, "longest": 6}
  config = module.Config(examples=100, optimizer=Optimizer("sgd", 0.1))
  config = replace(config, {name: size for name, size in sizes.items() if hasattr(config, name)})
  for name in nets:
    one = replace(config, {"net": name})
    training = module.training(one, 0)
    data = {field: array[:4] for field, array in training.data.items()}
    state = jax.eval_shape(training.learner.init, one, jax.random.key(0))
    moved, metrics = jax.eval_shape(training.learner.step, one, state, data)
    assert set(metrics) == {"loss", "exact", "accuracy"}
    assert jax.tree.structure(moved) == jax.tree.structure(state)


def test_the_long_lags_net_learns_a_short_one():
  config = long_lag.Config("rnn", 2, hidden=16, symbols=2, optimizer=Optimizer("adam", 0.02))
  data = tasks.long_lag(256, 0, 2, symbols=2)
  task = lambda config, seed: ln.Task(data, {})
  training = ln.supervised_training(long_lag.model, task, inputs=lambda batch: batch["tokens"])
  learner = training(config, 0).learner
  state = jax.jit(learner.init)(config, jax.random.key(0))
  step = jax.jit(learner.step)
  for _ in range(60):
    state, metrics = step(config, state, data)
  assert float(metrics["accuracy"]) == 1


def test_a_files_last_tenth_is_held_out(tmp_path):
  path = tmp_path / "text.txt"
  path.write_text("0123456789" * 10, "utf-8")
  train, test = corpora.text(str(path), 0)
  assert train + test == path.read_text() and len(test) == 10
  with pytest.raises(UserError, match="cannot be read"):
    corpora.text(str(tmp_path / "none"), 0)


def test_the_net_is_judged_on_the_whole_held_out_text(tmp_path):
  path = tmp_path / "text.txt"
  path.write_text("0123456789" * 3000, "utf-8")
  training = character_model.training(character_model.Config(text=str(path)), 0)
  target = training.evaluate["test"]["target"]
  asked = target[:, 1:][target[:, 1:] > 0]
  assert target.shape == (2, character_model.SEGMENT + 1) and len(asked) == 2999
  np.testing.assert_array_equal(np.append(target[0, 0], asked)[:3000:10], target[0, 0])


def test_characters_without_room_cost_what_it_takes_to_name_them(tmp_path):
  """Uniform draws of 3,000 characters hold 11.55 bits each, however few the net has room for."""
  path = tmp_path / "text.txt"
  drawn = np.random.default_rng(0).integers(0x4E00, 0x4E00 + 3000, 200_000)
  path.write_text("".join(map(chr, drawn)), "utf-8")
  config = character_model.Config(text=str(path), vocabulary=96, embedding=2, hidden=3)
  train, test = corpora.text(config.text, 0)
  characters = character_model.characters_of(config, train)
  naming = naming_nats(characters, train, test)
  unknown = characters.encode(test) == UNKNOWN
  np.testing.assert_array_equal(naming > 0, unknown)
  # A net that knows how frequent its tokens are, and no more, needs this for them:
  share = np.bincount(characters.encode(train), minlength=len(characters)) / len(train)
  known = -np.log(share[characters.encode(test)]).mean()
  assert known < 1 and 11.5 < (known + naming.mean()) / math.log(2) < 11.7
  training = character_model.training(config, 0)
  data, learner = training.evaluate["test"], training.learner
  reader = ln.bptt_training(character_model.model, character_model.task)(config, 0).learner
  assert data["naming"].sum() == pytest.approx(naming[1:].sum(), rel=1e-5)
  state = jax.jit(learner.init)(config, jax.random.key(0))
  batch = {"target": jnp.asarray(data["target"][:2, :4]), "naming": jnp.array([3.0, 4.0])}
  of_tokens = reader.evaluate(config, state, batch)["loss"]
  of_characters = learner.evaluate(config, state, batch)["loss"]
  assert of_characters.weight == of_tokens.weight == 6
  assert float(of_characters.total - of_tokens.total) == pytest.approx(7, rel=1e-5)


def test_naming_a_character_is_a_probability_of_all_of_unicode():
  characters = vocabulary("aaaabbbccd", most=2)  # a and b
  naming = naming_nats(characters, "aaaabbbccd", "abcdz")
  np.testing.assert_allclose(np.exp(-naming), [1, 1, 2 / 5, 1 / 5, 2 / 5 / CHARACTERS_OF_UNICODE])
  np.testing.assert_allclose(
    np.exp(-naming_nats(characters, "ab", "az")), [1, 1 / CHARACTERS_OF_UNICODE]
  )


def test_a_text_that_is_too_short_leaves_nothing_behind(tmp_path):
  path = tmp_path / "text.txt"
  path.write_text("short", "utf-8")
  for module in (character_model, memorisation):
    lab = Lab(tmp_path / module.__name__, seed=0, options=Options())
    lab.folder.mkdir()
    with pytest.raises(UserError, match="the text is too short"):
      module.run(module.Config(text=str(path)), lab)
    assert not list(lab.folder.glob("*.json")) and not list(lab.folder.glob("*.sha256"))


def test_a_line_of_the_packages_is_not_learnt_and_judged_by(monkeypatch):
  messages = [("Save it", "a"), ("Save  it", "b"), ("Go", "c")]
  monkeypatch.setattr(catalogs, "load", lambda: messages)
  assert sorted("".join(corpora.text("", 0)).split("\n")) == ["Go", "Save it"]


def test_a_text_that_repeats_itself_costs_few_bits():
  train, test = "the same line again\n" * 50, "the same line again\n" * 5
  noise = "".join(map(chr, np.random.default_rng(0).integers(97, 123, 100)))
  assert max(compressed_bits(train, test).values()) < 1
  assert min(compressed_bits(train, noise).values()) > 4
  bits = list(counted_bits(vocabulary(train), train, test, (1, 2, 5)).values())
  assert bits[0] > bits[1] > bits[2] and bits[2] < 0.2
  few = vocabulary(train, most=3)  # and most characters are unknown
  known, unseen = few.encode(train), few.encode(test)
  naming = naming_nats(few, train, test).mean() / math.log(2)
  found = counted_bits(few, train, test, (2,))
  assert found == {"2-gram": pytest.approx(ngrams.bits(known, unseen, len(few), 2) + naming)}
  assert naming > 1


def test_the_language_model_writes_lines_of_its_own_characters():
  config = character_model.Config(vocabulary=12, embedding=3, hidden=5, batch_size=2)
  characters = vocabulary("abc\n", most=8)
  model = character_model.model(config)
  state = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 1), jnp.int32))
  draw = lambda: lines(model, state["params"], characters, 10, 100, jax.random.key(1), 1.0)
  found = draw()
  assert len(found) == 10 and set("".join(found)) <= set("abc")
  assert len(set(found)) > 1 and found == draw()


PAIRS = [
  sentences.Pair(["open", "file", str(number)], ["ouvrir", "le", "fichier", str(number)])
  for number in range(20)
]


def test_pairs_that_are_too_few_are_refused(tmp_path):
  path = tmp_path / "pairs.tsv"
  path.write_text("Go now.\tVa !\n", "utf-8")
  with pytest.raises(UserError, match="1 pairs of 2 to 16 words are too few"):
    corpora.pairs(str(path), 16)


def test_a_net_translates_greedily_and_with_a_beam(monkeypatch):
  config = translation.Config(vocabulary=30, embedding=3, hidden=4, features=8)
  read, write = (corpora.tokeniser([pair[side] for pair in PAIRS], "words", 30) for side in (0, 1))
  assert corpora.lengths_of(PAIRS, read, write, 64) == (3, 6)
  assert corpora.lengths_of(PAIRS, read, write, 4) == (3, 4)
  data = sentences.arrays_of(PAIRS, read, write, (3, 6))
  batch = {name: jnp.asarray(array[:4]) for name, array in data.items()}
  monkeypatch.setattr(
    translation,
    "corpus_of",
    lambda config, seed: SimpleNamespace(arrays={"train": data, "validation": data}),
  )
  learner = translation.training(config, 0).learner
  state = jax.jit(learner.init)(config, jax.random.key(0))
  _, metrics = jax.eval_shape(learner.step, config, state, batch)
  assert set(metrics) == {"loss", "nats", "accuracy"}
  for width in (1, 2):
    variables = {"params": state.params}
    rows = written(translation.model(config), variables, data["source"][:4], 6, width, batch=2)
    assert rows.shape == (4, 6)
    assert all(isinstance(word, str) for word in write.decode(rows[0]))


def test_d2ls_bleu_is_a_mean_over_sentences():
  go = ["va", "!"]
  assert mean_d2l_bleu([go, ["x"]], [go, go]) == 0.5


def test_only_a_net_that_reads_both_ways_sees_what_it_is_asked_for():
  tokens = jnp.array([[4, 5, 6, 7, 8, 9]])
  other = tokens.at[0, 4].set(11)  # what is asked for at place 3
  for name in deep_and_both_ways.NETS:
    model = deep_and_both_ways.model(deep_and_both_ways.Config(name, hidden=5))
    params = jax.jit(model.init)(jax.random.key(0), tokens)
    before, after = (model.apply(params, x)[0, :4] for x in (tokens, other))
    assert bool(jnp.any(before != after)) == (name == "both ways")


def test_the_loss_at_the_end_is_of_the_last_character():
  logits = jnp.zeros((2, 3, 4)).at[:, -1, 2].set(9)
  batch = {"target": jnp.array([[0, 1, 1, 2], [0, 1, 1, 3]])}
  right, wrong = deep_and_both_ways.loss_at_the_end(logits, batch)
  assert right < 0.01 and wrong > 8


def test_attentions_cost_per_token_grows_with_the_length_and_the_grus_does_not():
  at = lambda layer, n: cost_of_length.products_per_token(layer(), jnp.zeros((1, n, 8)))
  attended = [at(cost_of_length.Attending, n) for n in (8, 16, 32)]
  assert attended[2] - attended[1] == 2 * (attended[1] - attended[0]) > 0
  assert at(cost_of_length.Remembering, 8) == at(cost_of_length.Remembering, 32)


SGD = Optimizer("sgd", 0.1)
RUNS = {
  "addition": addition.Config(
    digits=2, examples=100, embedding=2, hidden=3, optimizer=SGD, batch_size=4, steps=2
  ),
  "dates": dates.Config(
    examples=100, embedding=2, hidden=3, features=8, optimizer=SGD, batch_size=4, steps=2
  ),
  "reversal": reversal.Config(
    longest=3,
    examples=100,
    embedding=2,
    hidden=3,
    features=8,
    layers=1,
    optimizer=SGD,
    batch_size=4,
    steps=2,
  ),
  "translation": translation.Config(
    vocabulary=30,
    embedding=2,
    hidden=3,
    features=8,
    optimizer=SGD,
    batch_size=4,
    beam=2,
    steps=2,
  ),
  "deep_and_both_ways": deep_and_both_ways.Config(
    hidden=3, times=4, characters=1000, optimizer=SGD, batch_size=4, steps=2
  ),
  "character_model": character_model.Config(
    embedding=2, hidden=3, times=4, optimizer=SGD, batch_size=4, steps=2
  ),
  "memorisation": memorisation.Config(
    characters=2000, hidden=3, times=4, optimizer=SGD, batch_size=4, steps=2
  ),
  "long_lag": long_lag.Config(
    lags=(1, 2), hidden=3, examples=100, optimizer=SGD, batch_size=4, steps=2
  ),
}


@pytest.mark.parametrize("lab", ["untrained", pytest.param("real", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", RUNS)
def test_an_experiment_runs_to_its_end(name, lab, tmp_path, monkeypatch):
  messages = [(f"Open file {n} now", f"Ouvrir le fichier {n}") for n in range(100)]
  monkeypatch.setattr(catalogs, "load", lambda: messages)
  module = importlib.import_module(f"experiments.sequences.{name}")
  lab = UntrainedLab() if lab == "untrained" else Lab(tmp_path, seed=0, options=Options())
  report = module.experiment.run(RUNS[name], lab)
  assert all(np.isfinite(claim.ours) for claim in report.claims) and report.pictures
