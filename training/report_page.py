"""The page of a report: escaping, tables, cards and the style sheet."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from string import Template

from gridhash.training.report_svg import SCHEMES, Picture


@dataclass(frozen=True, kw_only=True)
class Card:
    """One key number."""

    value: str
    label: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a table; `mark` is a CSS class of the row."""

    cells: Sequence[str]
    mark: str = ""


def text(content: str) -> str:
    """Return text safe inside an element or an attribute."""
    return escape(content, quote=True)


def paragraph(content: str, mark: str = "") -> str:
    """Return a paragraph of plain text."""
    return f"<p{_class(mark)}>{text(content)}</p>"


def bullet_list(items: Iterable[str]) -> str:
    """Return a list of plain texts."""
    return "<ul>" + "".join(f"<li>{text(item)}</li>" for item in items) + "</ul>"


def link_list(links: Iterable[tuple[str, str]]) -> str:
    """Return links as a list; each is (relative address, plain text)."""
    items = (f'<li><a href="{text(address)}">{text(name)}</a></li>' for address, name in links)
    return f"<ul>{''.join(items)}</ul>"


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return names and values as a definition list."""
    rows = "".join(f"<div><dt>{text(k)}</dt><dd>{text(v)}</dd></div>" for k, v in pairs)
    return f"<dl>{rows}</dl>"


def cards(numbers: Iterable[Card]) -> str:
    """Return key numbers side by side."""
    return (
        '<div class="cards">'
        + "".join(
            f"<div><b>{text(c.value)}</b><span>{text(c.label)}</span>"
            f"<small>{text(c.detail)}</small></div>"
            for c in numbers
        )
        + "</div>"
    )


def table(header: Sequence[str], rows: Iterable[Row], *, mark: str = "") -> str:
    """Return a table; a line break in a cell parts its main number from a lesser one."""
    head = "".join(f'<th scope="col">{_lines(name)}</th>' for name in header)
    body = "".join(
        f"<tr{_class(row.mark)}>"
        + f'<th scope="row">{_lines(row.cells[0])}</th>'
        + "".join(f"<td>{_lines(cell)}</td>" for cell in row.cells[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0"><table{_class(mark)}><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def figure(content: Picture) -> str:
    """Return a finding with its figure for wide and for narrow screens."""
    return (
        f'<section id="{text(content.key)}"><h2>{text(content.title)}</h2>'
        f'<figure><div class="wide">{content.wide}</div>'
        f'<div class="narrow">{content.narrow}</div>'
        f"<figcaption>{text(content.caption)}</figcaption></figure></section>"
    )


def details(summary: str, content: str) -> str:
    """Return ready-made content that opens at a click, under a plain text; printed open."""
    return f"<details><summary>{text(summary)}</summary>{content}</details>"


def section(heading: str, *parts: str, key: str = "") -> str:
    """Return a section of ready-made parts under a heading of plain text."""
    name = f' id="{text(key)}"' if key else ""
    return f"<section{name}><h2>{text(heading)}</h2>{''.join(parts)}</section>"


def page(title: str, parts: Iterable[str]) -> str:
    """Return the whole page; nothing in it is fetched from elsewhere."""
    return _PAGE.substitute(title=text(title), style=_style(), body="\n".join(parts))


def _lines(cell: str) -> str:
    main, _, lesser = cell.partition("\n")
    return text(main) + (f"<small>{text(lesser)}</small>" if lesser else "")


def _class(mark: str) -> str:
    return f' class="{text(mark)}"' if mark else ""


def _style() -> str:
    light = "".join(f"--{role}:{colours[0]};" for role, colours in SCHEMES.items())
    dark = "".join(f"--{role}:{colours[1]};" for role, colours in SCHEMES.items())
    return _STYLE.substitute(light=light, dark=dark)


_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
$body
</main>
</body>
</html>
""")

