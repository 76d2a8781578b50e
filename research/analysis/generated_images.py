"""Measures of generated images, beside real ones: distances between sets of points.

Points are images, or features of them, as rows; distances are Euclidean.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.special
from jaxtyping import Float, Int

Points = Float[np.ndarray, "point feature"]
Labels = Int[np.ndarray, " point"]
CHUNK = 1000  # points whose distances to all others are in memory at once
NEIGHBOURS = 5
MOST = 5000  # points among which density and coverage are counted


class Neighbours(NamedTuple):
  """The nearest of a set's points to each of some others, the nearest first.

  Attributes:
    places: in the set.
    distances: to them.
  """

  places: Int[np.ndarray, "point neighbour"]
  distances: Float[np.ndarray, "point neighbour"]


class Measured(NamedTuple):
  """Measures of labelled images, beside those of a test set.

  Attributes:
    error: of the 1-nearest-neighbour classifier whose training set they are.
    frechet: distance in the space of features.
    density: and `coverage`, in the same space.
    coverage: the share of test images with one of the images near by.
  """

  error: float
  frechet: float
  density: float
  coverage: float


class Labelled(NamedTuple):
  """Images in [0, 1], their labels, and their features by some network."""

  images: Float[np.ndarray, "image height width channel"]
  labels: Labels
  features: Points

  @property
  def pixels(self) -> Points:
    """The images as points."""
    return _as_points(self.images)


def measured(found: Labelled, test: Labelled) -> Measured:
  """Measures images by their pixels and their features; the first few thousand by their density."""
  error = nearest_neighbour_error(found.pixels, found.labels, test.pixels, test.labels)
  both = density_and_coverage(test.features[:MOST], found.features[:MOST])
  return Measured(error, frechet_distance(found.features, test.features), *both)


def nearest(points: Points, among: Points, count: int = 1) -> Neighbours:
  """Finds the nearest `count` of `among` to each point, by all distances."""
  parts = [_smallest(squares, count) for squares in _squared_distances(points, among)]
  places, squares = map(np.concatenate, zip(*parts, strict=True))
  return Neighbours(places, np.sqrt(squares))


def nearest_images(
  images: Float[np.ndarray, "image height width channel"],
  among: Float[np.ndarray, "other height width channel"],
) -> Neighbours:
  """Finds the nearest of some images to each of others, by all pixels."""
  return nearest(_as_points(images), _as_points(among))


def nearest_neighbour_error(
  points: Points, labels: Labels, test_points: Points, test_labels: Labels
) -> float:
  """The test error of the 1-nearest-neighbour classifier whose training set these points are.

  With generated points, labelled by what they were generated for, it is the test of conditional
  samples of Radford et al. 2016, section 5.2: images of one label that are all alike, or of several
  labels mixed up, classify badly.
  """
  found = nearest(test_points, points).places[:, 0]
  return float(np.mean(labels[found] != test_labels))


def frechet_distance(first: Points, second: Points) -> float:
  """The Frechet distance of two normal distributions with the points' means and covariances.

  |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) (Heusel et al. 2017, equation 6). It is the FID only
  where the features are Inception's.
  """
  means = [points.mean(axis=0, dtype=np.float64) for points in (first, second)]
  covariances = [np.atleast_2d(np.cov(points, rowvar=False)) for points in (first, second)]
  root = _root(covariances[0])
  # C1 C2 has the eigenvalues of the symmetric C1^(1/2) C2 C1^(1/2).
  values = scipy.linalg.eigvalsh(root @ covariances[1] @ root)
  of_product = np.sqrt(np.maximum(values, 0)).sum()
  squares = np.square(means[0] - means[1]).sum()
  return float(squares + sum(map(np.trace, covariances)) - 2 * of_product)


def coarse_distance(
  first: Float[np.ndarray, "image height width channel"],
  second: Float[np.ndarray, "image height width channel"],
) -> float:
  """The Frechet distance of images that are averaged over squares of four by four pixels.

  Height and width are multiples of four. It needs no network, and so ranks while players learn.
  """
  blocks = lambda x: x.reshape(len(x), x.shape[1] // 4, 4, -1, 4, x.shape[3]).mean(axis=(2, 4))
  return frechet_distance(_as_points(blocks(first)), _as_points(blocks(second)))


class Density(NamedTuple):
  """Fidelity and diversity of generated points (Naeem et al. 2020, equations 4 and 5).

  Attributes:
    density: how many real points' balls hold a generated point, in the mean, over `neighbours`; 1
      is expected of equal distributions.
    coverage: the share of the real points whose ball holds a generated point.
  """

  density: float
  coverage: float


def density_and_coverage(real: Points, generated: Points, neighbours: int = NEIGHBOURS) -> Density:
  """Counts generated points in balls around the real ones, which reach to their k-th neighbours.

  A real point is no neighbour of its own.
  """
  radii = nearest(real, real, neighbours + 1).distances[:, -1]
  held = np.zeros(len(real), int)
  for squares in _squared_distances(generated, real):
    held += (squares < np.square(radii)[None]).sum(axis=0)
  return Density(float(held.sum()) / (neighbours * len(generated)), float(np.mean(held > 0)))


def class_entropy(answers: Labels, classes: int) -> float:
  """Entropy of the histogram of classes, in nats: log(classes) where all are equally frequent."""
  shares = np.bincount(answers, minlength=classes) / len(answers)
  return float(scipy.special.entr(shares).sum())


def between(
  first: Float[np.ndarray, " latent"], second: Float[np.ndarray, " latent"], count: int
) -> Float[np.ndarray, "count latent"]:
  """Points at equal distances on the line from one to the other, both ends among them."""
  shares = np.linspace(0, 1, count)[:, None]
  return (1 - shares) * first + shares * second


def _as_points(images: Float[np.ndarray, "image height width channel"]) -> Points:
  return images.reshape(len(images), -1)


def _smallest(values: Points, count: int) -> tuple[Int[np.ndarray, "point place"], Points]:
  """The smallest `count` of each row, in order: their places and themselves."""
  if count == 1:  # many times as fast
    places = values.argmin(axis=1)[:, None]
    return places, np.take_along_axis(values, places, axis=1)
  places = np.argpartition(values, count - 1, axis=1)[:, :count]
  found = np.take_along_axis(values, places, axis=1)
  order = np.argsort(found, axis=1, kind="stable")
  return np.take_along_axis(places, order, axis=1), np.take_along_axis(found, order, axis=1)


def _squared_distances(
  points: Points, others: Points
) -> Iterator[Float[np.ndarray, "chunk other"]]:
  """Squared distances of some points after the other from all others."""
  others = np.ascontiguousarray(others)
  squares = np.square(others).sum(axis=1)
  for start in range(0, len(points), CHUNK):
    some = points[start : start + CHUNK]
    products = some @ others.T
    found = np.square(some).sum(axis=1)[:, None] + squares[None] - 2 * products
    yield np.maximum(found, 0)


def _root(covariance: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
  """The symmetric square root."""
  values, vectors = scipy.linalg.eigh(covariance)
  return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
