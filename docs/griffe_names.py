"""Lets the API pages read `gamma, beta: (c_out,)` in a docstring as one entry for each name, for griffe."""

import re
from typing import Any

import griffe

_ENTRY = re.compile(r"^(  )([*\w]+(?:, [*\w]+)+): (.*(?:\n {4}.*)*)$", re.MULTILINE)


class OneNameEach(griffe.Extension):
    """Repeats the text of an entry of `Args:` and the like for every name that it is about."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Changes the docstring that will be parsed, not the code."""
        if obj.docstring is not None:
            obj.docstring.value = _ENTRY.sub(_one_each, obj.docstring.value)


def _one_each(entry: "re.Match[str]") -> str:
    indent, names, text = entry.groups()
    return "\n".join(f"{indent}{name}: {text}" for name in names.split(", "))
