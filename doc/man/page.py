#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes a manual page of a template, in which lines stand for what is documented at its source:

    .\\" @keys SCHEMA POINTER           the keys of an object of a JSON Schema, with their descriptions
    .\\" @interface FILE                methods, signals and properties of a D-Bus interface, with their comments
    .\\" @markdown FILE HEADING         what stands under a heading of a Markdown file
    .\\" @table FILE                    the rotation table, as rotation_print_table() prints it
    .\\" @findings FILE             of gatehousectl check, as `gatehousectl --json=pretty check --list` prints them
    .\\" @results SCHEMA, @shared SCHEMA NAME...   what gatehousectl --json prints, by verb, and the objects that several verbs share
    .\\" @verbs FILE, @options FILE     of gatehousectl, as `gatehousectl --json=pretty help` prints them

usage: page.py TEMPLATE OUTPUT [ROOT]"""
import json
import pathlib
import re
import sys
import textwrap
import xml.etree.ElementTree as ET

CLOSING = ".,;:)?!"


def escape(text):
    for plain, roff in (("\\", "\\e"), ("-", "\\-"), ("…", "..."), ("→", "\\(->"), ("×", "\\(mu"), ("≤", "\\(<=")):
        text = text.replace(plain, roff)
    return text


def text_line(text):
    """What would be a request to the formatter is none."""
    text = escape(text)
    return "\\&" + text if text[:1] in (".", "'") else text


def argument(text):
    return '"\\&' + escape(text).replace('"', "\\(dq") + '"'


def prose(text):
    """Lines of mdoc: a sentence begins a line, what stands in backquotes is literal."""
    lines = []
    for sentence in re.split(r"(?<=[.?!:])\s+(?=[A-Z`*])", " ".join(text.split())):
        parts = re.split(r"`([^`]+)`", re.sub(r"\*\*?([^*`]+)\*\*?|\[([^]]+)\]\([^)]*\)", lambda m: m[1] or m[2], sentence))
        for i, part in enumerate(parts):
            if i % 2:
                behind = parts[i + 1] if i + 1 < len(parts) else ""
                closing = behind[:len(behind) - len(behind.lstrip(CLOSING))]
                parts[i + 1] = behind[len(closing):]
                opening = ""
                if lines and lines[-1].endswith("("):
                    opening = "( "
                    lines[-1] = lines[-1][:-1].rstrip()
                    if not lines[-1]:
                        lines.pop()
                lines.append(" ".join([".Ql", opening + argument(part), *closing]))
                if parts[i + 1] and not parts[i + 1][0].isspace():
                    lines[-1] += " Ns"  # the word goes on
            elif part.strip():
                wrapped = textwrap.wrap(part.strip(), 76, break_on_hyphens=False, break_long_words=False)
                lines += [text_line(line) for line in wrapped]
    return [line for line in lines if line]


def listed(entries, width="Ds"):
    """entries: (head, lines)."""
    lines = [f".Bl -tag -width {width}"]
    for head, body in entries:
        lines += [f".It Ic {argument(head)}", *body]
    return lines + [".El"]


# JSON Schema

def resolved(schema, root):
    """The schema with what it refers to; its own words go first."""
    while "$ref" in schema:
        target = root
        for name in schema["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        schema = {**target, **{k: v for k, v in schema.items() if k != "$ref"}}
    return schema


def choices(schema):
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    return "One of " + ", ".join(f"`{v}`" for v in values) + "." if len(values) > 1 else ""


def limits(schema):
    if "minimum" in schema and "maximum" in schema:
        return f"From {schema['minimum']} to {schema['maximum']}."
    return ""


def alternatives(schema, root):
    found = [resolved(s, root) for key in ("anyOf", "oneOf") for s in schema.get(key, ())]
    return [s for s in found if "properties" in s]


def keys(schema, root):
    """Entries of an object's keys; those of objects within follow their own key."""
    entries = []
    for name, value in schema.get("properties", {}).items():
        value = resolved(value, root)
        text = " ".join(t for t in (value.get("description", ""), choices(value), limits(value)) if t)
        body = prose(text) if text else []
        needed = name in schema.get("required", ())
        inner = [value] if "properties" in value else alternatives(value, root)
        for one in inner:
            if one is not value and one.get("description"):
                body += [".Pp", *prose(one["description"])]
            body += [".Pp"] if body and body[-1] != ".Pp" and one is value else []
            body += listed(keys(one, root))
        entries.append((name + (" (needed)" if needed else ""), body or ["No more is said of it."]))
    return entries


def expand_keys(root, file, pointer):
    whole = json.loads((root / file).read_text())
    schema = whole
    for name in pointer.strip("/").split("/") if pointer != "/" else ():
        schema = resolved(schema[name], whole)
    return listed(keys(schema, whole))


