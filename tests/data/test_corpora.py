"""Downloads from a server on this machine that cuts connections, forgets ranges and lies."""

import hashlib
import random
import re
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from neox.data import cli
from neox.data.catalogue import CATALOGUE
from neox.data.downloading import Download, download
from neox.data.errors import DataError

CONTENT = random.Random(0).randbytes(300_000)
SUM = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        asked = self.server.asked
        asked.append(self.headers.get("Range"))
        body = self.server.files.get(self.path.rpartition("/")[2])
        if body is None:
            self.send_error(404)
            return
        if self.server.busy:
            self.server.busy -= 1
            self.send_error(503)
            return
        start = self._start(body)
        if start is None:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.send_header("ETag", f'"{hashlib.md5(body).hexdigest()}"')
        self.end_headers()
        end = len(body)
        if self.server.cuts:  # the connection breaks so many bytes further on
            end = min(end, start + self.server.cuts.pop(0))
        self.wfile.write(body[start:end])

    def _start(self, body):
        """Where to begin; None where the range asked for has nothing in it."""
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        tag = self.headers.get("If-Range")
        if not match or not self.server.ranges:
            return 0
        if tag != f'"{hashlib.md5(body).hexdigest()}"':
            return 0
        return int(match[1]) if int(match[1]) < len(body) else None

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.cuts, server.ranges = {"a.jsonl.zst": CONTENT}, [], True
    server.busy, server.asked = 0, []
    server.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(server, path, sha256=None, name="a.jsonl.zst"):
    heard = []
    wanted = Download(url=f"{server.address}/{name}", path=path, sha256=sha256)
    found = download(wanted, lambda *args: heard.append(args), pause=0)
    return found, heard


def test_cut_connections_go_on_where_they_were(server, tmp_path):
    server.cuts = [1000, 99_000, 50_000]
    path = tmp_path / "new" / "a"
    found, heard = fetch(server, path, SUM)
    assert path.read_bytes() == CONTENT and found == SUM
    assert server.asked == [None, "bytes=1000-", "bytes=100000-", "bytes=150000-"]
    assert heard[-1] == (300_000, 300_000)
    assert [one.name for one in path.parent.iterdir()] == ["a"]


def test_a_killed_download_goes_on(server, tmp_path):
    part = tmp_path / "a.part"
    part.write_bytes(CONTENT[:123_456])
    (tmp_path / "a.part.etag").write_text(f'"{hashlib.md5(CONTENT).hexdigest()}"')
    fetch(server, tmp_path / "a", SUM)
    assert server.asked == ["bytes=123456-"]
    part.write_bytes(CONTENT)  # killed after the last byte
    (tmp_path / "a.part.etag").write_text(f'"{hashlib.md5(CONTENT).hexdigest()}"')
    assert fetch(server, tmp_path / "b", SUM)[0] == SUM
    shutil.move(part, tmp_path / "c.part")
    shutil.move(tmp_path / "a.part.etag", tmp_path / "c.part.etag")
    assert fetch(server, tmp_path / "c", SUM)[0] == SUM
    assert server.asked[-1] == "bytes=300000-"


@pytest.mark.parametrize("ranges", [True, False])
def test_another_file_on_the_server_is_fetched_whole(server, tmp_path, ranges):
    server.ranges = ranges
    (tmp_path / "a.part").write_bytes(b"of an older version")
    (tmp_path / "a.part.etag").write_text('"older"')
    assert fetch(server, tmp_path / "a")[0] == SUM
    (tmp_path / "b.part").write_bytes(b"of an unknown version")
    assert fetch(server, tmp_path / "b")[0] == SUM


def test_a_wrong_checksum_leaves_nothing(server, tmp_path):
    with pytest.raises(DataError, match=f"its SHA-256 is {SUM}, but should be {'0' * 64}"):
        fetch(server, tmp_path / "a", "0" * 64)
    assert not list(tmp_path.iterdir())


def test_a_busy_server_is_asked_again_but_not_for_ever(server, tmp_path):
    server.busy = 3
    assert fetch(server, tmp_path / "a")[0] == SUM
    server.busy = 99
    with pytest.raises(DataError, match="503 Service Unavailable, 6 times in a row"):
        fetch(server, tmp_path / "b")
    assert server.busy == 93


def test_what_cannot_help_is_not_tried_again(server, tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"404 Not Found; another server may have it: --mirror"):
        fetch(server, tmp_path / "a", name="none")
    assert len(server.asked) == 1
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 0))
    with pytest.raises(DataError, match=r"0\.0 GB free, 0\.0 GB to come"):
        fetch(server, tmp_path / "a")
    wanted = Download(url="http://no.such.host.invalid/x", path=tmp_path / "a", sha256=None)
    with pytest.raises(DataError, match=r"no\.such\.host\.invalid is not known here"):
        download(wanted, lambda *args: None)


def test_the_19_names(capsys):
    """Those of GPT-NeoX's tools/datasets/corpora.py."""
    names = (
        "enron pile_subset pile github arxiv europarl freelaw nih pubmed books1 books3 hackernews "
        "openwebtext2 stackexchange ubuntu_irc youtube_subtitles c4 c4_openwebtext enwik8"
    )
    assert " ".join(CATALOGUE) == names and len(CATALOGUE) == 19
    assert cli.main(["corpora"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 20 and max(map(len, lines)) <= 80
    assert all(one.licence and one.urls for one in CATALOGUE.values())
    assert cli.main(["corpora", "pile", "--urls", "--mirror", "http://here/p/"]) == 0
    urls = capsys.readouterr().out.splitlines()
    assert (len(urls), urls[29]) == (30, "http://here/p/29.jsonl.zst")


def test_a_corpus_by_name(server, tmp_path, capsys):
    server.files = {"EuroParliamentProceedings_1996_2011.jsonl.zst": CONTENT}
    words = ["corpora", "europarl", "--mirror", server.address, "--output", str(tmp_path)]
    assert cli.main(words) == 0
    told = capsys.readouterr().out
    assert SUM in told and "1 file, checked; licence: free with source" in told
    folder = tmp_path / "europarl"
    file = folder / "EuroParliamentProceedings_1996_2011.jsonl.zst"
    assert (folder / "SHA256SUMS").read_text() == f"{SUM}  {file.name}\n"
    assert cli.main(words) == 0 and len(server.asked) == 1  # there, and checked
    file.write_bytes(CONTENT[:-1] + b"x")
    assert cli.main(words) == 3
    assert "remove it, and the same command" in capsys.readouterr().err
    file.unlink()
    sums = tmp_path / "sums"
    sums.write_text(f"{'0' * 64} *{file.name}\n")
    assert cli.main([*words, "--checksums", str(sums)]) == 3
    assert f"should be {'0' * 64}; it was removed" in capsys.readouterr().err
    assert not file.exists()
    sums.write_text("no sum\n")
    assert cli.main([*words, "--checksums", str(sums)]) == 3
    assert "sums:1: not a line of sha256sum" in capsys.readouterr().err
    assert cli.main(["corpora", "enron"]) == 3
    assert "give --output DIR" in capsys.readouterr().err
