#!/usr/bin/env python3
"""Wraps the prose of Markdown files at 100 columns. Tables, code and headings stay; code spans and links are not broken.

    scripts/wrap.py [FILE..]        all documents by default
"""

import pathlib
import re
import sys

WIDTH = 100
# What must not be broken: an image or a link, and a code span.
ATOM = re.compile(r"!?\[[^\]\n]*\]\([^)\n]*\)[^\s]*|`[^`\n]+`[^\s`]*|\S+")
ITEM = re.compile(r"(\s*)([-*+]|\d+[.)])(\s+)")


def atoms(text):
    found, at = [], 0
    while (m := re.compile(r"\s*").match(text, at)) and m.end() < len(text):
        start = at = m.end()
        # A word goes on over spans that touch it.
        while at < len(text) and not text[at].isspace():
            at = ATOM.match(text, at).end() if text[at] in "`[!" and ATOM.match(text, at) else at + 1
        found.append(text[start:at])
    return found


def filled(text, first, rest):
    # A line that began with one of these would become something else.
    special = re.compile(r"([-*+]|\d+[.)]|[|].*|>.*|#.*)$")
    lines, line = [], []

    def length(line):
        return len(rest if lines else first) + len(" ".join(line))

    for atom in atoms(text):
        if line and length([*line, atom]) > WIDTH:
            taken = []
            while len(line) > 1 and special.match(([*taken, atom])[0]):
                taken.insert(0, line.pop())
            lines.append((rest if lines else first) + " ".join(line))
            line = taken
        line.append(atom)
    return [*lines, (rest if lines else first) + " ".join(line)]


def wrapped(text):
    out, block, indent, fence, listed = [], [], ("", ""), None, False

    def flush():
        if block:
            out.extend(filled(" ".join(block), *indent))
            block.clear()

    for line in text.split("\n"):
        mark = re.match(r"\s*(```+|~~~+)", line)
        if fence or mark:
            flush()
            out.append(line)
            fence = None if fence and mark and mark[1].startswith(fence) else fence or mark[1]
        elif not line.strip() or re.match(r"\s*(#|\||<[a-z!/]|>|---+$|\[[^\]]+\]:)", line):
            flush()
            out.append(line)
        elif not block and not listed and line.startswith("    "):
            out.append(line)
        elif item := ITEM.match(line):
            flush()
            listed = True
            indent = (item[0], " " * len(item[0]))
            block.append(line[item.end() :].strip())
        else:
            if not block:
                blanks = re.match(r"\s*", line)[0]
                listed = listed and blanks != ""
                indent = (blanks, blanks)
            block.append(line.strip())
    flush()
    return "\n".join(out)


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    skipped = {"target", ".git"}
    default = (p for p in root.rglob("*.md") if not skipped & set(p.relative_to(root).parts))
    for path in map(pathlib.Path, sys.argv[1:]) if sys.argv[1:] else default:
        before = path.read_text()
        after = wrapped(before)
        assert before.split() == after.split(), path
        if after != before:
            path.write_text(after)
            print(f"wrapped {path}")


main()
