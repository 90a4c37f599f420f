"""Read config files: merge, lay KEY=VALUE over them, type everything, report all errors at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from neox.config.examples import without_examples
from neox.config.given import Given
from neox.config.nodes import Branch, Leaf, Node, from_values, parse, parse_override
from neox.config.places import ConfigErrors, Place, Problem, problem_at
from neox.content import shipped

_NOWHERE = Place(kind="file", source="")


def load(
    files: Sequence[Path],
    overrides: Sequence[str] = (),
    layer: Mapping[str, object] | None = None,
    layer_name: str = "",
) -> Given:
    """Read `files` (YAML or JSON, `.yml` may be left out), left to right.

    A file that is not there may be one that NeoX ships: `configs/20B.yml`, `pythia/1B`.

    `layer` is a job kind's `config`: it beats the files, and an override beats both.
    Raises ConfigErrors with every problem found: unreadable files, unknown or twice-given
    names, wrong types.
    """
    problems: list[Problem] = []
    texts: dict[str, str] = {}
    on_shelf: set[str] = set()  # what they say of data and tokenizer may be replaced
    tree = Branch(place=_NOWHERE, entries=())
    for file in files:
        try:
            text = read_text(file)
            texts[str(file)] = text
            parsed = _settled(parse(text, str(file)), problems)
        except ConfigErrors as errors:
            problems.extend(errors.problems)
            continue
        if _is_shipped(file):
            on_shelf.add(str(file))
        tree = _merge(without_examples(tree, parsed, frozenset(on_shelf)), parsed, "", problems)
    if layer:
        job = Place(kind="job", source=layer_name)
        tree = _lay_over(tree, _settled(_branch(from_values(layer, job)), problems))
    tree = _apply(tree, overrides, problems)
    return _typed(tree, texts, problems)


def typed_text(text: str, source: str) -> Given:
    """The given values of one file's text. Raises ConfigErrors as `load` does."""
    problems: list[Problem] = []
    tree = _settled(parse(text, source), problems)
    return _typed(tree, {source: text}, problems)


def missing_files(given: Given) -> tuple[Problem, ...]:
    """Files that the submitting machine must have: the hostfile, where one is given."""
    hostfile = given.values.get("hostfile", None)
    if not isinstance(hostfile, str) or Path(hostfile).is_file():
        return ()
    message = f"hostfile: {hostfile} is not there; write the hosts into it, or leave it out"
    return (problem_at(given.places["hostfile"], message),)


def read_text(file: Path) -> str:
    """Raises ConfigErrors where the file is not there, or is no text."""
    place = Place(kind="file", source=str(file))
    try:
        return found(file).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        message = "is a binary file, not YAML or JSON"
    except FileNotFoundError:
        message = f"no such file{_close_to(file)}"
    except IsADirectoryError:
        message = "is a directory; name a config file in it"
    except OSError as error:
        message = f"cannot be read: {(error.strerror or str(error)).lower()}"
    raise ConfigErrors([problem_at(place, message)])


def found(file: Path) -> Path:
    """The file as typed, with its suffix, or on the shelf of configs; as typed where none is."""
    on_shelf = shipped("configs") / _shelf_name(file)
    tried = (file, Path(f"{file}.yml"), on_shelf, Path(f"{on_shelf}.yml"))
    return next((path for path in tried if path.exists()), file)


def _is_shipped(file: Path) -> bool:
    return found(file).resolve().is_relative_to(shipped("configs").resolve())


def _shelf_name(file: Path) -> str:
    return str(file).removeprefix("./").removeprefix("configs/").lstrip("/")


def _close_to(file: Path) -> str:
    if file.suffix == ".py":
        return "; what runs is a job kind, not a script: --job train, evaluate or generate"
    shelf = shipped("configs")
    names = [str(path.relative_to(shelf).with_suffix("")) for path in shelf.rglob("*.yml")]
    wanted = _shelf_name(file).removesuffix(".yml")
    close = get_close_matches(wanted, names, n=1)
    return f"; did you mean {close[0]}, which NeoX ships?" if close else ""


def _settled(branch: Branch, problems: list[Problem]) -> Branch:
    """The file's own twice-given and older names dealt with; `-` has become `_`."""
    from neox.config.table import OLD_NAMES  # noqa: PLC0415
    from neox.config.typed import unique_keys  # noqa: PLC0415

    entries = unique_keys(branch, "", problems)
    renamed = tuple((OLD_NAMES.get(name, name), node) for name, node in entries)
    return replace(
        branch, entries=tuple(unique_keys(replace(branch, entries=renamed), "", problems))
    )


def _branch(node: Node) -> Branch:
    assert isinstance(node, Branch)
    return node


