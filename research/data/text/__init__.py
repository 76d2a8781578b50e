"""Text data: vocabularies, corpora, generated tasks."""
