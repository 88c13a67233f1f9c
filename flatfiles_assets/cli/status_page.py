"""The inventory as one HTML page that needs nothing but itself: for each feed and year a heat map.

Here: HTML and inline SVG. Not here: what there is of a session (`inventory.py`), the small pictures
in Dagster's UI (`status_picture.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from flatfiles_assets.escaping import html
from flatfiles_assets.warehouse import inventory
from flatfiles_assets.warehouse.inventory import SessionStatus, by_year, colour_of, place
from flatfiles_assets.warehouse.session_states import SESSION_STATES

_CELL, _STEP = 10, 12
_LEFT, _TOP = 28, 16
_WEEKS, _WEEKDAYS = 54, 7
_MOST_REASONS = 200

_STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 2rem auto;
       max-width: 60rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
h3 { font-size: 1rem; margin: 1rem 0 .2rem; }
table { border-collapse: collapse; }
th, td { padding: .15rem .8rem .15rem 0; text-align: left; vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
svg { display: block; max-width: 100%; height: auto; }
svg text { font: 9px system-ui, sans-serif; fill: #444; }
svg text.mark { fill: #fff; font-weight: 700; font-size: 8px; text-anchor: middle; pointer-events: none; }
.legend span { display: inline-block; margin-right: 1.1rem; white-space: nowrap; }
.legend i { display: inline-block; width: .8em; height: .8em; margin-right: .35em; }
details { margin: .5rem 0; } .years { color: #555; font-weight: normal; }
"""


def status_page(
    feeds: Mapping[str, Sequence[SessionStatus]], titles: Mapping[str, str], made_at: dt.datetime
) -> str:
    """The page.

    Args:
        feeds: The sessions of each feed, by its name, in the order of the page.
        titles: What each feed is, by its name.
        made_at: When the inventory was taken, with a zone.

    Returns:
        HTML that loads nothing from anywhere and runs no script.
    """
    sections = "\n".join(_feed(name, titles.get(name, ""), statuses) for name, statuses in feeds.items())
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Flat files: what is there</title><style>{_STYLE}</style></head><body>
<h1>Flat files: what is there</h1>
<p>Taken {html(made_at.astimezone(dt.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"))}. One square per session;
point at one for its date, its state and why. The darker a square, the more of its rows are in quarantine.</p>
{_legend()}
{_summary(feeds)}
{sections}
</body></html>
"""


def year_svg(year: int, statuses: Sequence[SessionStatus]) -> str:
    """One year as a picture: a column per week, a row per weekday, a square per session."""
    counts = inventory.counts_in_words(statuses)
    rows = max((status.session.weekday() for status in statuses), default=0) + 1
    parts = [
        f'<svg role="img" aria-label="{year}: {html(counts)}" viewBox="0 0 {_LEFT + _WEEKS * _STEP} '
        f'{_TOP + max(rows, 5) * _STEP}" width="{_LEFT + _WEEKS * _STEP}">'
    ]
    for month in range(1, 13):
        column, _ = place(dt.date(year, month, 1))
        parts.append(f'<text x="{_LEFT + column * _STEP}" y="10">{dt.date(year, month, 1):%b}</text>')
    parts += [
        f'<text x="0" y="{_TOP + row * _STEP + 9}">{name}</text>' for row, name in ((0, "Mon"), (4, "Fri"))
    ]
    parts += [_square(status) for status in statuses]
    return "".join(parts) + "</svg>"


def describe(status: SessionStatus) -> str:
    """A session in one line of plain text."""
    text = f"{status.session}: {SESSION_STATES[status.state].label}"
    if status.rows:
        text += f", {status.rows:,} rows"
    if status.quarantined_share:
        text += f", {status.quarantined_share:.2%} in quarantine"
    return text + (f". {status.detail}" if status.detail else "")


def _square(status: SessionStatus) -> str:
    column, row = place(status.session)
    x, y = _LEFT + column * _STEP, _TOP + row * _STEP
    look = SESSION_STATES[status.state]
    letter = f'<text class="mark" x="{x + 5}" y="{y + 8}">{look.letter}</text>' if look.letter else ""
    return (
        f'<rect x="{x}" y="{y}" width="{_CELL}" height="{_CELL}" fill="{colour_of(status)}">'
        f"<title>{html(describe(status))}</title></rect>{letter}"
    )


def _legend() -> str:
    items = "".join(
        f'<span><i style="background:{look.colour}"></i>{html(look.label)}'
        + (f" ({look.letter})" if look.letter else "")
        + "</span>"
        for look in SESSION_STATES.values()
    )
    return f'<p class="legend">{items}</p>'


def _summary(feeds: Mapping[str, Sequence[SessionStatus]]) -> str:
    head = "".join(
        f'<th class="n">{name}</th>' for name in ("sessions", "present", "missing", "other", "rows")
    )
    lines = []
    for name, statuses in feeds.items():
        counts = inventory.count_states(statuses)
        present, missing = counts.get("present", 0), counts.get("missing", 0)
        figures = (
            len(statuses),
            present,
            missing,
            len(statuses) - present - missing,
            sum(status.rows for status in statuses),
        )
        span = f"{statuses[0].session} to {statuses[-1].session}" if statuses else "nothing asked for yet"
        cells = "".join(f'<td class="n">{figure:,}</td>' for figure in figures)
        lines.append(f'<tr><td><a href="#{html(name)}">{html(name)}</a></td><td>{span}</td>{cells}</tr>')
    head = f"<thead><tr><th>feed</th><th>range</th>{head}</tr></thead>"
    return f"<table>{head}<tbody>{''.join(lines)}</tbody></table>"


def _feed(name: str, title: str, statuses: Sequence[SessionStatus]) -> str:
    years = []
    for year, days in by_year(statuses).items():
        counts = inventory.counts_in_words(days)
        heading = f'<h3>{year} <span class="years">{html(counts)}</span></h3>'
        nothing = all(status.state == "missing" for status in days)
        years.append(heading if nothing else heading + year_svg(year, days))
    heading = f'<h2 id="{html(name)}">{html(name)}</h2><p>{html(title)}</p>'
    return heading + "".join(years) + _reasons(statuses)


def _reasons(statuses: Sequence[SessionStatus]) -> str:
    troubled = [status for status in statuses if status.state not in ("present", "missing")]
    if not troubled:
        return ""
    lines = "".join(
        f"<tr><td>{status.session}</td><td>{html(SESSION_STATES[status.state].label)}</td>"
        f"<td>{html(status.detail)}</td></tr>"
        for status in troubled[-_MOST_REASONS:]
    )
    more = f", the latest {_MOST_REASONS}" if len(troubled) > _MOST_REASONS else ""
    return (
        f"<details><summary>{len(troubled)} sessions and why{more}</summary><table>{lines}</table></details>"
    )
