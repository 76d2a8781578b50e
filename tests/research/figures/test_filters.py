import numpy as np
import pytest

from research.figures.filters import filter_montage, tile

pytestmark = pytest.mark.fast


def shown_images(figure):
  return [image for axes in figure.axes for image in axes.get_images()]


@pytest.mark.parametrize("channels", [1, 3])
def test_every_weight_is_in_the_montage_once_and_upright(channels):
  kernels = np.arange(2 * 3 * channels * 7.0).reshape(2, 3, channels, 7)
  montage = tile(kernels, columns=4)
  assert sorted(montage[~np.isnan(montage)]) == sorted(kernels.ravel())
  gap = 1 if channels == 1 else 2
  np.testing.assert_array_equal(montage[gap : gap + 2, gap : gap + 3], kernels[:, :, 0, 0])
  second_row = 2 * gap + 2
  np.testing.assert_array_equal(
    montage[second_row : second_row + 2, gap : gap + 3], kernels[:, :, 0, 4]
  )


def test_filters_share_one_symmetric_scale_with_black_for_large_weights():
  before, after = np.full((5, 5, 1, 30), 0.01), np.full((5, 5, 1, 30), -0.4)
  figure = filter_montage({"before": before, "after": after}, title="filters", caption="").figure
  limits = {image.get_clim() for image in shown_images(figure)}
  assert limits == {(-0.4, 0.4)}
  assert sum(shown_images(figure)[0].cmap(1.0)[:3]) < sum(shown_images(figure)[0].cmap(0.0)[:3])
  own = filter_montage(
    {"before": before, "after": after}, title="filters", shared_scale=False, caption=""
  ).figure
  assert [image.get_clim() for image in shown_images(own)] == [(-0.01, 0.01), (-0.4, 0.4)]


def test_filters_of_another_shape_are_named():
  with pytest.raises(ValueError, match="'after'"):
    filter_montage({"after": np.zeros((5, 5, 30))}, title="filters", caption="")
