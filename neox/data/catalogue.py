"""The 19 corpora that GPT-NeoX knew by name (tools/datasets/corpora.py): where, how large, whose.

Sizes of text are those of the Pile's paper (arXiv:2101.00027, table 1), of C4's dataset card and of
Matt Mahoney's page about enwik8; where a corpus is another cut than the one described there, it is
"about". Licences are of the texts, not of the collection: what a source says, or that it says
nothing. The Eye took the Pile and its parts off its server in 2023: give `--mirror` then.
"""

from collections.abc import Mapping
from dataclasses import dataclass

PILE = "https://the-eye.eu/public/AI/pile/train"
COMPONENTS = "https://the-eye.eu/public/AI/pile_preliminary_components"
C4 = "https://the-eye.eu/eleuther_staging/c4"
GIB = 1.073741824  # GB


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Texts by the name that GPT-NeoX gave them."""

    urls: tuple[str, ...]
    text_gb: float | None  # of text, unpacked; None where nobody says it
    is_about: bool = False
    licence: str
    note: str = ""  # what to know before preparing it


def _part(file: str, gib: float | None, licence: str, note: str = "") -> Corpus:
    return Corpus(
        urls=(f"{COMPONENTS}/{file}",),
        text_gb=None if gib is None else gib * GIB,
        licence=licence,
        note=note,
    )


_UNPACK = "an archive: unpack it first"
_OWNERS = "each text its owner's"

CATALOGUE: Mapping[str, Corpus] = {
    "enron": Corpus(
        urls=("http://eaidata.bmk.sh/data/enron_emails.jsonl.zst",),
        text_gb=0.88 * GIB,
        licence="none stated (published by a US regulator)",
    ),
    "pile_subset": Corpus(
        urls=(f"{PILE}/00.jsonl.zst",),
        text_gb=825.18 * GIB / 30,
        is_about=True,
        licence="as the parts of the Pile",
        note="the first of 30 files",
    ),
    "pile": Corpus(
        urls=tuple(f"{PILE}/{number:02}.jsonl.zst" for number in range(30)),
        text_gb=825.18 * GIB,
        licence="as its 22 parts; some are copyrighted",
    ),
    "github": Corpus(
        urls=("http://eaidata.bmk.sh/data/github_small.jsonl.zst",),
        text_gb=None,
        licence="each repository's own",
        note="a sample of the Pile's 95 GiB",
    ),
    "arxiv": _part(
        "2020-09-08-arxiv-extracts-nofallback-until-2007-068.tar.gz",
        56.21,
        "each paper's own (most: arXiv's)",
        _UNPACK,
    ),
    "europarl": _part(
        "EuroParliamentProceedings_1996_2011.jsonl.zst", 4.59, "free with source (EU Parliament)"
    ),
    "freelaw": _part("FreeLaw_Opinions.jsonl.zst", 51.15, "public domain (US courts)"),
    "nih": _part(
        "NIH_ExPORTER_awarded_grant_text.jsonl.zst", 1.89, "public domain (US government)"
    ),
    "pubmed": _part("PMC_extracts.tar.gz", 90.27, "each article's own (open access)", _UNPACK),
    "books1": _part("books1.tar.gz", None, "copyrighted by the authors", _UNPACK),
    "books3": _part(
        "books3.tar.gz", 100.96, "copyrighted; withdrawn in 2023", "expect no server to have it"
    ),
    "hackernews": _part("hn.tar.gz", 3.90, "none stated", _UNPACK),
    "openwebtext2": _part("openwebtext2.jsonl.zst.tar", 62.77, _OWNERS, _UNPACK),
    "stackexchange": _part("stackexchange_dataset.tar", 32.20, "CC BY-SA", _UNPACK),
    "ubuntu_irc": _part("ubuntu_irc_until_2020_9_1.jsonl.zst", 5.52, "public domain"),
    "youtube_subtitles": _part("yt_subs.jsonl.zst", 3.73, _OWNERS),
    "c4": Corpus(
        urls=tuple(f"{C4}/en/c4-train.{number:05}-of-01024.json.gz" for number in range(1024)),
        text_gb=828.6,
        licence="ODC-BY; Common Crawl's terms",
    ),
    "c4_openwebtext": Corpus(
        urls=tuple(
            f"{C4}/realnewslike/c4-train.{number:05}-of-00512.json.gz" for number in range(512)
        ),
        text_gb=38.2,
        licence="ODC-BY; Common Crawl's terms",
        note="C4's realnewslike",
    ),
    "enwik8": Corpus(
        urls=("http://mattmahoney.net/dc/enwik8.zip",),
        text_gb=0.1,
        licence="CC BY-SA, GFDL (Wikipedia)",
        note=_UNPACK,
    ),
}
