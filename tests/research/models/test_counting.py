"""Models that count: n-grams with Kneser-Ney smoothing, and the dictionary of model 1."""

import itertools

import numpy as np
import pytest

from research.models import ngrams, word_by_word

pytestmark = pytest.mark.fast

TEXT = np.random.default_rng(0).integers(0, 5, 300) ** 2 // 4  # tokens 0 to 4, some rare


@pytest.mark.parametrize("order", [1, 2, 4])
def test_the_probabilities_of_all_tokens_sum_to_one(order):
  model = ngrams.count(TEXT, 5, order)
  for context in itertools.product(range(5), repeat=order - 1):
    likelihoods = [
      ngrams.log_likelihoods(model, np.array([*context, token]))[-1] for token in range(5)
    ]
    assert np.exp(likelihoods).sum() == pytest.approx(1, abs=1e-12)
    assert np.isfinite(likelihoods).all()  # a token that never occurred has its share too


def test_a_bigram_is_chen_and_goodmans():
  text = [1, 2, 1, 2, 3, 2]  # the pairs 01 12 21 12 23 32, the first after a token 0 of no text
  model = ngrams.count(np.array(text), 4, 2)
  once, twice = 4, 1
  discount = once / (once + 2 * twice)
  assert model.orders[1].discount == pytest.approx(discount)
  # A token counts by what it follows: 1 follows 0 and 2, 2 follows 1 and 3, 3 follows 2.
  lower = model.orders[0].discount
  unigram = lambda kinds: max(kinds - lower, 0) / 5 + lower * 3 / 5 / 4
  assert unigram(2) > unigram(1) > unigram(0) > 0
  after_two = (1 - discount) / 2 + discount * 2 / 2 * unigram(1)  # 2 was followed by 1 and 3
  assert np.exp(ngrams.log_likelihoods(model, np.array([2, 3])))[1] == pytest.approx(after_two)
  assert np.exp(ngrams.log_likelihoods(model, np.array([0, 3])))[1] == pytest.approx(
    discount * unigram(1)
  )


def test_it_finds_the_perplexity_of_a_text_that_offers_two_tokens_everywhere():
  rng = np.random.default_rng(1)
  follows = rng.permuted(np.tile(np.arange(8), (64, 1)), axis=1)[:, :2].reshape(8, 8, 2)
  text = [0, 1]
  for which in rng.integers(2, size=40_000):
    text.append(int(follows[text[-2], text[-1], which]))
  model = ngrams.count(np.array(text[:36_000]), 8, 3)
  perplexity = np.exp(-ngrams.log_likelihoods(model, np.array(text[36_000:])).mean())
  assert perplexity == pytest.approx(2, abs=0.03)
  shorter = ngrams.count(np.array(text[:36_000]), 8, 1)
  assert np.exp(-ngrams.log_likelihoods(shorter, np.array(text[36_000:])).mean()) > 4


def test_what_cannot_be_counted_is_refused():
  with pytest.raises(ValueError, match="n-grams of 10 among 128"):
    ngrams.count(TEXT, 128, 10)
  with pytest.raises(ValueError, match="empty text"):
    ngrams.count(np.array([], int), 4, 2)


def test_the_dictionary_is_found_although_no_word_is_aligned():
  sources = ["the house", "the book", "a book", "a big house"]
  targets = ["la maison", "la livre", "un livre", "un grande maison"]  # genders would need more
  split = lambda texts: [text.split() for text in texts]
  dictionary = word_by_word.learn(zip(split(sources), split(targets), strict=True), 30)
  found = {word: dictionary[word] for word in ("house", "book", "a", "big")}
  assert found == {"house": "maison", "book": "livre", "a": "un", "big": "grande"}
  assert word_by_word.translate(dictionary, ["a", "red", "house"]) == ["un", "red", "maison"]
