"""Where each line of a script comes from: marks that templates leave and that are taken out again.

A mark is a control character and a text. Values in scripts never hold control characters, so no
value can be taken for a mark.
"""

SECTION_MARK = "\x1e"  # alone on its line: holds for the lines that follow
LINE_MARK = "\x1f"  # at the end of a line: holds for that line


def split_origins(marked: str) -> tuple[str, tuple[str, ...]]:
    """The script without its marks, and one origin for each of its lines."""
    lines: list[str] = []
    origins: list[str] = []
    section = ""
    for marked_line in marked.removesuffix("\n").split("\n"):
        if marked_line.startswith(SECTION_MARK):
            section = marked_line.removeprefix(SECTION_MARK)
            continue
        line, mark, origin = marked_line.partition(LINE_MARK)
        lines.append(line)
        origins.append(origin if mark else section)
    return "\n".join(lines) + "\n", tuple(origins)
