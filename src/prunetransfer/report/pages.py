"""A page as a list of blocks, written as Markdown for the terminal or as HTML that needs no other file."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path


@dataclass(frozen=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True)
class Points:
    """A list of sentences."""

    texts: Sequence[str]


@dataclass(frozen=True)
class Table:
    names: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True)
class Picture:
    """A PNG file; HTML holds its bytes."""

    path: Path
    caption: str


Block = str | Heading | Points | Table | Picture  # a str is a paragraph

NUMBER = re.compile(r"[-+−]?\d")
# Only below .page: Snakemake's report takes the page in among its own styles.
STYLE = """
.page { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #1a1a1a; max-width: 68rem; margin: 0 auto; }
.page { padding: 1rem 1.5rem; }
.page h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .8rem; }
.page h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
.page h1 + p { font-size: 1.1rem; }
.page table { border-collapse: collapse; width: auto; margin: .8rem 0; }
.page table { font-size: .85rem; font-variant-numeric: tabular-nums; }
.page th, .page td { text-align: left; vertical-align: bottom; padding: .2rem .9rem .2rem 0; }
.page th { border-bottom: 1.5px solid #555; }
.page td { border-bottom: 1px solid #e2e2e2; }
.page .number { text-align: right; }
.page figure { margin: 1rem 0; }
.page img { max-width: 100%; height: auto; }
.page figcaption { color: #555; font-size: .85rem; }
""".strip()


def markdown(blocks: Iterable[Block]) -> str:
    """The blocks as Markdown; a picture is a link to its file."""
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def html(blocks: Sequence[Block]) -> str:
    """The blocks as a page of HTML. It also fits inside another page, as its styles apply to nothing else there."""
    title = next((block.text for block in blocks if isinstance(block, Heading)), "")
    head = f'<!doctype html>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n<style>\n{STYLE}\n</style>\n'
    return f'{head}<main class="page">\n' + "\n".join(_html(block) for block in blocks) + "\n</main>\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Points(texts):
            return "\n".join(f"- {text}" for text in texts)
        case Table(names, rows):
            lines = [names, ["---"] * len(names), *rows]
            return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)
        case Picture(path, caption):
            return f"![{caption}]({path})"
    return block


def _html(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{escape(text)}</h{level}>"
        case Points(texts):
            return "<ul>\n" + "\n".join(f"<li>{escape(text)}</li>" for text in texts) + "\n</ul>"
        case Table(names, rows):
            looks = [_look(column) for column in zip(*rows, strict=True)] or [""] * len(names)
            head = "".join(f"<th{look}>{escape(name)}</th>" for name, look in zip(names, looks, strict=True))
            lines = [
                "".join(f"<td{look}>{escape(str(cell))}</td>" for cell, look in zip(row, looks, strict=True))
                for row in rows
            ]
            body = "\n".join(f"<tr>{line}</tr>" for line in lines)
            return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
        case Picture(path, caption):
            data = base64.b64encode(Path(path).read_bytes()).decode()
            image = f'<img src="data:image/png;base64,{data}" alt="{escape(caption)}">'
            return f"<figure>\n{image}\n<figcaption>{escape(caption)}</figcaption>\n</figure>"
    return f"<p>{escape(block)}</p>"


def _look(column: Sequence[object]) -> str:
    """Numbers stand on the right; `-` is a number that there is none of."""
    cells = [str(cell) for cell in column if str(cell) != "-"]
    return ' class="number"' if cells and all(NUMBER.match(cell) for cell in cells) else ""
