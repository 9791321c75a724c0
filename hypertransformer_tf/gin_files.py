"""Finding gin files and reading their statements, each with the place it came from.

Gin itself looks up an `include` from the current directory only and reports errors over several
lines; here an include is looked up beside the including file and in the repository's gin folder, and
every error is one sentence that names the file and the line.
"""

import difflib
import pathlib
import tokenize
from typing import Any, Collection, Iterator, NamedTuple, Optional

import gin
from gin import config_parser
from hypertransformer_tf.errors import UserError

GIN_FOLDER = (pathlib.Path(__file__).resolve().parent / "gin").resolve()  # in a checkout a link to gin/
_LONG_LIST = 30  # names: more are a wall in a terminal


class Binding(NamedTuple):
    """One `scope/configurable.parameter = value`, or a macro `name = value` (no parameter).

    `value` is None where a statement only opens a block, `configurable:`; `parameter` is then None.
    """

    scope: str
    configurable: str
    parameter: Optional[str]
    value: Any
    origin: str  # 'gin/quickstart.gin, line 3', "binding 'episodes.n_way = 20'" or '--steps'

    @property
    def name(self) -> str:
        """As it is written in a gin file, such as `episodes.n_way`."""
        scoped = f"{self.scope}/{self.configurable}" if self.scope else self.configurable
        return f"{scoped}.{self.parameter}" if self.parameter else scoped


class References(config_parser.ParserDelegate):
    """Makes gin's reference objects and remembers which macros were asked for."""

    def __init__(self) -> None:
        self.macros: dict[str, str] = {}  # name -> where it was used first
        self.origin = ""

    def configurable_reference(self, scoped_configurable_name: str, evaluate: bool) -> Any:
        return gin.config.ConfigurableReference(scoped_configurable_name, evaluate)

    def macro(self, macro_name: str) -> Any:
        self.macros.setdefault(macro_name, self.origin)
        return gin.config.ConfigurableReference(f"{macro_name}/gin.macro", True)


def find_gin_file(name: str, beside: Optional[pathlib.Path] = None, origin: str = "") -> pathlib.Path:
    """The gin file of that path, or else of that name in the repository's gin folder.

    Args:
      name: a path, absolute or relative, or a name within gin/; `.gin` may be left out.
      beside: the folder of the including file, searched first; unset for a file given by the user,
        which is looked up from the current directory first.
      origin: where the include stands, for the message.

    Raises:
      UserError: there is no such file; the nearest names are offered.
    """
    place = f" ({origin})" if origin else ""
    if not name.strip():
        raise UserError(f"The name of a gin file is empty{place}: give a path, or a name within gin/.")
    folders = [beside or pathlib.Path.cwd(), GIN_FOLDER, GIN_FOLDER.parent]
    nearby = (folders[0] / name).parent
    known = {str(path.relative_to(GIN_FOLDER)) for path in GIN_FOLDER.rglob("*.gin")}
    try:
        for folder in folders:
            for path in (folder / name, folder / f"{name}.gin"):
                if path.is_file():
                    return path
        known |= {path.name for path in nearby.glob("*.gin")} if nearby.is_dir() else set()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"Gin file {name!r}{place} cannot be looked up: {reason}; give another path.") from None
    inside = pathlib.Path(name.removeprefix("gin/"))
    meant = inside if not inside.is_absolute() and (GIN_FOLDER / inside).parent.is_dir() else inside.name
    raise UserError(
        f"Gin file {name!r}{place} is not there, neither from {folders[0]} nor in "
        f"{GIN_FOLDER}{nearest(str(meant), known)}."
    )


def nearest(wrong: str, known: Collection[str]) -> str:
    """'; did you mean a or b?' without the question mark, or the whole list if it is short, or nothing."""
    names = sorted(known)
    close = difflib.get_close_matches(wrong, names, n=3, cutoff=0.5)
    close = close or [each for each in names if wrong and wrong.lower() in each.lower()][:3]
    if close:
        return f"; did you mean {' or '.join(close)}"
    if len(names) > _LONG_LIST:
        return f"; there are {len(names)}, such as {', '.join(names[:3])}"
    return f"; there are {', '.join(names)}" if names else ""


def read_file(
    path: pathlib.Path, references: References, including: tuple[pathlib.Path, ...] = ()
) -> Iterator[Binding]:
    """Yields the bindings of a file in order, those of included files where the include stands.

    Raises:
      UserError: the file cannot be read or parsed, includes itself, or holds an import.
    """
    resolved = path.resolve()
    if resolved in including:
        raise UserError(f"Gin file {shown(path)} includes itself by way of {shown(including[-1])}.")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text file"
        raise UserError(f"Gin file {shown(path)} cannot be read: {reason}.") from None
    yield from _statements(text, shown(path), references, path.parent, including + (resolved,))


def read_binding(text: str, references: References, origin: str = "") -> Iterator[Binding]:
    """Yields what a binding given beside the files says, such as 'episodes.n_way = 20'.

    `origin` is what the user wrote instead of it, such as '--n_way'.
    """
    yield from _statements(text, "", references, None, (), origin)


def _statements(
    text: str,
    file: str,
    references: References,
    folder: Optional[pathlib.Path],
    including: tuple[pathlib.Path, ...],
    given_as: str = "",
) -> Iterator[Binding]:
    def where(line: Optional[int]) -> str:
        return f"{file}, line {line}" if file else given_as or f"binding {text.strip()!r}"

    references.origin = file or where(None)
    try:
        for statement in config_parser.ConfigParser(text, references):
            origin = where(statement.location.line_num)
            if isinstance(statement, config_parser.IncludeStatement):
                included = find_gin_file(statement.filename, folder, origin)
                yield from read_file(included, references, including)
            elif isinstance(statement, config_parser.ImportStatement):
                raise UserError(
                    f"{origin} imports {statement.module}: gin files here only set values; take the import out."
                )
            elif isinstance(statement, config_parser.BlockDeclaration):
                yield Binding(statement.scope, statement.selector, None, None, origin)
            else:
                yield Binding(statement.scope, statement.selector, statement.arg_name, statement.value, origin)
    except SyntaxError as error:
        raise UserError(f"{where(error.lineno)} does not parse: {_reason(error)}.") from None
    except tokenize.TokenError as error:
        message, (line, _) = error.args
        raise UserError(f"{where(line)} does not parse: {message} (a bracket or quote is left open).") from None
    except ValueError as error:  # gin: a reference to something unknown
        raise UserError(f"{references.origin}: {str(error).splitlines()[0].rstrip('.')}.") from None


def _reason(error: SyntaxError) -> str:
    line = (error.text or "").strip()
    if "Failed to parse token" in str(error.msg):
        value = line.partition("=")[2].strip() or line
        return f"{value!r} is no value (text goes in quotes; True, False and None start with a capital; no arithmetic)"
    if "EOF" in str(error.msg) or "never closed" in str(error.msg):
        return f"{error.msg} (a bracket or quote is left open)"
    return f"{line!r} should read configurable.parameter = value" if line else str(error.msg).splitlines()[0]


def shown(path: pathlib.Path) -> str:
    """The path as a person would type it: relative to the current directory where it lies below."""
    try:
        return str(path.resolve().relative_to(pathlib.Path.cwd().resolve()))
    except ValueError:
        return str(path)