_STYLE = Template("""
:root{color-scheme:light dark;$light--paper:#fff;--raised:#f4f6f8;--wash:#e6f0f8;
--font:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
@media (prefers-color-scheme:dark){:root{$dark--paper:#12161c;--raised:#1b212a;--wash:#142b3d}
svg image{filter:brightness(1.7)}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 var(--font)}
main{max-width:70rem;margin:0 auto;padding:1.5rem 1.25rem 4rem}
h1{font-size:1.7rem;line-height:1.2;margin:.2rem 0 .3rem;text-wrap:balance}
h2{font-size:1.16rem;line-height:1.35;margin:0 0 .7rem;text-wrap:pretty}
h3{font-size:1rem;margin:0 0 .3rem}
section{margin-top:2.6rem}
p{margin:.5rem 0;max-width:46rem}
ul{margin:.3rem 0;padding-left:1.1rem}
li{margin:.15rem 0}
.kicker{color:var(--muted);font-size:.9rem;margin:0}
.verdict{font-size:1.25rem;line-height:1.4;font-weight:600;margin:0 0 .5rem;text-wrap:pretty}
.lead{border-left:4px solid var(--focus);padding:.1rem 0 .1rem 1rem;margin-top:1.6rem}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(13rem,1fr));
gap:.5rem 1.4rem;margin:1rem 0 0}
dt{color:var(--muted);font-size:.8rem}
dd{margin:0;overflow-wrap:anywhere}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(12.5rem,1fr));gap:.8rem;
margin-top:1.6rem}
.cards>div{background:var(--raised);border-radius:.6rem;padding:.8rem 1rem}
.cards b{display:block;font-size:1.5rem;line-height:1.25;font-variant-numeric:tabular-nums}
.cards span,.cards small{display:block}
.cards small,td small,tbody th small,thead small{color:var(--muted)}
.cards small{font-size:.82rem}
.kinds{display:grid;grid-template-columns:repeat(auto-fit,minmax(15rem,1fr));gap:1.2rem}
.kinds>div{border-top:3px solid var(--faint);padding-top:.6rem;font-size:.93rem}
.kinds .assumed{border-color:var(--missed)}
.kinds .simulated{border-color:var(--focus)}
.kinds .real{border-color:var(--planner)}
.scroll{overflow-x:auto;-webkit-overflow-scrolling:touch}
table{border-collapse:collapse;font-size:.88rem;font-variant-numeric:tabular-nums;width:100%}
th,td{padding:.42rem .5rem;text-align:right;vertical-align:top;white-space:nowrap;
border-bottom:1px solid var(--faint)}
thead th{color:var(--muted);font-weight:500;vertical-align:bottom;font-size:.82rem}
td small,tbody th small,thead small{display:block;font-weight:400;font-size:.78rem}
th:first-child{text-align:left;position:sticky;left:0;background:var(--paper)}
tbody th{font-weight:500}
tr.focus>*,tr.focus th:first-child{background:var(--wash)}
tr.focus th,tr.focus td{font-weight:650}
tr.bound>*{font-style:italic}
table.prose th,table.prose td{text-align:left;white-space:normal}
table.prose td:last-child{min-width:16rem}
table.metrics td:last-child{text-align:left;white-space:normal;min-width:20rem;color:var(--muted);
font-size:.82rem}
details{border-top:1px solid var(--faint);padding:.35rem 0}
summary{cursor:pointer;font-weight:600;padding:.25rem 0}
a{color:var(--focus)}
figure{margin:0}
svg{display:block;width:100%;height:auto}
svg image{image-rendering:pixelated}
.narrow{display:none}
figcaption,footer{color:var(--muted);font-size:.88rem;margin-top:.5rem;max-width:46rem}
footer{margin-top:3.5rem;border-top:1px solid var(--faint);padding-top:.8rem}
@media (max-width:40rem){
main{padding:1rem .9rem 3rem}
h1{font-size:1.4rem}
.verdict{font-size:1.1rem}
.cards{grid-template-columns:1fr 1fr;gap:.6rem}
.cards>div{padding:.6rem .7rem}
.cards b{font-size:1.2rem}
dl{grid-template-columns:1fr 1fr}
.wide{display:none}
.narrow{display:block}
}
@media print{
:root{$light--paper:#fff;--raised:#f4f6f8;--wash:#e6f0f8}
section,.cards>div{break-inside:avoid}
section:has(details){break-inside:auto}
details::details-content{content-visibility:visible;block-size:auto}
.scroll{overflow:visible}
}
""")
