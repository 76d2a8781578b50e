"""Vocabularies, batches of text, generated tasks, and BLEU's golden numbers."""

import datetime
import itertools
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.analysis.bleu import corpus_bleu, d2l_bleu
from research.data import sampling
from research.data.text import language, tasks
from research.data.text.vocabulary import Vocabulary, padded, vocabulary
from research.errors import UserError

pytestmark = pytest.mark.fast


def text_of(numbers, words):
  return "".join(words.decode(numbers))


def test_a_vocabulary_knows_its_tokens_and_writes_them_down():
  words = vocabulary(["a", "b", "a", "c", "a", "b"], most=2)
  assert words.tokens[4:] == ("a", "b")
  np.testing.assert_array_equal(words.encode("abx"), [4, 5, 3])
  assert words.decode([1, 4, 5, 3, 2, 4]) == ["a", "b", "<unk>"]
  assert json.loads(words.to_json()) == ["a", "b"]
  assert vocabulary("aab", at_least=2).tokens[4:] == ("a",)


def test_padding_cuts_but_keeps_the_marks():
  rows = [np.array([5, 6, 7, 8]), np.array([9])]
  found = padded(rows, 5, begin=True, end=True)
  np.testing.assert_array_equal(found, [[1, 5, 6, 7, 2], [1, 9, 2, 0, 0]])
  with pytest.raises(ValueError, match="length=1"):
    padded(rows, 1, begin=True, end=True)


def test_the_parts_of_a_partition_continue_each_other():
  tokens = np.arange(100, 143)
  data = language.partition(tokens, 3, 4)
  batches = [
    {
      key: array[
        np.asarray(sampling.in_order(3).indices(jax.random.key(0), 9, s * 3 + jnp.arange(3)))
      ]
      for key, array in data.items()
    }
    for s in range(4)
  ]
  assert len(data["target"]) == 9
  for before, after in itertools.pairwise(batches[:3]):
    np.testing.assert_array_equal(before["target"][:, -1], after["target"][:, 0])
  np.testing.assert_array_equal([b["is_first"].all() for b in batches], [True, False, False, True])
  np.testing.assert_array_equal(batches[0]["target"], batches[3]["target"])
  inside = np.concatenate([b["target"][:, :-1].ravel() for b in batches[:3]])
  np.testing.assert_array_equal(np.sort(inside), tokens[:36])
  with pytest.raises(UserError, match="43 tokens hold no batch of 20 times 4"):
    language.partition(tokens, 20, 4)


def test_windows():
  found = language.windows(np.arange(10), 3, 2)["target"]
  np.testing.assert_array_equal(found, [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7], [6, 7, 8, 9]])
  with pytest.raises(UserError, match="2 tokens"):
    language.windows(np.arange(2), 3, 1)


def test_dates_are_written_in_all_ways_and_answered_in_one():
  data, pairs = tasks.dates(2000, 0)
  assert not np.any(data["source"] == 3) and not np.any(data["target"] == 3)
  day = datetime.date(2003, 2, 1)
  ways = [way(day) for way in tasks.DATE_FORMATS]
  assert len(set(ways)) == 11 and "1 February 2003" in ways and "1.2.2003" in ways
  assert max(len(source) for source, _ in pairs) <= tasks.DATE_LENGTHS[0]
  longest = max(len(way(datetime.date(2000, 9, 20))) for way in tasks.DATE_FORMATS)
  assert longest <= tasks.DATE_LENGTHS[0]
  for row, (source, target) in zip(data["source"][:50], pairs, strict=False):
    assert text_of(row, tasks.DATE_CHARACTERS) == source
    datetime.date.fromisoformat(target)
  again, _ = tasks.dates(2000, 0)
  np.testing.assert_array_equal(again["source"], data["source"])
  assert [ordinal for ordinal in map(tasks.ordinal, (1, 2, 3, 4, 11, 12, 13, 21, 30))] == [
    "1st",
    "2nd",
    "3rd",
    "4th",
    "11th",
    "12th",
    "13th",
    "21st",
    "30th",
  ]


