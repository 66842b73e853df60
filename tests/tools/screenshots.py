#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Draws the golden screens of gatehousectl (tests/fixtures/screens) as one SVG, doc/screens.svg, with a plausible word wherever a
golden copy has a name for what is another one each time.

usage: screenshots.py [--check]"""
import pathlib
import re
import sys
from xml.sax.saxutils import escape

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCREENS = ROOT / "tests/fixtures/screens"
OUTPUT = ROOT / "doc/screens.svg"
SHOWN = (("status", "gatehousectl"), ("list", "gatehousectl list"), ("show", "gatehousectl show boiler-1"),
         ("check", "gatehousectl check"))
PLAUSIBLE = (
    (r"UNIT  AGE  QUALITY", "UNIT   AGE  QUALITY"), (r"(Cel|bar)  AGE", r"\1   0.3s"), (r"(true)  AGE", r"\1        0.3s"),
    (r"VERSION", "0.1.0"), (r"127\.0\.0\.1:PORT", "cloud.example:5684"),
    (r"N samples, room for N hours", "3 samples, room for 412.6 hours"), (r"N delivered, N waiting", "1741 delivered, 3 waiting"),
    (r"FINGERPRINT", "5f1e0c3a9b7d2846"), (r"next rotation: TIME", "next rotation: Sun 2027-02-28 09:12:44 UTC (in 89d 20h)"),
    (r"TIME", "Mon 2026-11-30 09:12:44 UTC (3h 10min ago)"),
    (r"PLACE; mend: COMMANDS", "devices.d/comma.json:1:20:\n                  trailing comma; mend: sudo gatehousectl reload"),
    (r"DIR/\.\.\.", "comma.json:1:20: trailing comma"), (r"DIR/etc/devices\.d", "/etc/gatehouse/devices.d"), (r"DIR/image", ""),
)
MARKS = {"●": "#3fb950", "▲": "#d29922", "✗": "#f85149", "○": "#8b949e"}
LINE, COLUMN, EDGE = 18, 8.4, 16


def plausible(text):
    for pattern, instead in PLAUSIBLE:
        text = re.sub(pattern, instead, text)
    return text


def line_of(text, y, prompt=False):
    """One line, each mark in its colour; a prompt is brighter."""
    parts = [f'<tspan fill="{MARKS[p]}">{p}</tspan>' if p in MARKS else escape(p) for p in re.split("([●▲✗○])", text) if p]
    fill = ' fill="#ffffff" font-weight="bold"' if prompt else ""
    return f'<text x="{EDGE}" y="{y}"{fill} xml:space="preserve">{"".join(parts)}</text>'


def draw():
    lines = []
    for name, command in SHOWN:
        lines += [(f"$ {command}", True), *((line, False) for line in plausible((SCREENS / f"{name}.txt").read_text()).splitlines()), ("", False)]
    lines.pop()
    width, height = round(2 * EDGE + 80 * COLUMN), 2 * EDGE + LINE * len(lines)
    drawn = [line_of(text, EDGE + LINE * (i + 1) - 5, prompt) for i, (text, prompt) in enumerate(lines) if text]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">',
        "<title>gatehousectl, and its list, show and check, at a terminal</title>",
        '<rect width="100%" height="100%" rx="8" fill="#0d1117"/>',
        '<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14" fill="#c9d1d9">', *drawn, "</g>", "</svg>"]) + "\n"


def main():
    drawn = draw()
    if "--check" not in sys.argv:
        OUTPUT.write_text(drawn)
    elif OUTPUT.read_text() != drawn:
        sys.exit(f"{OUTPUT.relative_to(ROOT)} is not what the golden screens are: ./dev screenshots")
    left = re.findall(r"\b(?:[A-Z]{4,}|DIR)\b", re.sub(r"<title>.*?</title>|TLS_\w+|ECDHE", "", re.sub(r">(?:DEVICE|POINT) .*?<", "", drawn)))
    if left:
        sys.exit(f"names for what varies are left in the picture: {sorted(set(left))}")


if __name__ == "__main__":
    main()
