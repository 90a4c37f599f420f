"""`neox data corpora`: the corpora that have a name, and how to get them."""

import argparse
import sys
from pathlib import Path

from neox.data.catalogue import CATALOGUE, Corpus
from neox.data.downloading import Download, download, sha256_of
from neox.data.errors import DataError
from neox.data.progress import Progress

SUMS = "SHA256SUMS"  # in the folder: what came, in the form of sha256sum


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Without a name: list the corpora. With one: download it into DIR/NAME, going on where an "
        "earlier download was cut off. What came is recorded in SHA256SUMS, and checked with it "
        "the next time."
    )
    parser.add_argument("name", nargs="?", choices=CATALOGUE, metavar="NAME")
    parser.add_argument("--output", type=Path, metavar="DIR", help="where it goes")
    parser.add_argument("--mirror", metavar="URL", help="take the files from here instead")
    parser.add_argument(
        "--checksums", type=Path, metavar="FILE", help="as sha256sum prints them: refuse others"
    )
    parser.add_argument("--urls", action="store_true", help="print the addresses, fetch nothing")


def run(arguments: argparse.Namespace) -> None:
    if arguments.name is None:
        print("\n".join(listing()))
        return
    corpus = CATALOGUE[arguments.name]
    urls = [_from(arguments.mirror, url) for url in corpus.urls]
    if arguments.urls:
        print("\n".join(urls))
        return
    if arguments.output is None:
        raise DataError(f"{arguments.name}: where to? give --output DIR")
    folder = arguments.output / arguments.name
    given = {} if arguments.checksums is None else read_sums(arguments.checksums)
    _fetch_all(urls, folder, given)
    print(
        f"{folder}: {len(urls):,} file{'s' * (len(urls) != 1)}, checked; licence: {corpus.licence}"
    )
    if corpus.note:
        print(corpus.note)


def listing() -> list[str]:
    rows = [("NAME", "TEXT", "FILES", "LICENCE OF THE TEXTS")]
    rows += [
        (name, _size(one), f"{len(one.urls):,}", one.licence) for name, one in CATALOGUE.items()
    ]
    return [f"{name:18}{size:>10}{files:>7}  {licence}" for name, size, files, licence in rows]


def _size(corpus: Corpus) -> str:
    if corpus.text_gb is None:
        return "unknown"
    return f"{'~' * corpus.is_about}{corpus.text_gb:,.1f} GB"


def _from(mirror: str | None, url: str) -> str:
    return url if mirror is None else f"{mirror.rstrip('/')}/{url.rpartition('/')[2]}"


def _fetch_all(urls: list[str], folder: Path, given: dict[str, str]) -> None:
    sums = read_sums(folder / SUMS) if (folder / SUMS).is_file() else {}
    missing = [url for url in urls if given and _name(url) not in given]
    if missing:
        raise DataError(f"--checksums: it has no line for {_name(missing[0])}")
    for number, url in enumerate(urls, start=1):
        name = _name(url)
        path = folder / name
        wanted = given.get(name)
        if path.is_file() and name in sums | given:
            _check(path, wanted or sums[name])
            continue
        progress = _Meter(f"{name} ({number} of {len(urls)})")
        sums[name] = download(Download(url=url, path=path, sha256=wanted), progress.tell)
        progress.end()
        _write_sums(folder / SUMS, sums)
        print(f"{path}: {path.stat().st_size:,} bytes, SHA-256 {sums[name]}", flush=True)


def _check(path: Path, wanted: str) -> None:
    found = sha256_of(path)
    if found != wanted:
        raise DataError(
            f"{path}: its SHA-256 is {found}, but should be {wanted}; remove it, and the same "
            "command fetches it again"
        )


class _Meter:
    """A progress bar whose length is known when the server answers."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: Progress | None = None

    def tell(self, done: int, total: int | None) -> None:
        if self._bar is None:
            self._bar = Progress(
                total or 0, sys.stderr, shown=sys.stderr.isatty(), title=self._title
            )
            self._bar.skip(done)
        self._bar.update(done)

    def end(self) -> None:
        if self._bar is not None:
            self._bar.end()


def read_sums(path: Path) -> dict[str, str]:
    """File name -> SHA-256, of lines as sha256sum writes them."""
    found = dict[str, str]()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        sum_, _, name = line.partition(" ")
        if len(sum_) != 64 or not name.strip():
            raise DataError(f"{path}:{number}: not a line of sha256sum: {line[:80]!r}")
        found[_name(name.strip().removeprefix("*"))] = sum_.lower()
    return found


def _write_sums(path: Path, sums: dict[str, str]) -> None:
    aside = path.with_name(f"{path.name}.tmp")
    aside.write_text("".join(f"{sums[name]}  {name}\n" for name in sorted(sums)))
    aside.replace(path)


def _name(url: str) -> str:
    return url.rpartition("/")[2]
