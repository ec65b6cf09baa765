"""Self-contained web pages of executed notebooks: opening one fetches nothing, images keep alt text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode

_REMOTE_SCRIPT = re.compile(r"<script\b[^>]*\bsrc\s*=\s*[\"']?(?:https?:)?//.*?</script>", re.DOTALL | re.IGNORECASE)
_REMOTE_LINK = re.compile(r"<link\b[^>]*\bhref\s*=\s*[\"']?(?:https?:)?//[^>]*>", re.IGNORECASE)
_FETCHING = {"src", "srcset", "data", "poster"}
_CSS_FETCH = re.compile(r"(?:url\(\s*[\"']?|@import\s+[\"'])((?:https?:)?//[^\"')\s]+)", re.IGNORECASE)
_NO_ALT = "No description has been provided for this image"


def export(notebook: NotebookNode, title: str, folder: Path, language: str = "en") -> str:
    """Make a web page of an executed notebook that opens without a network.

    nbconvert's classic template is used because the lab one drops the alt text of figures.

    Args:
        notebook: Executed notebook.
        title: Page title.
        folder: Where relative image paths in markdown start.
        language: Code for `<html lang>`.

    Returns:
        HTML text. Formulas stay as typed, because MathJax would have to be fetched.
    """
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        template_name="classic", embed_images=True, exclude_input_prompt=True, exclude_output_prompt=True
    )
    exporter.language_code = language
    resources = {"metadata": {"name": title, "path": str(folder)}}
    page, _ = exporter.from_notebook_node(notebook, resources)
    page = _REMOTE_LINK.sub("", _REMOTE_SCRIPT.sub("", page))
    # Inline scripts that load the remote ones (mermaid, MathJax set-up) are of no use without them.
    page = re.sub(r"<script\b[^>]*>(?:(?!</script>).)*(?:mermaid|MathJax).*?</script>", "", page, flags=re.DOTALL)
    return re.sub(r"<!--.*?-->", "", page, flags=re.DOTALL)


def external_requests(page: str) -> list[str]:
    """Addresses that a browser would fetch when it opens the page; links that one may click do not count."""
    return [address for tag, address in _Scan.of(page).fetches if not address.startswith(("data:", "#"))]


def images_without_alt(page: str) -> int:
    """Number of images on the page without a real alternative text."""
    return sum(not alt.strip() or alt.startswith(_NO_ALT) for alt in _Scan.of(page).alts)


class _Scan(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.fetches: list[tuple[str, str]] = []
        self.alts: list[str] = []
        self.open = ""

    @classmethod
    def of(cls, page: str) -> _Scan:
        scan = cls()
        scan.feed(page)
        return scan

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open = tag
        self.fetches += [(tag, address) for address in _addresses(tag, dict(attrs))]
        if tag == "img":
            self.alts.append(dict(attrs).get("alt") or "")

    def handle_data(self, data: str) -> None:
        if self.open == "style":
            self.fetches += [("style", address) for address in _CSS_FETCH.findall(data)]
        if self.open == "script":
            self.fetches += [("script", a) for a in re.findall(r"(?:from|import\()\s*['\"](https?:[^'\"]+)", data)]

    def handle_endtag(self, tag: str) -> None:
        self.open = ""


def _addresses(tag: str, attributes: dict[str, str | None]) -> Iterator[str]:
    for name, value in attributes.items():
        if name in _FETCHING or (name == "href" and tag == "link"):
            yield value or ""
        if name == "style":
            yield from _CSS_FETCH.findall(value or "")
