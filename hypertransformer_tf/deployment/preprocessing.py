"""What is done to a picture before a model or a generated classifier sees it. Needs no TensorFlow.

A picture becomes a square of the model's size and channels exactly as pictures are prepared for meta-training
(`data/decoding.py`), and is then inverted where the user's pictures have the opposite background of the model's.
"""

import dataclasses
import io
import os
from typing import Any, Mapping, Optional, Union

import numpy as np
from PIL import Image, ImageOps

from hypertransformer_tf.config_checks import require_flag, require_one_of, require_whole_number
from hypertransformer_tf.data.background import BACKGROUNDS, background_of
from hypertransformer_tf.data.decoding import decode_image, fit_array
from hypertransformer_tf.errors import UserError

Picture = Union[Image.Image, np.ndarray]

SCALE = "x / 128 - 1"  # what the model does to the uint8 values itself

_COLOURS = {
    1: "to 8-bit grey: (19595 R + 38470 G + 7471 B + 32768) // 65536 (ITU-R 601: 0.299 R + 0.587 G + 0.114 B); 1-bit "
    "pictures to 0 and 255",
    3: "to 8-bit RGB: grey three times; 1-bit pictures to 0 and 255",
}

_WITH_ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """How pictures are prepared.

    Attributes:
      image_size: height and width in pixels.
      channels: 1 for grey, 3 for colour.
      invert: whether 255 - x takes the place of x at the end.

    Raises:
      UserError: a value is of the wrong kind or out of range.
    """

    image_size: int
    channels: int
    invert: bool = False

    def __post_init__(self) -> None:
        require_whole_number("preprocessing.image_size", self.image_size, at_least=1)
        require_one_of("preprocessing.channels", self.channels, (1, 3))
        require_flag("preprocessing.invert", self.invert)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preprocessing":
        """Reads the `preprocessing` of a card. Raises UserError or KeyError."""
        return cls(values["image_size"], values["channels"], values["invert"])

    def to_dict(self) -> dict[str, Any]:
        """For a card: the fields, and in words what a program of another language has to do, step by step."""
        steps = [*_decoding_steps(self.image_size), _COLOURS[self.channels], *_fitting_steps(self.image_size)]
        steps += ["invert: 255 - x"] if self.invert else []
        return {**dataclasses.asdict(self), "scale": SCALE, "steps": [*steps, f"scale: {SCALE}"]}

    def fit(self, picture: Picture, where: str = "the picture") -> np.ndarray:
        """Brings a decoded picture to size and channels, without inverting: what exported classifiers take.

        Args:
          picture: of Pillow, in any mode, as it is (`fit_file` decodes a large JPEG smaller; here that is up to whoever
            opened it); or (H, W) or (H, W, 1, 3 or 4) uint8 or bool.
          where: what to call it in a message.

        Returns:
          (image_size, image_size, channels) uint8.

        Raises:
          UserError: it cannot be used.
        """
        pixels = _pixels(picture) if isinstance(picture, Image.Image) else picture
        if isinstance(pixels, bytes):
            return decode_image(pixels, where, self.image_size, self.channels)
        array = np.asarray(pixels)
        array = array[:, :, np.newaxis] if array.ndim == 2 else array
        return fit_array(array[np.newaxis], where, self.image_size, self.channels)[0]

    def fit_file(self, path: Union[str, os.PathLike], where: Optional[str] = None) -> np.ndarray:
        """`fit` for a picture file of any format that Pillow reads. Raises UserError, see `data/decoding.py`."""
        return decode_image(path, str(path) if where is None else where, self.image_size, self.channels)

    def apply(self, picture: Picture, where: str = "the picture") -> np.ndarray:
        """`fit`, then inverted where `invert` says so: what the model takes."""
        return self.finish(self.fit(picture, where))

    def finish(self, fitted: np.ndarray) -> np.ndarray:
        """Inverts fitted pictures (..., C) uint8 where `invert` says so."""
        return 255 - fitted if self.invert else fitted


def _decoding_steps(image_size: int) -> list[str]:
    """What `data/decoding.py` does to a file until it has 8 bits and no transparency."""
    return [
        "of an animation or a file of several pages take the first frame",
        "decode a JPEG of width W and height H at 1/d of its size, sides rounded up, in libjpeg's scaled inverse DCT "
        f"(Pillow's draft): d is the largest of 8, 4, 2 and 1 that is at most min(W // {2 * image_size}, "
        f"H // {2 * image_size}), and 1 for smaller ones",
        "apply the EXIF orientation",
        "16-bit grey becomes (255 x + 32767) // 65535, without its transparency if it has any; other pictures of more "
        "than 8 bits are read as Pillow reads them (16-bit RGB PNGs are cut to their upper 8 bits)",
        "put transparent parts on white: (alpha x + (255 - alpha) 255) / 255, rounded; palette and CMYK colours become "
        "RGB",
    ]


def _fitting_steps(image_size: int) -> list[str]:
    """What `data/decoding.py` does to an 8-bit picture that is grey or RGB."""
    return [
        f"resize W x H, with L the longer of the two, to w x h: w = max(1, round(W * ({image_size} / L))) and "
        f"h = max(1, round(H * ({image_size} / L))) in double precision, halves to the even number; nothing is done "
        "where that is the size already. When shrinking, a pixel is the mean of the pixels whose centres lie in its "
        "area, right and lower edge included (Pillow's BOX); when enlarging, it is interpolated linearly between their "
        "centres (Pillow's BILINEAR); first along rows, then along columns, rounded to 8 bits each time",
        f"place in a square of {image_size} x {image_size} at column ({image_size} - w) // 2 and row "
        f"({image_size} - h) // 2, counted from 0: what is left over when odd is right and below. The rest has, per "
        "channel, the median of the first and last row and first and last column before resizing (corners count twice; "
        "of an even number the mean of the middle two, cut to a whole number)",
    ]


def should_invert(images: np.ndarray, background: Optional[str]) -> bool:
    """Whether support pictures (N, H, W, C) uint8 have the opposite of the background the model was trained with.

    Args:
      images: fitted, not inverted.
      background: the model's: `light`, `dark`, or None for a model that was trained with any (never invert).
    """
    require_one_of("background", background, BACKGROUNDS)
    return background is not None and background_of(images) != background


def _pixels(picture: Image.Image) -> Union[np.ndarray, bytes]:
    """Of a Pillow picture the array that `fit_array` takes; where there is none, an encoded copy."""
    picture = ImageOps.exif_transpose(picture)
    if picture.mode == "F":
        raise UserError("a Pillow picture of mode 'F' has no fixed white: convert it to 8 bits first.")
    if picture.mode.startswith("I"):  # 16 bits, which the decoder scales
        encoded = io.BytesIO()
        picture.save(encoded, "TIFF")
        return encoded.getvalue()
    if picture.mode in _WITH_ALPHA or "transparency" in picture.info:
        return np.asarray(picture.convert("RGBA"))
    return np.asarray(picture if picture.mode in ("1", "L", "RGB") else picture.convert("RGB"))
