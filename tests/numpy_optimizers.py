"""The optimisers as their papers write them, one variable and one step at a time, in NumPy and float64."""

from typing import Any, Callable, Dict, List, Sequence

import numpy as np

BETA_1 = 0.9
Arrays = List[np.ndarray]
Rate = Callable[[int], float]


def train(
    name: str,
    values: Sequence[np.ndarray],
    gradients: Sequence[Sequence[np.ndarray]],
    rate: Rate,
    *,
    beta_2: float = 0.999,
    weight_decay: float = 0.0,
    clip_norm: float = 0.0,
) -> List[Arrays]:
    """The values after each step.

    Args:
      name: as in `optimizer.name`.
      values: of each variable before the first step.
      gradients: of each step, then of each variable.
      rate: learning rate of a step, counted from 0.
    """
    values = [np.asarray(value, np.float64) for value in values]
    states: List[Dict[str, Any]] = [{} for _ in values]
    after = []
    for step, of_step in enumerate(gradients):
        of_step = _clipped([np.asarray(gradient, np.float64) for gradient in of_step], clip_norm)
        values = [
            value - rate(step) * _move(name, value, gradient, state, step + 1, beta_2, weight_decay, rate(step))
            for value, gradient, state in zip(values, of_step, states)
        ]
        after.append(values)
    return after


def averages(values: Sequence[np.ndarray], after: Sequence[Arrays], decay: float) -> Arrays:
    """The moving average of the variables after all steps: it begins with their first values."""
    average = [np.asarray(value, np.float64) for value in values]
    for step, present in enumerate(after):
        kept = min(decay, (1 + step) / (10 + step))
        average = [kept * old + (1 - kept) * new for old, new in zip(average, present)]
    return average


def _clipped(gradients: Arrays, clip_norm: float) -> Arrays:
    norm = np.sqrt(sum(np.sum(gradient**2) for gradient in gradients))
    if clip_norm == 0 or norm <= clip_norm:
        return gradients
    return [gradient * clip_norm / norm for gradient in gradients]


def _move(name, value, gradient, state, step, beta_2, decay, rate):
    """How far a variable moves, over the learning rate."""
    if name == "sgd":
        return gradient
    if name == "sgdw":
        return gradient + decay * value
    state["m"] = BETA_1 * state.get("m", 0.0) + (1 - BETA_1) * gradient
    state["v"] = beta_2 * state.get("v", 0.0) + (1 - beta_2) * gradient**2
    if name == "nadam":
        return _nadam(gradient, state, step, beta_2)
    corrected = state["m"] / (1 - BETA_1**step)
    if name == "lamb":
        update = corrected / (np.sqrt(state["v"] / (1 - beta_2**step)) + 1e-6) + decay * value
        norms = np.sqrt(np.sum(value**2)), np.sqrt(np.sum(update**2))
        return update * (norms[0] / norms[1] if min(norms) > 0 else 1.0)
    # Kingma and Ba's last line of Section 2: epsilon is added before the second moment is corrected.
    adam = corrected * np.sqrt(1 - beta_2**step) / (np.sqrt(state["v"]) + 1e-7)
    return adam + (decay * value if name == "adamw" else 0.0)


def _nadam(gradient, state, step, beta_2):
    """Dozat (2016) with his schedule of the momentum."""
    now, following = (BETA_1 * (1 - 0.5 * 0.96**each) for each in (step, step + 1))
    state["product"] = state.get("product", 1.0) * now
    mean = following * state["m"] / (1 - state["product"] * following)
    mean += (1 - now) * gradient / (1 - state["product"])
    return mean / (np.sqrt(state["v"] / (1 - beta_2**step)) + 1e-7)
