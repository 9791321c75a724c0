"""Links inside the documents lead somewhere: to a file that is there, and to a heading in it."""

import pathlib
import re
import urllib.parse

import pytest
from markdown_it import MarkdownIt

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), ROOT / "gin" / "README.md", *ROOT.glob("docs/**/*.md")])


def parsed(document):
    return MarkdownIt("commonmark").enable("table").parse(document.read_text(encoding="utf-8"))


def links(document):
    """Targets of the links and pictures of a document, but those with a scheme such as https."""
    inline = [child for token in parsed(document) for child in token.children or ()]
    targets = [token.attrs.get("href") or token.attrs.get("src") for token in inline]
    return [urllib.parse.unquote(target) for target in targets if target and not urllib.parse.urlsplit(target).scheme]


def anchors(document):
    """The anchors that the headings of a document get on GitHub."""
    tokens, found = parsed(document), []
    for opening, content in zip(tokens, tokens[1:]):
        if opening.type == "heading_open":
            text = "".join(child.content for child in content.children if child.type in ("text", "code_inline"))
            anchor = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
            earlier = sum(re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", each) is not None for each in found)
            found.append(f"{anchor}-{earlier}" if earlier else anchor)
    return found


def broken(document):
    wrong = []
    for target in links(document):
        path, _, anchor = target.partition("#")
        place = document.parent / path if path else document
        if not place.exists() or anchor and anchor not in anchors(place):
            wrong.append(target)
    return wrong


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_are_there(document):
    assert broken(document) == []


def test_the_main_documents_are_among_those_that_are_read():
    names = {str(document.relative_to(ROOT)) for document in DOCUMENTS}
    assert {"README.md", "BUILD_NOTES.md", "CHANGELOG.md", "gin/README.md", "docs/serving/README.md"} <= names
    assert "docs/classifiers.md#one-picture-or-sixty" in links(ROOT / "README.md")


def test_a_broken_link_is_found(tmp_path):
    other, document = tmp_path / "other.md", tmp_path / "a.md"
    other.write_text("# One `two`, three\n\n## Again\n\n## Again\n")
    document.write_text(
        "[a](other.md#one-two-three) [b](other.md#again-1) [c](https://example.org/#x) ![d](gone.svg)\n\n"
        "| [e](other.md#four) |\n| --- |\n| [f](#here) |\n\n```\n[g](code.md)\n```\n"
    )
    assert broken(document) == ["gone.svg", "other.md#four", "#here"]
