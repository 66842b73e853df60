#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The life of a key as a picture (SVG), drawn from the rotation table as rotation-table prints it (doc/man/rotation-table.txt): the
states, and each way from one to another with the events that take it. What somebody may do at any time by hand is left out.

usage: rotation-picture.py TABLE >doc/life-of-a-key.svg"""
import re
import sys
from xml.sax.saxutils import escape

# Where the states stand, in columns and rows; all of the table's must have a place.
PLACES = {"idle": (0, 0), "staged": (1, 0), "offered": (2, 0), "probing": (3, 0), "swapped": (4, 0), "retiring": (5, 0), "abandoning": (2, 2)}
SAID = {"idle": "main alone", "staged": "a new key in backup", "offered": "the cloud may know it", "probing": "tried beside main",
        "swapped": "the new key is main", "retiring": "the old one is deleted", "abandoning": "the new one is given up"}
COLUMN, ROW, WIDTH, HEIGHT, MARGIN, TOP = 210, 130, 150, 46, 20, 190
BY_HAND = {"remove", "forget-backup", "set-backup", "export"}
ROW_OF = re.compile(r"^  ([a-z-]+)(?: if [^:]*)?: (.*)$")


def ways(text):
    """{(state, next): [event, ...]} in the table's order, and the states."""
    states, found, state = [], {}, None
    for line in text.splitlines():
        if line and not line.startswith(" "):
            state = line.strip()
            states.append(state)
            continue
        row = ROW_OF.match(line)
        to = re.search(r"COMMIT [^;\[]*-> ([a-z]+)", row[2]) if row else None
        if to and to[1] != state and row[1] not in BY_HAND:
            events = found.setdefault((state, to[1]), [])
            if row[1] not in events:
                events.append(row[1])
    return states, found


def centre(state):
    column, row = PLACES[state]
    return MARGIN + column * COLUMN + WIDTH / 2, TOP + row * ROW + HEIGHT / 2


def arrow(a, b, events, number):
    (x1, y1), (x2, y2) = centre(a), centre(b)
    label = ", ".join(events[:2]) + (f" and {len(events) - 2} more" if len(events) > 2 else "")
    title = f"<title>{a} to {b}: {escape(', '.join(events))}</title>"
    if y1 == y2:  # along the row: ahead directly, back and far in arcs
        span = abs(x2 - x1)
        near = span == COLUMN and x2 > x1
        lift = 0 if near else 34 + span / 9 + 12 * (number % 2)
        side = -1 if x2 > x1 else 1
        start, end = (x1 + WIDTH / 2, x2 - WIDTH / 2) if near else (x1 + side * -18, x2 + side * 18)
        edge = 0 if near else side * HEIGHT / 2
        y = y1 + edge
        path = f"M{start:.0f},{y:.0f} Q{(start + end) / 2:.0f},{y + side * 2 * lift:.0f} {end:.0f},{y:.0f}"
        text = (start + end) / 2, y + side * lift + (-6 if side < 0 else 14) if not near else y - 6
    else:
        down = y2 > y1
        shift = -22 if down else 22
        start, end = y1 + (HEIGHT / 2 if down else -HEIGHT / 2), y2 - (HEIGHT / 2 if down else -HEIGHT / 2)
        path = f"M{x1 + shift:.0f},{start:.0f} L{x2 + shift:.0f},{end:.0f}"
        along = 0.85 if down else 0.2 + 0.12 * (number % 3)
        text = x1 + (x2 - x1) * along + shift, start + (end - start) * along
    shown = label if y1 != y2 or abs(x2 - x1) != COLUMN or x2 < x1 else ""
    return (f'<g>{title}<path d="{path}" fill="none" stroke="#4a5a6a" marker-end="url(#to)"/>'
            f'<text x="{text[0]:.0f}" y="{text[1]:.0f}" class="way">{escape(shown)}</text></g>')


def picture(text):
    states, found = ways(text)
    missing = set(states) ^ set(PLACES)
    if missing:
        raise SystemExit(f"rotation-picture.py: give these states a place, or take it away: {', '.join(sorted(missing))}")
    width, height = 2 * MARGIN + 5 * COLUMN + WIDTH, TOP + 2 * ROW + HEIGHT + MARGIN
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="sans-serif">',
           "<!-- made by tests/tools/rotation-picture.py -->",
           '<style>.way{font-size:10px;fill:#345;text-anchor:middle}.state{font-size:14px;font-weight:bold;text-anchor:middle}'
           ".said{font-size:10px;text-anchor:middle}</style>",
           '<defs><marker id="to" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
           '<path d="M0,0 L8,4 L0,8 z" fill="#4a5a6a"/></marker></defs>', f'<rect width="{width}" height="{height}" fill="#fff"/>']
    out += [arrow(a, b, events, n) for n, ((a, b), events) in enumerate(found.items())]
    for state in states:
        x, y = centre(state)
        out += [f'<rect x="{x - WIDTH / 2:.0f}" y="{y - HEIGHT / 2:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#eef4fb" stroke="#4a5a6a"/>',
                f'<text x="{x:.0f}" y="{y - 2:.0f}" class="state">{state}</text>', f'<text x="{x:.0f}" y="{y + 14:.0f}" class="said">{SAID[state]}</text>']
    return "\n".join([*out, "</svg>", ""])


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as f:
        sys.stdout.write(picture(f.read()))
