"""Measures of generated images equal slow references on random input."""

import itertools

import numpy as np
import pytest
import scipy.linalg

from research.analysis import generated_images as measures

pytestmark = pytest.mark.fast

RNG = np.random.default_rng(0)
FEW, MANY = RNG.normal(size=(23, 4)), RNG.normal(0.3, 1.2, (31, 4))


def distance(a, b):
  return float(np.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True))))


def in_order(point, among):
  return sorted(range(len(among)), key=lambda place: distance(point, among[place]))


@pytest.mark.parametrize("count", [1, 4])
def test_the_nearest_are_found_in_order_whatever_the_chunks(monkeypatch, count):
  monkeypatch.setattr(measures, "CHUNK", 5)
  found = measures.nearest(FEW, MANY, count)
  expected = [in_order(point, MANY)[:count] for point in FEW]
  assert found.places.tolist() == expected
  for point, places, distances in zip(FEW, expected, found.distances, strict=True):
    np.testing.assert_allclose(distances, [distance(point, MANY[place]) for place in places])


def test_the_error_of_the_nearest_neighbour():
  labels, test_labels = RNG.integers(0, 3, len(MANY)), RNG.integers(0, 3, len(FEW))
  wrong = sum(
    labels[in_order(point, MANY)[0]] != label for point, label in zip(FEW, test_labels, strict=True)
  )
  found = measures.nearest_neighbour_error(MANY, labels, FEW, test_labels)
  assert 0 < wrong < len(FEW) and found == pytest.approx(wrong / len(FEW))


def test_the_frechet_distance_by_the_root_of_the_product():
  def moments(points):
    mean = sum(points) / len(points)
    return mean, sum(np.outer(p - mean, p - mean) for p in points) / (len(points) - 1)

  (m1, c1), (m2, c2) = moments(FEW), moments(MANY)
  root = scipy.linalg.sqrtm(c1 @ c2).real
  expected = distance(m1, m2) ** 2 + np.trace(c1 + c2 - 2 * root)
  assert measures.frechet_distance(FEW, MANY) == pytest.approx(expected)
  assert measures.frechet_distance(FEW, FEW) == pytest.approx(0, abs=1e-9)
  assert measures.frechet_distance(FEW, FEW + 2) == pytest.approx(16)


def test_the_frechet_distance_where_features_are_silent_or_equal():
  silent = FEW * [1, 0, 1, 0]
  shifted = silent + np.array([0, 3, 0, 0])
  assert measures.frechet_distance(silent, shifted) == pytest.approx(9)
  assert measures.frechet_distance(FEW[:3], FEW[:3]) == pytest.approx(0, abs=1e-6)


def test_coarse_images_are_means_of_squares():
  first, second = RNG.random((40, 8, 12, 1)), RNG.random((30, 8, 12, 1))
  coarse = lambda images: np.array(
    [
      [image[4 * r : 4 * r + 4, 4 * c : 4 * c + 4].mean() for r in range(2) for c in range(3)]
      for image in images
    ]
  )
  expected = measures.frechet_distance(coarse(first), coarse(second))
  assert measures.coarse_distance(first, second) == pytest.approx(expected)


@pytest.mark.parametrize("neighbours", [1, 3])
def test_density_and_coverage_by_their_definitions(monkeypatch, neighbours):
  monkeypatch.setattr(measures, "CHUNK", 7)
  others = lambda own: [MANY[place] for place in range(len(MANY)) if place != own]
  radii = [
    sorted(distance(point, other) for other in others(own))[neighbours - 1]
    for own, point in enumerate(MANY)
  ]
  inside = [
    (place, own)
    for (own, point), place in itertools.product(enumerate(MANY), range(len(FEW)))
    if distance(point, FEW[place]) < radii[own]
  ]
  found = measures.density_and_coverage(MANY, FEW, neighbours)
  assert found.density == pytest.approx(len(inside) / (neighbours * len(FEW)))
  assert found.coverage == pytest.approx(len({own for _, own in inside}) / len(MANY))
  assert 0 < found.coverage < 1


def test_entropy_and_the_line_between():
  assert measures.class_entropy(np.array([0, 1, 2, 3]), 4) == pytest.approx(np.log(4))
  assert measures.class_entropy(np.array([2, 2, 2]), 4) == 0
  shares = np.array([3, 1]) / 4
  expected = -(shares * np.log(shares)).sum()
  assert measures.class_entropy(np.array([0, 0, 5, 0]), 6) == pytest.approx(expected)
  line = measures.between(np.array([0.0, 1]), np.array([4.0, -1]), 5)
  np.testing.assert_allclose(line, [[0, 1], [1, 0.5], [2, 0], [3, -0.5], [4, -1]])


def test_images_are_measured_by_pixels_and_by_features():
  images = lambda points: points.reshape(-1, 2, 2, 1)
  found = measures.Labelled(images(FEW), np.arange(len(FEW)) % 2, FEW[:, :2])
  test = measures.Labelled(images(MANY), np.arange(len(MANY)) % 2, MANY[:, :2])
  measured = measures.measured(found, test)
  assert measured.error == measures.nearest_neighbour_error(FEW, found.labels, MANY, test.labels)
  assert measured.frechet == measures.frechet_distance(FEW[:, :2], MANY[:, :2])
  assert measured[2:] == measures.density_and_coverage(MANY[:, :2], FEW[:, :2])
