"""The pages of `/docs` beside the description of the API: Markdown files of `ingest/pages` in, HTML out."""

from functools import cache
from html import escape
from importlib.resources import files

from markdown_it import MarkdownIt

TITLES = {
    "start": "Start",
    "rules": "Rules of segments",
    "campaigns": "Campaigns and launches",
    "webhooks": "Webhooks",
    "identity": "Identity",
    "importing": "Importing",
    "questions": "Questions to the tables",
    "words": "Words",
}
"""Titles of the pages, by the last part of their path."""
LINKS = '<a href="/docs">API</a>' + "".join(f' · <a href="/docs/{name}">{title}</a>' for name, title in TITLES.items())
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "pre{overflow:auto;padding:.75rem;background:#8881}code{font-size:.9em}nav{margin-bottom:2rem}"
    "table{border-collapse:collapse;display:block;overflow:auto}td,th{border:1px solid #8886;padding:.3rem .6rem;"
    "text-align:left;vertical-align:top}"
)


def source(name: str) -> str:
    """The Markdown of a page of ``TITLES``."""
    return files("ingest").joinpath("pages", f"{name}.md").read_text()


def fragment(name: str) -> str:
    """The page as HTML, without a head."""
    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(source(name)))


@cache
def html(name: str) -> bytes:
    """A whole document."""
    body = fragment(name)
    meta = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    head = f"<head>{meta}<title>{escape(TITLES[name])}</title><style>{_STYLE}</style></head>"
    return f'<!doctype html><html lang="en">{head}<body><nav>{LINKS}</nav><main>{body}</main></body></html>'.encode()
