"""Boxes that may hold an object: regions grouped by likeness, and a grid of windows as control.

An image is cut into regions by the graph-based segmentation of Felzenszwalb and Huttenlocher 2004,
"Efficient graph-based image segmentation". Selective search (Uijlings et al. 2013, "Selective
search for object recognition") joins the two neighbours that are most alike, again and again, until
one region is left; the boxes around all regions that there ever were are the proposals. Several
scales of the first segmentation give several sets of them.

Everything runs on the host, on grey images [height, width] of levels 0 to 255.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.ndimage
from jaxtyping import Float, Int, Num

Image = Num[np.ndarray, "height width"]
Regions = Int[np.ndarray, "height width"]

COLOUR_BINS, TEXTURE_BINS, DIRECTIONS = 25, 10, 8


class Edges(NamedTuple):
  """Pairs of neighbouring pixels, the most alike first.

  Attributes:
    weight: the difference of their levels.
    ends: the numbers of both pixels, counted along the rows.
  """

  weight: Float[np.ndarray, " edges"]
  ends: Int[np.ndarray, "2 edges"]


class Groups(NamedTuple):
  """Regions that are being joined; those that are gone keep their rows.

  Attributes:
    size: pixels.
    box: around each, as (top, left, bottom, right), ends excluded.
    colour: histogram of levels, of sum 1.
    texture: histogram of slopes in each direction, of sum 1.
    area: of the whole image, in pixels.
  """

  size: Float[np.ndarray, " regions"]
  box: Int[np.ndarray, "regions 4"]
  colour: Float[np.ndarray, "regions bins"]
  texture: Float[np.ndarray, "regions bins"]
  area: int


def propose(
  image: Image,
  scales: Sequence[float] = (20.0, 80.0),
  smallest: int = 8,
  lengths: tuple[int, int] = (12, 40),
) -> Int[np.ndarray, "boxes 4"]:
  """Boxes around the regions of selective search, each once, in the order of their corners.

  Args:
    image: levels of grey.
    scales: of the first segmentations; see `segment`.
    smallest: pixels of a region of the first segmentations.
    lengths: of the longer side of a box, in pixels, from and to; the shorter one has at least four.
  """
  found = [group(image, segment(image, scale, smallest)) for scale in scales]
  boxes = np.unique(np.concatenate(found), axis=0)
  sides = boxes[:, 2:] - boxes[:, :2]
  longest = sides.max(axis=1)
  return boxes[(longest >= lengths[0]) & (longest <= lengths[1]) & (sides.min(axis=1) >= 4)]


def grid(
  shape: tuple[int, int],
  sides: Sequence[int] = (18, 26),
  aspects: Sequence[float] = (0.8,),
  stride: float = 0.5,
) -> Int[np.ndarray, "boxes 4"]:
  """Windows in all places of a grid.

  Args:
    shape: height and width of the image.
    sides: heights of windows in pixels.
    aspects: their widths, as a share of the height.
    stride: between neighbours, as a share of the window's own side.
  """
  boxes = []
  for height, aspect in itertools.product(sides, aspects):
    window = height, round(height * aspect)
    begins = [_begins(whole, side, stride) for whole, side in zip(shape, window, strict=True)]
    boxes += [
      (top, left, top + window[0], left + window[1]) for top, left in itertools.product(*begins)
    ]
  return np.unique(np.array(boxes, int).reshape(-1, 4), axis=0)


def segment(image: Image, scale: float, smallest: int, smoothing: float = 0.8) -> Regions:
  """Regions by Felzenszwalb and Huttenlocher's rule, numbered from 0.

  Two regions are joined along an edge no heavier than the heaviest edge of either's minimum
  spanning tree, plus `scale` over its pixels. Regions of fewer than `smallest` pixels then join a
  neighbour.

  Args:
    image: levels of grey.
    scale: larger for larger regions, in levels times pixels.
    smallest: pixels.
    smoothing: deviation of the Gaussian that is applied first, in pixels.
  """
  edges = _edges(scipy.ndimage.gaussian_filter(image.astype(float), smoothing, truncate=4.0))
  region = list(range(image.size))  # of each pixel
  pixels = [[pixel] for pixel in region]  # of each region
  limit = [float(scale)] * image.size  # the heaviest edge, plus the scale over the pixels

  def join(a: int, b: int) -> int:
    large, small = (a, b) if len(pixels[a]) >= len(pixels[b]) else (b, a)
    for pixel in pixels[small]:
      region[pixel] = large
    pixels[large] += pixels[small]
    return large

  for weight, one, other in zip(edges.weight.tolist(), *edges.ends.tolist(), strict=True):
    a, b = region[one], region[other]
    if a != b and weight <= limit[a] and weight <= limit[b]:
      both = join(a, b)
      limit[both] = weight + scale / len(pixels[both])
  found = np.array(region)
  ends = edges.ends[:, found[edges.ends[0]] != found[edges.ends[1]]]
  for one, other in zip(*ends.tolist(), strict=True):
    a, b = region[one], region[other]
    if a != b and min(len(pixels[a]), len(pixels[b])) < smallest:
      join(a, b)
  return np.unique(region, return_inverse=True)[1].reshape(image.shape)


def group(image: Image, regions: Regions) -> Int[np.ndarray, "boxes 4"]:
  """Boxes around all regions: the first, then each that the two neighbours most alike become.

  Likeness is that of `likeness`; of equal ones the first pair is taken.
  """
  groups = _describe(image, regions)
  boxes = list(groups.box.copy())
  is_near = _neighbours(regions)
  alike = np.full(is_near.shape, -np.inf)
  for number, near in enumerate(is_near):
    alike[number, near] = likeness(groups, number)[near]
  for _ in range(len(boxes) - 1):
    kept, gone = divmod(int(alike.argmax()), len(alike))
    _join(groups, kept, gone)
    boxes.append(groups.box[kept].copy())
    is_near[kept] |= is_near[gone]
    is_near[:, kept] |= is_near[:, gone]
    is_near[gone] = is_near[:, gone] = is_near[kept, kept] = False
    now = np.where(is_near[kept], likeness(groups, kept), -np.inf)
    alike[gone] = alike[:, gone] = -np.inf
    alike[kept] = alike[:, kept] = now
  return np.array(boxes)


def likeness(groups: Groups, number: int) -> Float[np.ndarray, " regions"]:
  """Likeness of a region to each other one (Uijlings et al. 2013, section 3.2).

  The sum of four parts from 0 to 1: common colour, common texture, small size of both together, and
  how little of the box around both is in neither.
  """
  size, box, colour, texture, area = groups
  common = lambda bins: np.minimum(bins, bins[number]).sum(axis=1)
  around = _around(box, box[number])
  filled = (around[:, 2:] - around[:, :2]).prod(axis=1) - size - size[number]
  return common(colour) + common(texture) + (1 - (size + size[number]) / area) + 1 - filled / area


def _join(groups: Groups, kept: int, gone: int) -> None:
  """Makes the first region both; its histograms are their means, weighted by the pixels."""
  share = groups.size[gone] / (groups.size[kept] + groups.size[gone])
  for bins in (groups.colour, groups.texture):
    bins[kept] = (1 - share) * bins[kept] + share * bins[gone]
  groups.size[kept] += groups.size[gone]
  groups.box[kept] = _around(groups.box[kept][None], groups.box[gone])[0]


def _around(
  boxes: Int[np.ndarray, "boxes 4"], other: Int[np.ndarray, "4"]
) -> Int[np.ndarray, "boxes 4"]:
  least = np.minimum(boxes[:, :2], other[:2])
  return np.concatenate([least, np.maximum(boxes[:, 2:], other[2:])], axis=1)


def _edges(image: Float[np.ndarray, "height width"]) -> Edges:
  """All pairs of neighbours, eight for each pixel within."""
  numbers = np.arange(image.size).reshape(image.shape)
  weights, ends = [], []
  for one, other in _pairs():
    weights.append(np.abs(image[one] - image[other]).ravel())
    ends.append(np.stack([numbers[one].ravel(), numbers[other].ravel()]))
  weight = np.concatenate(weights)
  order = np.argsort(weight, kind="stable")
  return Edges(weight[order], np.concatenate(ends, axis=1)[:, order])


def _pairs() -> list[tuple[tuple[slice, slice], tuple[slice, slice]]]:
  """Cuts of an image and of the same one moved to the right, down, and along both diagonals."""
  whole, first, last = slice(None), slice(None, -1), slice(1, None)
  return [
    ((whole, first), (whole, last)),
    ((first, whole), (last, whole)),
    ((first, first), (last, last)),
    ((first, last), (last, first)),
  ]


def _neighbours(regions: Regions) -> np.ndarray:
  """Tells which regions touch, also by a corner; [regions, regions]."""
  count = regions.max() + 1
  is_near = np.zeros((count, count), bool)
  for one, other in _pairs():
    is_near[regions[one], regions[other]] = True
  is_near |= is_near.T
  np.fill_diagonal(is_near, False)
  return is_near


def _describe(image: Image, regions: Regions) -> Groups:
  flat, count = regions.ravel(), regions.max() + 1
  size = np.bincount(flat).astype(float)
  slices = scipy.ndimage.find_objects(regions + 1)
  box = np.array([(y.start, x.start, y.stop, x.stop) for y, x in slices])
  colour = _histogram(image.astype(float), flat, count, COLOUR_BINS, 256.0)
  slopes = [
    scipy.ndimage.gaussian_filter(image.astype(float), 1.0, order=o) for o in ((1, 0), (0, 1))
  ]
  texture = []
  for turn in np.arange(DIRECTIONS) * 2 * np.pi / DIRECTIONS:
    along = np.maximum(np.sin(turn) * slopes[0] + np.cos(turn) * slopes[1], 0)
    texture.append(_histogram(along, flat, count, TEXTURE_BINS, 128.0))
  return Groups(size, box, colour, np.concatenate(texture, axis=1) / DIRECTIONS, image.size)


def _histogram(
  values: Float[np.ndarray, "height width"],
  flat: Int[np.ndarray, " pixels"],
  count: int,
  bins: int,
  end: float,
) -> Float[np.ndarray, "regions bins"]:
  """The share of each region's pixels in each of the bins from 0 to `end`."""
  place = np.minimum((values.ravel() * bins / end).astype(int), bins - 1)
  counts = np.bincount(flat * bins + place, minlength=count * bins).reshape(count, bins)
  return counts / counts.sum(axis=1, keepdims=True)


def _begins(whole: int, side: int, stride: float) -> list[int]:
  """Places from the first to the last that a window fits in, at most about the stride apart."""
  room = whole - side
  if room < 0:
    return []
  steps = int(np.ceil(room / max(1.0, stride * side)))
  return sorted({round(place) for place in np.linspace(0, room, steps + 1)})
