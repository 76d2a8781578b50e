"""One image file as an array: every format, and files that are no images."""

import struct
import threading
import warnings
import zlib

import numpy as np
import PIL.Image
import pytest

from research.data import image_files
from research.data.image_files import look, read_image, read_images
from research.errors import UserError

pytestmark = pytest.mark.fast

RAMP = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)


def saved(path, image, **options):
  image.save(path, **options)
  return path


@pytest.mark.parametrize("suffix", ["png", "gif", "bmp"])
def test_grey_pixels_come_as_they_are(tmp_path, suffix):
  file = saved(tmp_path / f"a.{suffix}", PIL.Image.fromarray(RAMP))
  assert look(file) == (4, 6, False)
  np.testing.assert_array_equal(read_image(file, (4, 6, 1))[..., 0], RAMP)
  np.testing.assert_array_equal(read_image(file, (4, 6, 3)), np.stack([RAMP] * 3, axis=-1))


def test_a_jpeg_comes_nearly_as_it_is(tmp_path):
  file = saved(tmp_path / "a.jpg", PIL.Image.fromarray(RAMP), quality=95)
  assert np.abs(read_image(file, (4, 6, 1))[..., 0].astype(int) - RAMP).max() < 8


def test_sixteen_bits_become_eight(tmp_path):
  deep = PIL.Image.fromarray(RAMP.astype(np.uint16) * 257)
  file = saved(tmp_path / "deep.png", deep)
  assert look(file) == (4, 6, False)
  np.testing.assert_array_equal(read_image(file, (4, 6, 1))[..., 0], RAMP)


def test_a_palette_has_its_colours(tmp_path):
  image = PIL.Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), mode="P")
  image.putpalette([255, 0, 0, 0, 0, 255])
  file = saved(tmp_path / "a.png", image)
  assert look(file).is_colour
  np.testing.assert_array_equal(read_image(file, (2, 2, 3))[0], [[255, 0, 0], [0, 0, 255]])


def test_transparency_lies_over_white(tmp_path):
  pixels = np.zeros((1, 3, 4), np.uint8)
  pixels[0, :, 3] = (255, 0, 51)  # black that is solid, absent, and a fifth there
  file = saved(tmp_path / "a.png", PIL.Image.fromarray(pixels))
  np.testing.assert_array_equal(read_image(file, (1, 3, 3))[0, :, 0], [0, 255, 204])


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_exif_turns_an_image(tmp_path, suffix):
  exif = PIL.Image.Exif()
  exif[0x0112] = 6  # to be turned by a quarter, clockwise
  stripes = np.repeat(np.uint8([[250], [10]]), [8, 16], axis=0).repeat(16, axis=1)
  file = saved(tmp_path / f"a.{suffix}", PIL.Image.fromarray(stripes), exif=exif)
  assert look(file)[:2] == (16, 24)
  turned = read_image(file, (16, 24, 1))[..., 0]
  assert turned[:, :16].max() < 20 and turned[:, 16:].min() > 240


def test_another_size_is_covered_and_cut_in_the_middle(tmp_path):
  wide = np.zeros((8, 32), np.uint8)
  wide[:, 10:22] = 200  # the middle square, and what a filter sees beside it
  file = saved(tmp_path / "a.png", PIL.Image.fromarray(wide))
  np.testing.assert_array_equal(read_image(file, (4, 4, 1)), np.full((4, 4, 1), 200))
  assert read_image(file, (20, 7, 3)).shape == (20, 7, 3)


def png_that_claims(width, height):
  def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

  head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
  pixels = zlib.compress(bytes(10_000_000))
  return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
  ("content", "reason"),
  [
    (b"", "the file is empty"),
    (b"\x89PNG\r\n\x1a\nnothing", "no image that can be read"),
    (b"GIF89a" + bytes(3), "no image that can be read"),
    (png_that_claims(100_000, 100_000), "larger than 67,108,864 pixels"),
    (png_that_claims(9000, 9000), "larger than 67,108,864 pixels"),
  ],
)
def test_what_is_no_image_is_refused_in_a_line_that_names_it(tmp_path, content, reason):
  file = tmp_path / "odd.png"
  file.write_bytes(content)
  for read in (look, lambda file: read_image(file, (4, 4, 3))):
    with pytest.raises(UserError, match=reason) as refusal:
      read(file)
    assert "odd.png" in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_file_that_ends_early_is_refused(tmp_path):
  for suffix in ("png", "jpg"):
    file = saved(tmp_path / f"a.{suffix}", PIL.Image.effect_noise((64, 64), 90))
    file.write_bytes(file.read_bytes()[:700])
    with pytest.raises(UserError, match=f"a.{suffix} is no image"):
      read_image(file, (64, 64, 1))


def test_threads_keep_the_order_of_images_and_leave_warnings_as_they_were(tmp_path, monkeypatch):
  """The second image is begun before the first is done, and done after it."""
  files = [saved(tmp_path / f"{n}.png", PIL.Image.fromarray(RAMP + n)) for n in range(2)]
  is_begun, is_done = [threading.Event() for _ in files], threading.Event()
  opened = PIL.Image.open

  def read(file, shape):
    if file == files[1]:
      assert is_begun[0].wait(10)
    pixels = read_image(file, shape)
    if file == files[0]:
      is_done.set()
    return pixels

  def crossing(file):
    is_begun[files.index(file)].set()
    assert (is_begun[1] if file == files[0] else is_done).wait(10)
    return opened(file)

  monkeypatch.setattr(image_files.os, "cpu_count", lambda: 2)
  monkeypatch.setattr(image_files, "read_image", read)
  monkeypatch.setattr(PIL.Image, "open", crossing)
  before = list(warnings.filters)
  pixels = read_images(files, (4, 6, 1))
  assert warnings.filters == before
  np.testing.assert_array_equal(pixels[..., 0], [RAMP, RAMP + 1])
