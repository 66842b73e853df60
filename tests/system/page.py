# SPDX-License-Identifier: LGPL-2.1-or-later
"""The commands of a page, as it shows them: indented blocks behind a comment `<!-- case: NAME -->`."""
import re

BLOCK = re.compile(r"^<!-- case: (\S+) -->\n((?:    .*\n|\n(?=    ))+)", re.MULTILINE)
HERE_DOCUMENT = re.compile(r"<<'?(\w+)'?\s*$")


def commands(block):
    """One a line; a here-document belongs to its command."""
    found, end = [], None
    for line in block.splitlines():
        line = line[4:]
        if end:
            found[-1] += "\n" + line
            end = None if line == end else end
        elif line.strip():
            found.append(line.rstrip())
            document = HERE_DOCUMENT.search(line)
            end = document.group(1) if document else None
    assert not end, f"a here-document without its end {end}"
    return found


def cases(text):
    """{NAME: [command, ...]}, in the page's order."""
    return {name: commands(block) for name, block in BLOCK.findall(text)}
