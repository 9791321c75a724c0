"""weights.npz: the generated numbers themselves, as the generator wrote them, for programs of one's own.

| key | shape | what |
| --- | --- | --- |
| `convolution_1/kernel` | (k, k, c_in, c_out) | and so on for each convolution |
| `convolution_1/bias` | (c_out,) | only where convolutions have a bias |
| `convolution_1/normalisation` | (4, c_out) | gamma, beta, mean and variance, one a row |
| `own_share` | (convolutions,) | weights of a picture's own moments; only where they are used |
| `logits/kernel`, `logits/bias` | (d, classes), (classes,) | before the temperature, which card.json has |
| `class_means` | (classes, d) | what the logits layer reads, averaged over the support pictures of each class |

All float32. An array costs 200 bytes beside its numbers, as much as 50 weights, hence the joint ones.
"""

import io
from typing import TYPE_CHECKING, Any, Mapping

import numpy as np

if TYPE_CHECKING:
    from hypertransformer_tf.deployment.portable_cnn import PortableCnn

_NORMALISATION = ("gamma", "beta", "mean", "variance")


def weights_file(cnn: "PortableCnn", class_means: np.ndarray) -> bytes:
    """The content of weights.npz: the CNN, and what "none of these" is decided by (`resemblance.py`)."""
    arrays: dict[str, Any] = {}
    for convolution in cnn.convolutions:
        prefix = f"convolution_{convolution.spec.index}"
        arrays[f"{prefix}/kernel"] = convolution.kernel
        if convolution.bias is not None:
            arrays[f"{prefix}/bias"] = convolution.bias
        arrays[f"{prefix}/normalisation"] = np.stack([getattr(convolution, name) for name in _NORMALISATION])
    shares = [convolution.own_share for convolution in cnn.convolutions]
    if None not in shares:
        arrays["own_share"] = np.array(shares, np.float32)
    arrays["logits/kernel"], arrays["logits/bias"] = cnn.logits_kernel, cnn.logits_bias
    arrays["class_means"] = class_means
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def read_weights(content: bytes) -> dict[str, np.ndarray]:
    """The arrays of weights.npz one by one, without TensorFlow.

    Returns:
      For each convolution `convolution_1/kernel`, `/bias` (if any), `/gamma`, `/beta`, `/mean`, `/variance` (c_out,),
      and `/own_share` () if any; `logits/kernel`, `logits/bias` and `class_means`.

    Raises:
      ValueError, KeyError, zipfile.BadZipFile: it is no such file.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        stored: Mapping[str, np.ndarray] = {name: file[name] for name in file.files}
    arrays = {name: array for name, array in stored.items() if name.endswith(("/kernel", "/bias"))}
    arrays["class_means"] = stored["class_means"]
    count = sum(name.endswith("/normalisation") for name in stored)
    for index in range(1, count + 1):
        rows = stored[f"convolution_{index}/normalisation"]
        arrays.update({f"convolution_{index}/{name}": row for name, row in zip(_NORMALISATION, rows, strict=True)})
        if "own_share" in stored:
            arrays[f"convolution_{index}/own_share"] = stored["own_share"][index - 1]
    return arrays
