"""The configuration of a run: gin files and bindings in, checked values out.

Every part of the library has a frozen dataclass of its settings (`data/config.py`, `model/config.py`,
...), registered with gin; files and bindings only choose values. This module parses them, says in one
sentence what is wrong and where, and tells what a run's configuration was. It does not import
TensorFlow, so that a wrong configuration is reported within a second or two.

The configuration is gin's, one to a process, and in force inside a `with` only: what is made later takes
its defaults from the dataclasses again.

    with loaded_configuration(['gin/quickstart.gin'], ['episodes.n_way = 10']):
        episodes = configured(EpisodeConfig)
        check_all_used()
"""

import contextlib
import importlib
import inspect
import re
from types import MappingProxyType
from typing import Any, Collection, Iterator, Mapping, Sequence, Type, TypeVar

import gin
from hypertransformer_tf import gin_files
from hypertransformer_tf.errors import UserError, plain_sentence

CONFIG_MODULES = (
    "hypertransformer_tf.data.config",
    "hypertransformer_tf.episodes.config",
    "hypertransformer_tf.episodes.augmentation",
    "hypertransformer_tf.episodes.image_augmentation",
    "hypertransformer_tf.cnn.config",
    "hypertransformer_tf.layers.config",
    "hypertransformer_tf.baselines.config",
    "hypertransformer_tf.training.config",
    "hypertransformer_tf.evaluation.config",
)

_T = TypeVar("_T")
_bindings: list[gin_files.Binding] = []  # of the configuration in force, in the order they were read
_macros_used: dict[str, str] = {}


@contextlib.contextmanager
def loaded_configuration(
    files: Sequence[str], bindings: Sequence[str] = (), flags: Mapping[str, str] = MappingProxyType({})
) -> Iterator[None]:
    """`load_configuration` for the time of a `with` block. Raises UserError."""
    try:
        load_configuration(files, bindings, flags)
        yield
    finally:
        gin.clear_config()
        _bindings.clear()
        _macros_used.clear()


