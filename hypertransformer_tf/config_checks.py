"""Checks of configuration values, each a UserError that names the parameter and its value."""

import numbers
from typing import Any, Sequence

from hypertransformer_tf.errors import UserError


def is_whole_number(value: Any) -> bool:
    """Whether `value` is an integer; True and 3.0 are none."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_real_number(value: Any) -> bool:
    """Whether `value` is a real number; True is none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def require_whole_number(parameter: str, value: Any, at_least: int) -> None:
    """Raises UserError unless `value` is an integer (True and 3.0 are none) >= `at_least`."""
    if not is_whole_number(value) or value < at_least:
        raise UserError(f"{parameter} = {value!r}: it must be a whole number, at least {at_least}.")


def require_number_between(parameter: str, value: Any, low: float, high: float) -> None:
    """Raises UserError unless `value` is a real number with low <= value <= high."""
    if not is_real_number(value) or not low <= value <= high:
        raise UserError(f"{parameter} = {value!r}: it must be a number from {low:g} to {high:g}.")


def require_rate(parameter: str, value: Any) -> None:
    """Raises UserError unless `value` is a real number with 0 <= value < 1."""
    if not is_real_number(value) or not 0 <= value < 1:
        raise UserError(f"{parameter} = {value!r}: it must be a rate of 0 or more and below 1.")


def require_one_of(parameter: str, value: Any, allowed: Sequence[Any]) -> None:
    """Raises UserError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise UserError(f"{parameter} = {value!r} is not known: use one of {', '.join(map(repr, allowed))}.")


def require_number_of(parameter: str, value: Any, allowed: Sequence[int]) -> None:
    """Raises UserError unless `value` is an integer (True and 3.0 are none) and one of `allowed`."""
    if not is_whole_number(value) or value not in allowed:
        raise UserError(f"{parameter} = {value!r}: it must be a whole number, one of {', '.join(map(str, allowed))}.")


def require_flag(parameter: str, value: Any) -> None:
    """Raises UserError unless `value` is True or False."""
    if not isinstance(value, bool):
        raise UserError(f"{parameter} = {value!r}: it must be True or False.")