# D-Bus

def signature(member):
    def arguments(direction):
        return ", ".join(f"{a.get('type')} {a.get('name')}" for a in member.findall("arg")
                         if a.get("direction", "out" if member.tag == "signal" else "in") == direction)
    if member.tag == "property":
        return f"{member.get('type')} {member.get('name')}"
    came, went = arguments("in"), arguments("out")
    if member.tag == "signal":
        return f"{member.get('name')}({went})"
    return f"{member.get('name')}({came})" + (f" → {went}" if went else "")


def expand_interface(root, file):
    parser = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))
    node = ET.fromstring((root / file).read_text(), parser)
    lines = []
    for interface in node.findall("interface"):
        kinds, comment = {"method": [], "property": [], "signal": []}, ""
        for child in interface:
            if child.tag is ET.Comment:
                comment = child.text
                continue
            text = comment[:1].upper() + comment[1:] if comment else ""
            text = text.strip()
            text = text + "." if text and text[-1] not in ".?!" else text
            text = text[:1].upper() + text[1:]
            kinds[child.tag].append((signature(child), prose(text) if text else []))
            comment = ""
        for kind, heading in (("method", "Methods"), ("property", "Properties"), ("signal", "Signals")):
            if kinds[kind]:
                lines += [f".Ss {heading} of {interface.get('name')}", *listed(kinds[kind])]
    return lines


# Markdown

def table(rows):
    """A row a key: its name, columns of few words with their headings, and what is said of it."""
    heads, *body = [[c.strip().replace("\\|", "|") for c in re.split(r"(?<!\\)\|", row.strip().strip("|"))] for row in rows]
    entries = []
    for cells in body[1:]:
        facts = [f"{head.capitalize()}: {cell}." for head, cell in zip(heads[1:-1], cells[1:-1]) if cell and head]
        text = cells[-1]
        said = prose(text[:1].upper() + text[1:] + ("" if text[-1:] in ".?!" else ".")) if text else []
        entries.append((cells[0].replace("`", ""), [line for fact in facts for line in prose(fact)] + said))
    return listed(entries)


def blocks(lines):
    """(kind, lines): fences, tables, bullets, headings, indented code and paragraphs."""
    block, kind = [], None
    for line in [*lines, ""]:
        if kind == "fence":
            if line.startswith("```"):
                yield kind, block
                block, kind = [], None
            else:
                block.append(line)
            continue
        now = ("fence" if line.startswith("```") else "table" if line.startswith("|") else "bullet" if line.startswith("- ")
               else "head" if line.startswith("#") else "code" if line.startswith("    ") else None if not line.strip() else "text")
        continues = kind == now or (kind == "bullet" and line.startswith("  ")) or (kind == "text" and now == "text")
        if kind and (not continues or now in ("bullet", "head")):
            yield kind, block
            block, kind = [], None
        if now and not kind:
            kind, block = now, [] if now == "fence" else [line]
        elif now:
            block.append(line)


def markdown(lines):
    out, bullets = [], []

    def end_bullets():
        if bullets:
            out.extend([".Bl -bullet", *[line for b in bullets for line in (".It", *b)], ".El"])
            bullets.clear()
    for kind, block in blocks(lines):
        if kind == "bullet":
            bullets.append(prose(" ".join(block)[2:]))
            continue
        end_bullets()
        if kind in ("fence", "code"):
            out += [".Bd -literal -offset indent", *[text_line(line.removeprefix("    ")) for line in block], ".Ed"]
        elif kind == "table":
            out += table(block)
        elif kind == "head":
            out += [f".Ss {argument(block[0].lstrip('# '))}"]
        else:
            out += [*([".Pp"] if out and not out[-1].startswith((".Ss", ".El", ".Ed")) else []), *prose(" ".join(block))]
            if out and len(out) > len(prose(" ".join(block))) and out[-len(prose(" ".join(block))) - 1] in (".El", ".Ed"):
                out.insert(len(out) - len(prose(" ".join(block))), ".Pp")
    end_bullets()
    return out


def expand_markdown(root, file, heading):
    lines = (root / file).read_text().splitlines()
    at = lines.index(heading)
    level = len(heading) - len(heading.lstrip("#"))
    section = []
    fenced = False
    for line in lines[at + 1:]:
        fenced ^= line.startswith("```")
        if not fenced and re.match(rf"#{{1,{level}}} ", line):
            break
        section.append(line)
    return markdown(section)


# The rotation table