def load_configuration(
    files: Sequence[str], bindings: Sequence[str] = (), flags: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Replaces gin's configuration by what the files and then the bindings say.

    Args:
      files: gin files, by path or by name within the repository's gin folder; later ones win.
      bindings: such as 'episodes.n_way = 20'; they win over the files.
      flags: what a command has flags for, such as {'--steps': 'training.steps = 20'}; they win over both.

    Raises:
      UserError: a file is not there or does not parse; a configurable, parameter or macro is unknown.
    """
    import_configurables()
    gin.clear_config()
    references = gin_files.References()
    read: list[gin_files.Binding] = []
    for file in files:
        read.extend(gin_files.read_file(gin_files.find_gin_file(str(file)), references))
    for text in bindings:
        read.extend(gin_files.read_binding(text, references))
    for flag, text in flags.items():
        read.extend(gin_files.read_binding(text, references, flag))
    _check_macros(read, references.macros)
    for binding in read:
        _bind(binding)
    _bindings[:] = [binding for binding in read if binding.parameter is not None]
    _macros_used.clear()
    _macros_used.update(references.macros)


def configured(cls: Type[_T], **values: Any) -> _T:
    """Constructs a settings dataclass from the configuration in force; `values` win over it.

    Raises:
      UserError: a value does not pass the dataclass's own check; the sentence says where it was set.
    """
    with origins_said(origins_of(cls, without=values)):
        return cls(**values)


def origins_of(*classes: type, without: Collection[str] = ()) -> dict[str, str]:
    """Where each parameter that the configuration in force sets was set, {'episodes.n_way': 'a.gin, line 3'}."""
    return {
        f"{registered_configurables()[gin_selector(binding.configurable)].name}.{binding.parameter}": binding.origin
        for binding in _bindings
        if binding.parameter
        and binding.parameter not in without
        and any(_names_class(binding.configurable, cls) for cls in classes)
    }


@contextlib.contextmanager
def origins_said(origins: Mapping[str, str]) -> Iterator[None]:
    """Adds to a UserError that leaves the block where the parameters that it speaks of were set.

    Args:
      origins: as from `origins_of`; parameters are recognised as `episodes.n_way = ` in the sentence.
    """
    try:
        yield
    except UserError as error:
        sentence = plain_sentence(error)
        said = _with_origins(sentence, origins)
        if said == str(error):
            raise
        raise UserError(said) from None


def _with_origins(sentence: str, origins: Mapping[str, str]) -> str:
    if re.search(r"\((\S+ )?set (in|by) ", sentence):  # an inner block knew it
        return sentence
    named = sorted((name for name in origins if f"{name} = " in sentence), key=sentence.index)
    if not named:
        return sentence
    places = [f"set {'by' if origins[name].startswith('--') else 'in'} {origins[name]}" for name in named]
    said = places if len(named) == 1 else [f"{name} {place}" for name, place in zip(named, places)]
    return f"{sentence.rstrip('.')} ({', '.join(said)})."


def unused_bindings() -> list[str]:
    """The bindings and macros that nothing constructed so far has used, each with where it was set."""
    used = _operative_parameters()
    unused = {}
    for binding in _bindings:
        if binding.parameter:
            selector = gin_selector(binding.configurable)
            seen = any(
                parameter == binding.parameter
                and gin_selector(name) == selector
                and (not binding.scope or f"{scope}/".startswith(f"{binding.scope}/"))
                for scope, name, parameter in used
            )
        else:
            seen = binding.name in _macros_used
        if not seen:
            unused[binding.name] = binding.origin
    return [f"{name} ({origin})" for name, origin in unused.items()]


def check_all_used() -> None:
    """Raises UserError if a binding has been used by nothing: it would silently do nothing."""
    unused = unused_bindings()
    if unused:
        raise UserError(f"Nothing in this run uses {', '.join(unused)}: take it out, or set what would use it.")


def gin_selector(name: str) -> str:
    """The full gin selector of a configurable's name, 'data' -> 'hypertransformer_tf.data.config.data', or ''."""
    matches = registered_configurables().matching_selectors(name)
    return matches[0] if len(matches) == 1 else ""


def registered_configurables() -> Any:
    """Gin's configurables by selector, each with its `name` and what it `wrapped`."""
    # The one private name of gin that is used: nothing public lists the configurables there are.
    return gin.config._REGISTRY


def import_configurables() -> None:
    """Makes all settings dataclasses known to gin."""
    for module in CONFIG_MODULES:
        importlib.import_module(module)


def _configurable_names() -> set[str]:
    return {entry.name for selector, entry in registered_configurables().items() if not selector.startswith("gin.")}


def _names_class(name: str, cls: type) -> bool:
    selector = gin_selector(name)
    return bool(selector) and registered_configurables()[selector].wrapped is cls


def _check_macros(read: Sequence[gin_files.Binding], used: Mapping[str, str]) -> None:
    defined = {binding.name for binding in read if binding.parameter == ""}
    for name, origin in used.items():
        if name not in defined:
            raise UserError(f"{origin} uses %{name}, which no file or binding sets{gin_files.nearest(name, defined)}.")


def _bind(binding: gin_files.Binding) -> None:
    if binding.parameter == "":
        gin.bind_parameter((binding.name, "gin.macro", "value"), binding.value)
        return
    selector = gin_selector(binding.configurable)
    if not selector:
        raise UserError(
            f"{binding.origin}: {binding.configurable!r} is not something that can be configured"
            f"{gin_files.nearest(binding.configurable, _configurable_names())}."
        )
    if binding.parameter is None:
        return
    known = set(inspect.signature(registered_configurables()[selector].wrapped).parameters)
    if binding.parameter not in known:
        raise UserError(
            f"{binding.origin}: {binding.configurable} has no parameter {binding.parameter!r}"
            f"{gin_files.nearest(binding.parameter, known)}."
        )
    gin.bind_parameter((binding.scope, selector, binding.parameter), binding.value)


def _operative_parameters() -> set[tuple[str, str, str]]:
    """(scope, configurable, parameter) of everything that gin has supplied or defaulted so far."""
    text = gin.operative_config_str()
    return {
        (binding.scope, binding.configurable, binding.parameter)
        for binding in gin_files.read_binding(text, gin_files.References())
        if binding.parameter
    }
