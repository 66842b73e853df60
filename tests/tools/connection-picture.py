#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The phases of a connection as a picture (SVG), drawn from its table as connection-table prints it: a row for each role, and each
way from one phase to another with the events that take it. An event that leads to one phase from wherever the connection is stands
below that phase.

usage: connection-picture.py <TABLE >doc/phases-of-a-connection.svg"""
import collections
import sys

COLUMNS = {"closed": 0, "draining": 1, "connecting": 2, "announcing": 3, "proving": 4, "ready": 5}
ROWS = {"main": 0, "probe": 1, "leaving": 2}
SAID = {"main": "the ordinary connection", "probe": "a key is tried", "leaving": "the main one before a swap of keys"}
COLUMN, ROW, WIDTH, HEIGHT, LEFT, TOP = 230, 290, 130, 40, 250, 130


def read(lines):
    """The phases of each role, and {(from, to): events} between them."""
    phases, ways = set(), collections.defaultdict(list)
    for line in lines:
        role, phase, event, to_role, to_phase = line.split()
        if event not in ways[(role, phase), (to_role, to_phase)]:
            ways[(role, phase), (to_role, to_phase)].append(event)
    # A phase counts when something leads there from another phase of its role, or begins there.
    reached, grown = {("main", "closed"), ("probe", "closed")}, True
    while grown:
        grown = {b for (a, b) in ways if a in reached} - reached
        reached |= grown
    phases = {role: [p for p in COLUMNS if (role, p) in reached] for role in ROWS}
    return phases, {way: events for way, events in ways.items() if way[0] in reached}


def from_anywhere(phases, ways):
    """[(role, to, event)]: from each other phase of the role this event leads to the same place."""
    found = []
    for role in ROWS:
        starts = {p for p in phases[role]}
        for to in {b for (a, b) in ways if a[0] == role}:
            for event in sorted({e for (a, b), events in ways.items() if a[0] == role and b == to for e in events}):
                begun = {a[1] for (a, b), events in ways.items() if a[0] == role and b == to and event in events}
                if len(starts) > 2 and begun >= starts - {to[1] if to[0] == role else None}:
                    found.append((role, to, event))
    return sorted(found)


def centre(node):
    return LEFT + COLUMNS[node[1]] * COLUMN + WIDTH / 2, TOP + ROWS[node[0]] * ROW + HEIGHT / 2


def label(events):
    return ", ".join(events[:3]) + (f" and {len(events) - 3} more" if len(events) > 3 else "")


def arrow(a, b, events):
    (x1, y1), (x2, y2) = centre(a), centre(b)
    title = f"<title>{' '.join(a)} to {' '.join(b)}: {', '.join(events)}</title>"
    if y1 != y2:
        down = y2 > y1
        y1, y2 = y1 + (HEIGHT / 2 if down else -HEIGHT / 2), y2 - (HEIGHT / 2 if down else -HEIGHT / 2)
        x1, x2 = x1 + 40, x2 + 40
        path, text = f"M{x1:.0f},{y1:.0f} L{x2:.0f},{y2:.0f}", ((x1 + x2) / 2 + 34, (y1 + y2) / 2)
    else:
        ahead = x2 > x1
        side, steps = (-1 if ahead else 1), abs(x2 - x1) / COLUMN
        lift = 6 + 24 * steps
        x1, x2, y = x1 + (-side) * 24, x2 + side * 24, y1 + side * HEIGHT / 2
        path = f"M{x1:.0f},{y:.0f} Q{(x1 + x2) / 2:.0f},{y + side * 2 * lift:.0f} {x2:.0f},{y:.0f}"
        text = (x1 + x2) / 2, y + side * lift + (-4 if ahead else 12)
    return (f'<g>{title}<path d="{path}" fill="none" stroke="#4a5a6a" marker-end="url(#to)"/>'
            f'<text x="{text[0]:.0f}" y="{text[1]:.0f}" class="way">{label(events)}</text></g>')


def box(role, phase, notes):
    x, y = centre((role, phase))
    out = [f'<rect x="{x - WIDTH / 2:.0f}" y="{y - HEIGHT / 2:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#eef4fb" stroke="#4a5a6a"/>',
           f'<text x="{x:.0f}" y="{y + 5:.0f}" class="phase">{phase}</text>']
    out += [f'<text x="{x - 32:.0f}" y="{y + HEIGHT / 2 + 14 + 12 * i:.0f}" class="note" text-anchor="end">{note}</text>' for i, note in enumerate(notes)]
    return out


def picture(lines):
    phases, ways = read(lines)
    everywhere = from_anywhere(phases, ways)
    notes = collections.defaultdict(lambda: collections.defaultdict(list))
    for role, to, event in everywhere:
        notes[to][role].append(event)
    width, height = LEFT + 5 * COLUMN + WIDTH + 20, TOP + 2 * ROW + HEIGHT + 60
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="sans-serif">',
           "<!-- made by tests/tools/connection-picture.py -->",
           "<style>.way{font-size:10px;fill:#345;text-anchor:middle}.phase{font-size:14px;font-weight:bold;text-anchor:middle}"
           ".role{font-size:15px;font-weight:bold}.note{font-size:10px;fill:#4a5a6a}</style>",
           '<defs><marker id="to" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
           '<path d="M0,0 L8,4 L0,8 z" fill="#4a5a6a"/></marker></defs>', f'<rect width="{width}" height="{height}" fill="#fff"/>']
    for (a, b), events in ways.items():
        left = [e for e in events if (a[0], b, e) not in everywhere]
        if left:
            out.append(arrow(a, b, left))
    for role, row in ROWS.items():
        y = TOP + row * ROW + HEIGHT / 2
        out += [f'<text x="16" y="{y - 2:.0f}" class="role">{role}</text>', f'<text x="16" y="{y + 14:.0f}" class="note">{SAID[role]}</text>']
        for phase in phases[role]:
            said = [f"from any{' of ' + r if r != role else ''}: {', '.join(events)}" for r, events in sorted(notes[role, phase].items())]
            out += box(role, phase, said)
    return "\n".join([*out, "</svg>", ""])


if __name__ == "__main__":
    sys.stdout.write(picture(sys.stdin.read().splitlines()))
