"""The table of a trace as a picture: a bar for each kind, a tick where its roofline is."""

from xml.sax.saxutils import escape

from neox.monitor.kernel_kinds import KINDS
from neox.monitor.trace_summary import Summary

LEFT, BAR, ROW, THICK = 150, 520, 26, 18
WIDTH = LEFT + BAR + 120
COLOURS = (
    "#2c5f8a", "#b5532a", "#5a7d3a", "#8a6d1f", "#6b4c8a", "#a23b56",
    "#33777a", "#7a7a7a", "#94703f", "#4d6a94", "#8f8f8f", "#5f5f5f",
)  # fmt: skip


def picture(summary: Summary) -> str:
    """An SVG that stands alone, readable on light and dark."""
    longest = max((share.seconds for share in summary.shares), default=1.0)
    scale = BAR / max(longest, summary.idle)
    rows: list[tuple[str, float, float | None, str]] = [
        (share.kind, share.seconds, share.least, COLOURS[KINDS.index(share.kind)])
        for share in summary.shares
    ]
    rows.append(("idle", summary.idle, None, "none"))
    height = 60 + ROW * len(rows)
    title = f"{summary.gpu}: {summary.seconds * 1e3:,.1f} ms a step"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="13">',
        "<style>text{fill:#222}.least{stroke:#222}.idle{stroke:#777}"
        "@media(prefers-color-scheme:dark){text{fill:#ddd}.least{stroke:#ddd}}</style>",
        f'<text x="{LEFT}" y="24" font-size="15">{escape(title)}</text>',
    ]
    for number, (name, seconds, least, colour) in enumerate(rows):
        top = 42 + number * ROW
        wide = max(1.0, seconds * scale)
        outline = ' class="idle"' if colour == "none" else ""
        parts += [
            f'<text x="{LEFT - 8}" y="{top + 14}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LEFT}" y="{top}" width="{wide:.1f}" height="{THICK}" '
            f'fill="{colour}"{outline}/>',
            f'<text x="{LEFT + wide + 6:.1f}" y="{top + 14}">{seconds * 1e3:,.1f} ms</text>',
        ]
        if least:
            at = LEFT + least * scale
            parts.append(
                f'<line class="least" x1="{at:.1f}" x2="{at:.1f}" y1="{top - 2}" '
                f'y2="{top + THICK + 2}" stroke-width="2"/>'
            )
    parts.append("</svg>")
    return "\n".join(parts) + "\n"
