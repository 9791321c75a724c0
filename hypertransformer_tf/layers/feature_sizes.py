"""Which convolutions a feature extractor has, from the size of its input (paper, Section 3). Needs no TensorFlow."""

from typing import List, Tuple

from hypertransformer_tf.errors import UserError


def local_convolutions(side: int, layers: int, kernel_size: int) -> Tuple[int, List[int]]:
    """Side of the kernels, and the stride of each convolution, of a local extractor; see `LocalFeatures`."""
    kernel_size, usual_stride = min(kernel_size, side), 1 if side < kernel_size else 2
    strides: List[int] = []
    while len(strides) < layers and side >= kernel_size:
        strides.append(usual_stride if len(strides) < layers - 1 else 1)
        side = (side - kernel_size) // strides[-1] + 1
    return kernel_size, strides


def check_shared_extractor(image_side: int, layers: int, padding: str) -> None:
    """Raises UserError where images are too small for the shared extractor; see `SharedFeatures`."""
    side = image_side
    for _ in range(layers):
        if padding == "valid" and side < 3:
            raise UserError(
                f"images of {image_side} pixels are too small for features.shared_layers = {layers} with "
                "features.shared_padding = 'valid': use fewer layers, 'same', or larger images."
            )
        side = (side - 3) // 2 + 1
