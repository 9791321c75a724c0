"""One picture file or array -> one square uint8 image with the wanted size and channels.

A picture that is not square is scaled until its longer side fits and is set in the middle of a square
filled with the median colour of its own border: nothing is cut off and nothing is distorted.
"""

import io
import os
from typing import Union

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from hypertransformer_tf.errors import UserError

MAX_PIXELS = 80_000_000  # a larger picture is taken for a mistake or an attack (decompression bomb)
_MODES = {1: "L", 3: "RGB"}


def decode_image(source: Union[bytes, str, os.PathLike], where: str, image_size: int, channels: int) -> np.ndarray:
    """Reads a picture of any mode and size.

    Transparent parts become white, 16-bit grey is scaled to 8 bits, the EXIF orientation is applied and
    of an animation the first frame is taken.

    Args:
      source: the encoded bytes, or the path of a file.
      where: what to call it in a message.
      image_size: height and width of the result.
      channels: 1 or 3.

    Returns:
      (image_size, image_size, channels) uint8.

    Raises:
      UserError: it is no picture, is damaged, or has more than MAX_PIXELS pixels.
    """
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UserError(
                    f"{where} has {image.width} x {image.height} pixels, more than the {MAX_PIXELS:,} that "
                    "are accepted; make it smaller or remove it."
                )
            # Lets the JPEG decoder shrink large photographs on the way; the rest is done below.
            image.draft(image.mode, (2 * image_size, 2 * image_size))
            ImageOps.exif_transpose(image, in_place=True)
            return _finish(_eight_bit(image, _MODES[channels]), image_size)
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        raise UserError(
            f"{where} has more than the {MAX_PIXELS:,} pixels that are accepted; make it smaller or remove it."
        ) from error
    except FileNotFoundError as error:
        raise UserError(f"{where} does not exist.") from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise a dozen different types on damaged input.
        raise UserError(f"{where} cannot be read as a picture ({_reason(error)}); replace or remove it.") from error


def fit_array(images: np.ndarray, where: str, image_size: int, channels: int) -> np.ndarray:
    """Brings decoded images to the wanted form.

    Args:
      images: (n, H, W, C) uint8, or bool with True = 255; C is 1, 3, or 4 (the last is transparency).
      where: what to call them in a message.
      image_size: height and width of the result.
      channels: 1 or 3.

    Returns:
      (n, image_size, image_size, channels) uint8; the input itself where nothing had to change.

    Raises:
      UserError: dtype, shape or number of channels cannot be used.
    """
    check_array(images, where)
    if images.dtype == np.bool_:
        images = images.astype(np.uint8) * np.uint8(255)
    if images.shape[1:] == (image_size, image_size, channels):
        return images
    if images.shape[1:3] == (image_size, image_size) and images.shape[3] == 1:
        return np.repeat(images, channels, axis=3)
    result = np.empty((len(images), image_size, image_size, channels), dtype=np.uint8)
    for target, pixels in zip(result, images):
        picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))
        target[...] = _finish(_eight_bit(picture, _MODES[channels]), image_size)
    return result


def check_array(images: np.ndarray, where: str) -> None:
    """Raises UserError unless images are (n, H, W, C) uint8 or bool with 1, 3 or 4 channels."""
    if images.dtype not in (np.uint8, np.bool_):
        raise UserError(
            f"{where} holds images of type {images.dtype}; they must be uint8 (0 black to 255 white) or bool."
        )
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise UserError(
            f"{where} holds images of shape {images.shape}; (samples, height, width, channels) is "
            "needed, none of them 0."
        )
    if images.shape[3] not in (1, 3, 4):
        raise UserError(
            f"{where} holds images with {images.shape[3]} channels (shape {images.shape}); 1 (grey), "
            "3 (colour) or 4 (colour and transparency) are possible."
        )


def _eight_bit(image: Image.Image, mode: str) -> Image.Image:
    """Converts any Pillow mode to 'L' or 'RGB'."""
    if image.mode.startswith("I"):
        image = _from_sixteen_bit(image)
    elif image.mode == "F":
        raise ValueError("its pixels are floating-point numbers")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        colours = image.convert("RGBA")
        white = Image.new("RGBA", colours.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, colours)
    elif image.mode not in ("1", "L", "RGB"):
        image = image.convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def _from_sixteen_bit(image: Image.Image) -> Image.Image:
    # Pillow's own conversion clips at 255 instead of scaling.
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("its pixels need more than 16 bits")
    return Image.fromarray(((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8))


def _finish(image: Image.Image, image_size: int) -> np.ndarray:
    """'L' or 'RGB' picture -> (image_size, image_size, channels) uint8."""
    scale = image_size / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    border = None if size == (image_size, image_size) else _border_colour(np.asarray(image))
    if size != image.size:
        # Averaging over the covered area keeps thin strokes; when enlarging it would make blocks.
        image = image.resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    pixels = pixels.reshape(size[1], size[0], -1)
    if border is None:
        return pixels
    square = np.empty((image_size, image_size, pixels.shape[2]), dtype=np.uint8)
    square[...] = border
    top, left = (image_size - size[1]) // 2, (image_size - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = pixels
    return square


def _border_colour(pixels: np.ndarray) -> np.ndarray:
    """(C,) uint8 median of the outermost pixels of (H, W[, C])."""
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return np.median(edge, axis=0).astype(np.uint8)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "no known image format"
    return str(error).rstrip(".") or type(error).__name__
