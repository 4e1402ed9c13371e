import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from picture_files import REFUSED, encoded, noise, plain, zipped
from radogaga.images.pixels import square
from radogaga.images.prepare import prepare_images
from radogaga.images.reading import read_images
from radogaga.images.source import Unusable


def one(content: bytes, size: int = 10, crop: int | None = None) -> NDArray[np.uint8]:
    return square(content, size=size, crop=crop)


VALUES = {
    "RGB": (plain((10, 20, 30)), (10, 20, 30)),
    "grey": (plain(77, "L"), (77, 77, 77)),
    "black and white": (plain(1, "1"), (255, 255, 255)),
    "CMYK": (plain((255, 0, 0, 0), "CMYK", "TIFF"), (0, 255, 255)),
    "CMYK as JPEG": (plain((0, 0, 0, 0), "CMYK", "JPEG"), (255, 255, 255)),
    "palette": (encoded(Image.new("RGB", (12, 10), (200, 0, 100)).quantize(4)), (200, 0, 100)),
    "palette, transparent": (plain(0, "P", transparency=0), (255, 255, 255)),
    "opaque": (plain((9, 8, 7, 255), "RGBA"), (9, 8, 7)),
    "transparent": (plain((0, 0, 0, 0), "RGBA"), (255, 255, 255)),
    "half transparent": (plain((0, 100, 200, 128), "RGBA"), (127, 177, 227)),
    "grey, half transparent": (plain((0, 128), "LA"), (127, 127, 127)),
    "a transparent colour": (plain((1, 2, 3), transparency=(1, 2, 3)), (255, 255, 255)),
    "16 bits, white": (plain(65535, "I;16"), (255, 255, 255)),
    "16 bits, middle": (plain(128 * 257, "I;16"), (128, 128, 128)),
    "16 bits, rounded": (plain(300, "I;16"), (1, 1, 1)),
    "16 bits, TIFF": (plain(128 * 257, "I;16", "TIFF"), (128, 128, 128)),
    "16 bits, other end first": (plain(128 * 257, "I;16B", "TIFF"), (128, 128, 128)),
    "16 bits, PGM": (b"P5 12 10 65535\n" + b"\x80\x80" * 120, (128, 128, 128)),
    "GIF": (plain(0, "P", "GIF"), (0, 0, 0)),
    "MPO": (plain(0, kind="MPO", save_all=True, append_images=[Image.new("RGB", (12, 10), "white")]), (0, 0, 0)),
    "WebP": (plain((10, 20, 30), "RGB", "WEBP", lossless=True), (10, 20, 30)),
}


@pytest.mark.parametrize(("content", "colour"), VALUES.values(), ids=VALUES)
def test_every_mode_becomes_8_bit_rgb(content: bytes, colour: tuple[int, ...]) -> None:
    pixels = one(content)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (10, 10, 3)
    np.testing.assert_array_equal(pixels.reshape(-1, 3), np.broadcast_to(colour, (100, 3)))


def test_a_ramp_of_16_bits_is_scaled_and_not_clipped() -> None:
    ramp = np.tile(np.linspace(0, 65535, 16).round().astype(np.uint16), (16, 1))
    pixels = one(encoded(Image.fromarray(ramp)), size=16)
    np.testing.assert_array_equal(pixels[..., 0], np.tile(np.arange(16) * 17, (16, 1)))


TURNS: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: x.transpose(1, 0, 2)[::-1],
    7: lambda x: x[::-1, ::-1].transpose(1, 0, 2),
    8: lambda x: x.transpose(1, 0, 2)[:, ::-1],
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", TURNS)
def test_a_picture_is_turned_upright(orientation: int, kind: str) -> None:
    """As the camera held: `TURNS` is how an upright picture is stored."""
    upright = noise(0, 20, 16)
    exif = Image.Exif()
    exif[0x0112] = orientation
    # 6 is to be turned by 90 degrees clockwise when shown, so it lies turned the other way.
    stored = np.ascontiguousarray(TURNS[orientation](upright))
    content = encoded(stored, kind, exif=exif)
    np.testing.assert_array_equal(one(content, size=16), upright[2:18])


def test_16_bits_are_turned_upright_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    grey = np.arange(100, dtype=np.uint16).reshape(10, 10) * 257
    content = encoded(Image.fromarray(grey), exif=exif)
    np.testing.assert_array_equal(one(content)[..., 0], np.arange(100)[::-1].reshape(10, 10))


def test_the_square_is_from_the_centre() -> None:
    pixels = noise(0, 218, 178)
    content = encoded(pixels)
    np.testing.assert_array_equal(one(content, size=178), pixels[20:198])
    np.testing.assert_array_equal(one(content, size=178, crop=178), pixels[20:198])
    np.testing.assert_array_equal(one(content, size=100, crop=100), pixels[59:159, 39:139])


def test_resizing_down_is_free_of_alias() -> None:
    board = np.indices((128, 128)).sum(0) % 2 * np.uint8(255)
    small = one(encoded(board.astype(np.uint8)), size=32)
    assert np.abs(small.astype(int) - 127.5).max() < 3


@pytest.mark.parametrize(("content", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_unusable_is_said(content: bytes, reason: str) -> None:
    with pytest.raises(Unusable, match=reason) as raised:
        one(content)
    assert "\n" not in str(raised.value)


def test_a_crop_larger_than_the_picture_is_unusable() -> None:
    with pytest.raises(Unusable, match="16 x 20 pixels, less than 17 on a side"):
        one(encoded(noise(0)), crop=17)


@pytest.mark.parametrize("side", [11, 20], ids=["a warning of Pillow", "an error of Pillow"])
def test_a_picture_of_too_many_pixels_is_refused(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    files = {"bomb.png": encoded(noise(0, side, side)), "good.png": encoded(noise(0, 10, 10))}
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prepared = prepare_images(zipped(tmp_path, files), out, size=8)
    assert prepared.skipped == {"bomb.png": "more than 100 pixels"}
    assert read_images(out).names == ("good.png",)
