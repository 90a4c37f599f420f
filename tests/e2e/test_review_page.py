"""The review page in a real browser: wide and on a phone, in light and dark."""

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from neox.submit.record import write_run
from tests.submit.runs import prepared

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium here"),
]
LAUNCH = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# what the page looks like from inside: only the test's copy may run a script
PROBE = """<script>
const root = document.documentElement, seen = getComputedStyle(document.body);
const texts = [...document.querySelectorAll('section, svg, pre, li')];
root.dataset.seen = [
  root.scrollWidth, window.innerWidth, seen.backgroundColor, seen.color,
  performance.getEntriesByType('resource').length,
  Math.max(...texts.map(e => e.getBoundingClientRect().right)),
].join('|');
</script>"""


def chromium(folder: Path, page: Path, *words: str) -> str:
    profile = folder / f"browser-{len(list(folder.iterdir()))}"
    done = subprocess.run(
        ["chromium", *LAUNCH, f"--user-data-dir={profile}", *words, f"file://{page}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


@pytest.fixture(name="page")
def _page(tmp_path: Path) -> Path:
    write_run(prepared(tmp_path), "refuse")
    made = prepared(tmp_path, "--nodes", "2")  # so that there is something to compare
    return write_run(made, "fresh").prepared.plan.run.review_page


def light(colour: str) -> float:
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 765


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_person_can_read_it(tmp_path: Path, page: Path, width: int, dark: bool) -> None:
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    size = f"--window-size={width},1400"
    probed = tmp_path / "probed.html"
    text, dropped = re.subn(r"<meta http-equiv=[^>]*>", "", page.read_text())
    assert dropped == 1
    probed.write_text(text.replace("</body>", f"{PROBE}</body>"))
    dom = chromium(tmp_path, probed, scheme, size, "--dump-dom")
    found = re.search(r'data-seen="([^"]*)"', dom)
    assert found, dom[:2000]
    scroll, inner, ground, ink, fetched, right = html.unescape(found[1]).split("|")
    assert int(inner) <= max(width, 500)  # the browser's narrowest window
    assert int(scroll) <= int(inner) and float(right) <= int(inner), "it scrolls sideways"
    assert (light(ground) < 0.2) is dark and (light(ink) > 0.7) is dark
    assert fetched == "0"


def test_the_page_itself_is_painted(tmp_path: Path, page: Path) -> None:
    picture = tmp_path / "page.png"
    chromium(tmp_path, page, "--window-size=1280,2400", f"--screenshot={picture}")
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 50_000
