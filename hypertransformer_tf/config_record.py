"""A run's configuration as it is kept: as plain values that can be compared, and as a gin file that repeats it."""

import dataclasses
import json
import math
import pathlib
from typing import Any, Mapping

from hypertransformer_tf.config import gin_selector, import_configurables, registered_configurables


def effective_configuration(*instances: Any) -> dict[str, dict[str, Any]]:
    """All parameters of the given settings dataclasses, defaults included: {'episodes': {'n_way': 5, ...}}.

    The result equals itself after a round trip through JSON, so that two runs can be compared.
    """
    return {_registered_name(type(instance)): _jsonable(dataclasses.asdict(instance)) for instance in instances}


def with_defaults(old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """An earlier configuration with the parameters that have been introduced since, at their defaults.

    Args:
      old: of `effective_configuration`, perhaps of an earlier version of the library.
      new: of this version.
    """
    import_configurables()
    filled = {name: dict(values) for name, values in old.items()}
    for name, values in new.items():
        defaults = _defaults(name)
        for parameter in values:
            if parameter in defaults:
                filled.setdefault(name, {}).setdefault(parameter, defaults[parameter])
    return filled


def without_defaults(configuration: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The parameters that are not at their defaults: {'episodes.n_way': 20, ...}.

    Args:
      configuration: of `effective_configuration`.
    """
    import_configurables()
    changed = {}
    for name, values in configuration.items():
        defaults = _defaults(name)
        changed.update(
            {
                f"{name}.{parameter}": value
                for parameter, value in values.items()
                if parameter not in defaults or value != defaults[parameter]
            }
        )
    return changed


def configuration_text(*instances: Any) -> str:
    """The same as a gin file that sets every parameter and so repeats the run."""
    lines = []
    for instance in instances:
        name = _registered_name(type(instance))
        for field in dataclasses.fields(instance):
            value = getattr(instance, field.name)
            lines.append(f"{name}.{field.name} = {_gin_literal(value)}")
        lines.append("")
    return "\n".join(lines)


def _defaults(name: str) -> dict[str, Any]:
    """The defaults of a settings dataclass's parameters, as `effective_configuration` gives them."""
    selector = gin_selector(name)
    cls = registered_configurables()[selector].wrapped if selector else None
    if not dataclasses.is_dataclass(cls):
        return {}
    given = {field.name: field.default for field in dataclasses.fields(cls)}
    return {key: _jsonable(value) for key, value in given.items() if value is not dataclasses.MISSING}


def _registered_name(cls: type) -> str:
    for _, entry in registered_configurables().items():
        if entry.wrapped is cls:
            return entry.name
    raise ValueError(f"{cls.__name__} is not a gin configurable.")


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    if isinstance(value, pathlib.PurePath):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if hasattr(value, "item"):  # a NumPy scalar
        return value.item()
    try:
        json.dumps(value)
    except TypeError:
        return repr(value)
    return value


def _gin_literal(value: Any) -> str:
    if isinstance(value, pathlib.PurePath):
        return repr(str(value))
    if dataclasses.is_dataclass(value):
        return f"@{_registered_name(type(value))}()"
    return repr(value)
