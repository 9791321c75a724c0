"""The kernels that a model writes, as arrays and as one picture per layer."""

from typing import Any, Optional, Tuple

import numpy as np

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.model import checks
from hypertransformer_tf.model.hypertransformer import HyperTransformer


def generated_kernels(
    model: HyperTransformer, support_images: Any, support_labels: Any, n_way: Optional[int] = None
) -> Tuple[np.ndarray, ...]:
    """The kernels of the CNN that a model writes for one episode.

    Args:
      model: read, never changed.
      support_images: (S, H, W, C) uint8, or float32 scaled, as for `model.generate`.
      support_labels: (S,) int, -1 = no label.
      n_way: number of classes of the episode; None is the model's.

    Returns:
      For each convolution (k, k, c_in, c_out) float32, trained ones included; the logits layer's (d, n_way) last.

    Raises:
      UserError: a task batch is given, or what `model.generate` refuses.
    """
    checks.single_episode(support_images, "kernels are shown")
    weights = model.generate(support_images, support_labels, n_way=n_way)
    kernels = [np.array(convolution.kernel, np.float32) for convolution in weights.convolutions]
    return (*kernels, np.array(weights.logits.kernel, np.float32))


def kernel_grid(kernel: np.ndarray) -> np.ndarray:
    """Lays a convolution's kernel (k, k, c_in, c_out) out as one picture, a row per input and a column per output.

    Returns:
      (c_in * (k + 1) - 1, c_out * (k + 1) - 1) float32, with lines of NaN between the kernels.

    Raises:
      UserError: the array has another number of axes.
    """
    if np.ndim(kernel) != 4:
        raise UserError(f"kernel has shape {np.shape(kernel)}: a convolution's (k, k, c_in, c_out) is needed.")
    size, _, c_in, c_out = kernel.shape
    cells = np.full((c_in, size + 1, c_out, size + 1), np.nan, np.float32)
    cells[:, :size, :, :size] = kernel.transpose(2, 0, 3, 1)
    return cells.reshape(c_in * (size + 1), c_out * (size + 1))[:-1, :-1]
