import io

import numpy as np
import pytest

from research.figures.image_grids import image_grid, misclassified_gallery

pytestmark = pytest.mark.fast


def captions(figure):
  return [text.get_text() for axes in figure.axes for text in axes.texts]


def shown_images(figure):
  return [image for axes in figure.axes for image in axes.get_images()]


def png(figure):
  buffer = io.BytesIO()
  figure.savefig(buffer, format="png")
  return buffer.getvalue()


def test_the_gallery_shows_the_first_mistakes_in_order():
  images = np.stack([np.full((4, 4), k / 10) for k in range(6)])
  labels, predictions = [0, 1, 2, 3, 4, 5], [0, 2, 2, 8, 9, 5]
  figure = misclassified_gallery(
    images, labels, predictions, title="errors", limit=2, caption=""
  ).figure
  assert captions(figure) == ["1 → 2", "3 → 8"]
  assert "3 of 6 wrong; the first 2" in figure._supxlabel.get_text()
  first, second = (image.get_array() for image in shown_images(figure))
  assert (first.max(), second.max()) == (0.0, 1.0)


def test_class_names_take_the_place_of_numbers():
  figure = misclassified_gallery(
    np.zeros((1, 2, 2)), [0], [1], title="errors", class_names=["Shirt", "Coat"], caption=""
  ).figure
  assert captions(figure) == ["Shirt\n→ Coat"]


def test_a_gallery_without_mistakes_says_so():
  figure = misclassified_gallery(
    np.zeros((3, 2, 2)), [1, 1, 1], [1, 1, 1], title="errors", caption=""
  ).figure
  assert captions(figure) == ["0 of 3 wrong"]
  assert png(image_grid(np.zeros((0, 2, 2)), title="none", caption="").figure)


def test_wrong_shapes_are_refused():
  with pytest.raises(ValueError, match="captions"):
    image_grid(np.zeros((2, 4, 4)), title="two", captions=["one"], caption="")
  with pytest.raises(ValueError, match="height"):
    image_grid(np.zeros((2, 4, 4, 2)), title="two channels", caption="")
  with pytest.raises(ValueError, match="labels"):
    misclassified_gallery(np.zeros((2, 4, 4)), [1], [2, 2], title="errors", caption="")


@pytest.mark.parametrize("shape", [(5, 4, 4), (5, 4, 4, 1), (5, 4, 4, 3)])
def test_grey_and_colour_images_are_drawn(shape):
  assert png(
    image_grid(np.random.default_rng(0).random(shape), title="images", columns=3, caption="").figure
  )