def _merge(base: Branch, more: Branch, prefix: str, problems: list[Problem]) -> Branch:
    """Both; a value that differs between two files is on record as a problem."""
    from neox.config.typed import same  # noqa: PLC0415

    merged = dict(base.entries)
    for key, node in more.entries:
        before = merged.get(key)
        if isinstance(before, Branch) and isinstance(node, Branch):
            merged[key] = _merge(before, node, f"{prefix}{key}.", problems)
        elif before is None or same(before, node):
            merged[key] = node
        else:
            message = (
                f"{prefix}{key} is given twice with another value, first in {before.place}; "
                f"delete one, or say {prefix}{key}=VALUE on the command line"
            )
            problems.append(problem_at(node.place, message))
    return Branch(place=base.place, entries=tuple(merged.items()))


def _lay_over(base: Branch, layer: Branch) -> Branch:
    merged = dict(base.entries)
    for key, node in layer.entries:
        before = merged.get(key)
        both = isinstance(before, Branch) and isinstance(node, Branch)
        merged[key] = _lay_over(_branch(before), _branch(node)) if both and before else node
    return replace(base, entries=tuple(merged.items()))


def _apply(tree: Branch, overrides: Sequence[str], problems: list[Problem]) -> Branch:
    from neox.config.table import OLD_NAMES, known  # noqa: PLC0415

    seen: dict[tuple[str, ...], Place] = {}
    for text in overrides:
        try:
            path, node = parse_override(text)
        except ConfigErrors as errors:
            problems.extend(errors.problems)
            continue
        path = tuple(part.replace("-", "_") for part in path)
        path = (OLD_NAMES[path[0]] if path[0] in OLD_NAMES else path[0], *path[1:])
        if path in seen:
            message = f"{'.'.join(path)} is given twice, first as {seen[path]}"
            problems.append(problem_at(node.place, message))
        seen[path] = node.place
        nothing = isinstance(node, Leaf) and node.kind == "null" and not node.quoted
        tree = _without(tree, path) if nothing and known(path) else _put(tree, path, node)
    return tree


def _put(tree: Branch, path: tuple[str, ...], node: Node) -> Branch:
    """The tree with `node` at `path`, whatever stood there."""
    entries = {key.replace("-", "_"): value for key, value in tree.entries}
    key, *rest = path
    if rest:
        below = entries.get(key)
        inner = below if isinstance(below, Branch) else Branch(place=node.place, entries=())
        entries[key] = _put(inner, tuple(rest), node)
    else:
        entries[key] = node
    return replace(tree, entries=tuple(entries.items()))


def _without(tree: Branch, path: tuple[str, ...]) -> Branch:
    """The tree with nothing at `path`: KEY=null takes back what a file or a job kind gave."""
    key, *rest = path
    entries = {name.replace("-", "_"): value for name, value in tree.entries}
    below = entries.pop(key, None)
    if rest and below is not None:
        left = _without(below, tuple(rest)) if isinstance(below, Branch) else below
        if not isinstance(left, Branch) or left.entries:
            entries[key] = left
    return replace(tree, entries=tuple(entries.items()))


def _typed(tree: Branch, texts: Mapping[str, str], problems: list[Problem]) -> Given:
    from neox.config.table import table  # noqa: PLC0415
    from neox.config.typed import Reading, nearest  # noqa: PLC0415

    known = table()
    reading = Reading()
    values: dict[str, object] = {}
    for name, node in tree.entries:
        if name not in known:
            reading.problems.append(
                problem_at(node.place, f"unknown argument {name}{nearest(name, known)}")
            )
            continue
        entry = known[name]
        before = len(reading.problems)
        value = reading.argument(node, entry.wanted, entry.about, name)
        if len(reading.problems) == before:
            values[name] = value
    found = [*problems, *reading.problems]
    if found:
        found += _broken_rules(values, reading.places)
        raise ConfigErrors(sorted(found, key=_by_place))
    return Given(
        values=values,
        places=reading.places,
        warnings=tuple(_warnings(reading.places)),
        texts=texts,
    )


def _broken_rules(values: Mapping[str, object], places: Mapping[str, Place]) -> Sequence[Problem]:
    """What else is wrong with the values that could be read, so that all errors come at once."""
    from neox.config.derive import broken_rules  # noqa: PLC0415

    read = {name: place for name, place in places.items() if name.split(".")[0] in values}
    return broken_rules(Given(values=values, places=read, texts={}))


def _by_place(problem: Problem) -> tuple[str, int]:
    return problem.file, problem.line or 0


def _warnings(places: Mapping[str, Place]) -> Iterator[str]:
    """One line for each reason why given names have no effect."""
    from neox.config.table import about  # noqa: PLC0415

    by_reason: dict[str, list[str]] = {}
    for name in places:
        found = about(name)
        if found is None or found.status in ("user", "derived"):
            continue
        reason = "read nowhere" if found.status == "unread" else found.note
        assert reason is not None, name
        by_reason.setdefault(reason, []).append(f"{name} ({places[name]})")
    for reason, names in by_reason.items():
        yield f"without effect: {', '.join(names)}: {reason}"
