"""The frame of a page that opens from anywhere: one HTML file with its pictures inside, without scripts."""

import base64
import contextlib
from collections.abc import Mapping
from html import escape
from pathlib import Path

REPORT = '<meta name="generator" content="stn report">'
INVARIANCE = '<meta name="generator" content="stn invariance">'
"""Tags by which the kinds of pages are known."""


def check_place(folder: Path, generator: str) -> None:
    """A ValueError where a page of this generator in this folder would replace one of another."""
    page = folder / "index.html"
    with contextlib.suppress(FileNotFoundError), page.open(encoding="utf-8", errors="replace") as file:
        if generator not in file.read(1000):
            raise ValueError(f"output must be a folder without a page of something else, got {str(folder)!r}")


def html_page(title: str, generator: str, sections: list[str]) -> str:
    """The whole page.

    Args:
        title: its heading.
        generator: a tag in its first lines, by which its kind is known.
        sections: HTML; empty ones are left out.
    """
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{generator}\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1><bdi>{escape(title)}</bdi></h1>\n" + "\n".join(filter(None, sections)) + "\n</body>\n</html>\n"
    )


def scores(entries: list[tuple[str, str, str]]) -> str:
    """Large numbers: of each its name, itself, and what it is."""
    return (
        '<dl class="scores">'
        + "".join(f"<div><dt>{a}</dt><dd>{b}</dd><dd>{c}</dd></div>" for a, b, c in entries)
        + "</dl>"
    )


def percent(share: float | None, digits: int = 2) -> str:
    """A share as people read it; a dash where there is none."""
    return "-" if share is None else f"{100 * share:.{digits}f} %"


def section(heading: str, body: str) -> str:
    """A part of the page with a heading."""
    return f"<section>\n<h2>{heading}</h2>\n{body}\n</section>"


def facts_list(facts: Mapping[str, str]) -> str:
    """Lines on the run, the model and the data, by name."""
    lines = "".join(f"<dt>{escape(name)}</dt><dd><bdi>{escape(value)}</bdi></dd>" for name, value in facts.items())
    return f'<dl class="facts">{lines}</dl>'


def plot(png: bytes, text: str) -> str:
    """A picture in a frame of its own, with what it shows in words."""
    return f'<div class="plot">{image(png, text)}</div>'


def image(png: bytes, text: str) -> str:
    """A picture, with what it shows in words."""
    return f'<img src="data:image/png;base64,{base64.b64encode(png).decode()}" alt="{escape(text)}">'


_STYLE = """
:root {
  color-scheme: light dark;
  --page: light-dark(#fafaf8, #111315); --panel: light-dark(#ffffff, #191b1f); --line: light-dark(#e2e2dd, #2d3137);
  --ink: light-dark(#17191d, #eceef0); --soft: light-dark(#5d626b, #9ba1aa); --accent: light-dark(#e8501f, #ff7446);
}
* { box-sizing: border-box; margin: 0; }
body {
  max-width: 70rem; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; background: var(--page); color: var(--ink);
  font: 400 1rem/1.5 Inter, system-ui, -apple-system, "Segoe UI", sans-serif; font-variant-numeric: tabular-nums;
}
h1 { font-size: 1.75rem; line-height: 1.25; font-weight: 650; letter-spacing: -0.02em; overflow-wrap: anywhere; }
h2 { font-size: 1.125rem; margin: 2.5rem 0 0.75rem; font-weight: 620; }
h3 { font-size: 0.875rem; margin-bottom: 0.5rem; color: var(--soft); font-weight: 500; }
section > p { color: var(--soft); margin-bottom: 1rem; }
.note { margin-top: 1.5rem; padding: 0.625rem 1rem; border-left: 3px solid var(--accent); background: var(--panel); }
.scores { display: grid; grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr)); gap: 1rem; margin-top: 1.5rem; }
.scores div, figure { background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: 1rem; }
.scores dt, .scores dd + dd { color: var(--soft); font-size: 0.875rem; }
.scores dd { font-size: 1.75rem; line-height: 1.3; font-weight: 620; }
.scores dd + dd { font-weight: 400; }
.plot { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 0.75rem; text-align: center; }
.plot img { max-width: 100%; height: auto; }
.beside { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; }
.beside .plot { flex: 3 1 24rem; }
.beside > div:last-child { flex: 1 1 17rem; min-width: 0; }
.scroll { overflow: auto; border: 1px solid var(--line); border-radius: 10px; background: var(--panel); }
.tall { max-height: 34rem; }
table { width: 100%; border-collapse: collapse; font-size: 0.875rem; }
th { position: sticky; top: 0; background: var(--panel); color: var(--soft); font-weight: 500; }
th, td { padding: 0.375rem 0.75rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
tbody tr:last-child td { border-bottom: 0; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; white-space: normal; }
.classes td:nth-child(2) { min-width: 8rem; }
table.words th, table.words td { text-align: left; white-space: normal; min-width: 7rem; }
bdi { overflow-wrap: anywhere; }
.bar { display: inline-block; width: 7rem; height: 0.5rem; border-radius: 4px; background: var(--line); }
.bar + b { display: inline-block; min-width: 4.25rem; font-weight: inherit; }
.bar i { display: block; height: 100%; border-radius: 4px; background: var(--accent); }
.shown { display: grid; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); gap: 1rem; }
figure { padding: 0.75rem; min-width: 0; }
figure div { display: flex; gap: 0.5rem; }
figure img { width: 6.875rem; height: 6.875rem; border-radius: 4px; image-rendering: pixelated; }
figcaption { line-height: 1.35; margin-top: 0.25rem; }
figcaption b { color: var(--accent); font-weight: 600; margin-left: 0.25rem; }
small, .theta { color: var(--soft); font-size: 0.8125rem; }
.theta { margin-top: 0.375rem; font: 0.75rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
.theta span { display: inline-block; margin-right: 0.625rem; }
.facts { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 0.25rem 1.5rem; font-size: 0.875rem; }
.facts dt { color: var(--soft); }
.facts dd { overflow-wrap: anywhere; white-space: pre-wrap; }
@media (max-width: 36rem) {
  .bar { display: none; }
  .facts { grid-template-columns: 1fr; }
  .facts dd { margin-bottom: 0.5rem; }
}
"""