def test_letters_are_turned_and_sums_are_right():
  data = tasks.reversal(50, 0, (2, 6))
  assert data["source"].shape == (50, 6) and data["target"].shape == (50, 8)
  for source, target in zip(data["source"], data["target"], strict=True):
    text = text_of(source, tasks.LETTERS)
    assert 2 <= len(text) <= 6 and text_of(target, tasks.LETTERS) == text[::-1]
  data = tasks.addition(50, 0, 3)
  for source, target in zip(data["source"], data["target"], strict=True):
    first, second = text_of(source, tasks.DIGITS).split("+")
    assert int(first) + int(second) == int(text_of(target, tasks.DIGITS))


def test_the_long_lag_asks_for_the_first_symbol():
  data = tasks.long_lag(20, 0, 7)
  assert data["tokens"].shape == (20, 9)
  np.testing.assert_array_equal(data["tokens"][:, 0], data["label"])
  assert data["tokens"][:, 1:-1].min() >= 8 and (data["tokens"][:, -1] == 16).all()


def test_bleu_in_d2ls_form():
  assert d2l_bleu("AB", "ABCDEF") == pytest.approx(0.1353, abs=5e-5)
  go, home = ["va", "!"], ["il", "est", "calme", "."]
  assert d2l_bleu(go, go) == 1
  assert d2l_bleu(["il", "est", "mouillé", "."], home) == pytest.approx(0.658, abs=5e-4)
  assert (
    d2l_bleu(
      ["je", "suis", "chez", "moi", "de", "partir", "<unk>", "."],
      ["je", "suis", "chez", "moi", "."],
    )
    < 1
  )
  assert d2l_bleu([], go) == 0 and d2l_bleu(["x"], ["y"]) == 0


def test_papinenis_bleu_needs_every_order():
  assert corpus_bleu(["abcde"], [["abcde"]]) == 1
  assert corpus_bleu(["abc"], [["abd"]]) == 0
  assert (
    corpus_bleu(["aaaa"], [["ab"]], 1) == 0.25
  )  # each match only as often as the reference has it


def slow_bleu(candidates, references, most):
  """Papineni's BLEU by lists and counting, in the order of the paper's equations."""
  logs, length, asked = 0.0, 0, 0
  for n in range(1, most + 1):
    clipped = total = 0
    for text, known in zip(candidates, references, strict=True):
      grams = lambda words, n=n: [words[i : i + n] for i in range(len(words) - n + 1)]
      own = grams(text)
      total += len(own)
      for gram in [each for place, each in enumerate(own) if each not in own[:place]]:
        clipped += min(own.count(gram), max(grams(other).count(gram) for other in known))
    if clipped == 0:
      return 0.0
    logs += math.log(clipped / total) / most
  for text, known in zip(candidates, references, strict=True):
    lengths = sorted(len(other) for other in known)
    asked += min(lengths, key=lambda own, text=text: abs(own - len(text)))
    length += len(text)
  return math.exp(logs) * (1.0 if length > asked else math.exp(1 - asked / length))


@pytest.mark.parametrize("most", (1, 2, 3, 4))
def test_papinenis_bleu_over_several_references_is_the_slow_one(most):
  rng = np.random.default_rng(most)
  text = lambda: [int(word) for word in rng.integers(0, 4, rng.integers(4, 12))]
  for _ in range(20):
    candidates = [text() for _ in range(6)]
    references = [[text() for _ in range(rng.integers(1, 6))] for _ in candidates]
    expected = slow_bleu(candidates, references, most)
    assert corpus_bleu(candidates, references, most) == pytest.approx(expected, rel=1e-12)


def test_sampling_in_order_does_not_depend_on_the_key():
  sampler = sampling.in_order(4)
  one = sampler.indices(jax.random.key(0), 10, 8 + jnp.arange(4))
  np.testing.assert_array_equal(one, [8, 9, 0, 1])


def test_marks_are_in_every_vocabulary():
  assert Vocabulary(("<pad>", "<bos>", "<eos>", "<unk>", "x")).decode([4, 2, 4]) == ["x"]