def expand_table(root, file):
    lines = []
    for state in (root / file).read_text().split("\n\n"):
        name, *rows = state.strip().splitlines()
        entries = []
        for row in rows:
            when, _, does = row.strip().partition(": ")
            does, _, text = does.partition("  [")
            text = text.rstrip("]")
            entries.append((when, [*prose(does + "."), *(prose(f"{text[0].upper()}{text[1:]}.") if text else [])]))
        lines += [f".Ss State {name}", *listed(entries)]
    return lines


# gatehousectl

def sentence(text):
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text[-1:] in ".?!" else ".")


def option_list(options):
    lines = []
    for o in options:
        letter = f"Fl {o['letter']} , " if o.get("letter") else ""
        value = f" Ns = Ns Ar {argument(o['value'])}" if o.get("value") else ""
        lines += [f".It {letter}Fl -{o['option']}{value}", *prose(sentence(o["help"]))]
    return lines


def expand_options(root, file):
    return option_list(json.loads((root / file).read_text())["result"]["options"])


def expand_verbs(root, file):
    lines = []
    for verb in json.loads((root / file).read_text())["result"]["verbs"]:
        operands = "".join(f" Ar {argument(o)}" for o in (verb["operands"] or "").split())
        lines += [f".It Ic {argument(verb['verb'])}{operands}", *prose(sentence(verb["summary"]))]
        lines += prose(sentence(verb["details"])) if verb["details"] else []
        if verb["options"]:
            lines += [".Bl -tag -width Ds", *option_list(verb["options"]), ".El"]
    return lines


# What gatehousectl prints as JSON

def type_of(schema):
    """`array of job`, `object of integer`, `string`: with the names that the schema itself gives."""
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2].removeprefix("result_").replace("_", " ")
    if "enum" in schema:
        return "string"
    kind = schema.get("type", "value")
    kind = " or ".join(kind) if isinstance(kind, list) else kind
    inner = schema.get("items") if kind == "array" else schema.get("additionalProperties") if kind == "object" else None
    return f"{kind} of {type_of(inner)}" if inner else kind


def members(schema, whole):
    entries = []
    for name, value in schema.get("properties", {}).items():
        if "const" in value and name == "event":
            continue
        text = " ".join(t for t in (value.get("description", ""), choices(value)) if t)
        inner = next((s for s in (value, value.get("items", {}), value.get("additionalProperties", {})) if "properties" in s), None)
        body = [*prose(f"({type_of(value)}) {text}"), *(members(inner, whole) if inner else [])]
        entries.append((name, body))
    return listed(entries)


def expand_results(root, file):
    whole = json.loads((root / file).read_text())
    lines = []
    for branch in whole["else"]["allOf"]:
        verb = branch["if"]["properties"]["verb"]["const"]
        if "status" in branch["if"]["properties"]:
            continue
        result = resolved(branch["then"]["properties"]["result"], whole)
        lines.append(f".Ss {argument(verb or 'Without a verb')}")
        lines += members(result, whole) if result["properties"] else ["An empty object."]
    return lines


def expand_shared(root, file, names):
    whole = json.loads((root / file).read_text())
    lines = []
    for name in names.split():
        one = whole["$defs"][name]
        for part in one.get("oneOf", [one]):
            event = part.get("properties", {}).get("event", {}).get("const")
            lines.append(f".Ss {argument(f'{name} {event}' if event else name.replace('_', ' '))}")
            lines += prose(" ".join(t for t in (part.get("description", ""), choices(part)) if t))
            lines += members(part, whole) if part.get("properties") else []
    return lines


def expand_findings(root, file):
    entries = []
    for kind in json.loads((root / file).read_text())["result"]["kinds"]:
        mend = ["Mend:", *prose(f"`{kind['mend']}`")] if kind["mend"] else []
        entries.append((kind["id"], [f"({kind['severity']})", *prose(kind["meaning"]), *mend]))
    return listed(entries)


EXPAND = {"results": expand_results, "shared": expand_shared, "findings": expand_findings, "verbs": expand_verbs, "options": expand_options, "table": expand_table, "keys": expand_keys, "interface": expand_interface, "markdown": expand_markdown}


def page(template, root):
    for line in template.read_text().splitlines():
        directive = re.fullmatch(r'\.\\" @(\w+) (\S+)(?: (.+))?', line)
        if directive:
            yield from EXPAND[directive[1]](root, *[a for a in directive.groups()[1:] if a])
        else:
            yield line


def main():
    template, output = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    root = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else pathlib.Path(__file__).resolve().parents[2]
    text = "\n".join(page(template, root)) + "\n"
    # a list or display makes a paragraph by itself
    output.write_text(re.sub(r'(?m)^\.Pp\n(?=(\.\\".*\n)*\.(Bd|Bl|Ss|Sh|Pp))', "", text))


if __name__ == "__main__":
    main()
