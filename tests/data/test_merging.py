"""Joining and checking token files; compressed and mended input."""

import json

import pytest

from neox.data import cli
from neox.data.token_file import TokenFile
from tests.data.files import numbered, write_tokens

zstandard = pytest.importorskip("zstandard")


def run(*words):
    return cli.main([str(word) for word in words])


def test_merged_files_are_their_documents_one_after_another(tmp_path, capsys):
    documents = numbered([3, 1, 4, 2, 6])
    first = write_tokens(tmp_path / "a", documents[:2])
    second = write_tokens(tmp_path / "b", documents[2:])
    whole = write_tokens(tmp_path / "whole", documents)
    assert run("merge", first, second, "--output-prefix", tmp_path / "deep" / "ab") == 0
    assert "5 documents, 16 tokens" in capsys.readouterr().out
    for suffix in (".bin", ".idx"):
        merged = tmp_path / "deep" / f"ab{suffix}"
        assert merged.read_bytes() == whole.with_name(f"whole{suffix}").read_bytes()


def test_what_cannot_be_merged_leaves_nothing_behind(tmp_path, capsys):
    first = write_tokens(tmp_path / "a", numbered([3]))
    other = write_tokens(tmp_path / "b", numbered([3]), "<i4")
    assert run("merge", first, other, "--output-prefix", tmp_path / "ab") == 3
    assert "int32" in capsys.readouterr().err
    assert run("merge", first, first, "--output-prefix", first) == 3
    assert "one of the inputs" in capsys.readouterr().err
    assert run("merge", first, "--output-prefix", other) == 3
    assert "--overwrite" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"a.bin", "a.idx", "b.bin", "b.idx"}


def test_verify_names_the_file_and_the_token(tmp_path, capsys):
    good = write_tokens(tmp_path / "good", [[1, 2], [3]])
    high = write_tokens(tmp_path / "high", [[1, 2], [3, 70]])
    labels = write_tokens(tmp_path / "labels", [[-100, 2]], "<i4")
    assert run("verify", good, high, labels) == 0
    assert "sound; uint16, 2 documents, 3 tokens" in capsys.readouterr().out
    assert run("verify", good, high, labels, "--vocab-size", 70) == 3
    said = capsys.readouterr().err
    assert "high.bin: token 3 is 70" in said
    assert "labels.bin: token 0 is -100" in said
    assert "2 of 3" in said
    half = tmp_path / "good.bin"
    half.write_bytes(half.read_bytes()[:-2])
    assert run("verify", good) == 3


def prepared(tmp_path, source, *more):
    kind = ("--tokenizer-type", "CharLevelTokenizer", "--workers", 1, "--overwrite")
    output = tmp_path / "out"
    assert run("prepare", "--input", source, "--output-prefix", output, *kind, *more) == 0
    file = TokenFile(tmp_path / "out_text_document")
    return [bytes(file.sequence(n).astype("u1")).decode() for n in range(len(file))]


def test_zst_of_several_frames(tmp_path):
    texts = [f"document {n}" for n in range(50)]
    lines = [json.dumps({"text": text}).encode() + b"\n" for text in texts]
    packed = tmp_path / "in.jsonl.zst"
    halves = (b"".join(lines[:20]), b"".join(lines[20:]))
    packed.write_bytes(b"".join(zstandard.ZstdCompressor().compress(half) for half in halves))
    assert prepared(tmp_path, packed) == texts


def test_damaged_zst_is_named(tmp_path, capsys):
    packed = tmp_path / "in.jsonl.zst"
    packed.write_bytes(b"this is no zstandard frame")
    kind = ("--tokenizer-type", "CharLevelTokenizer", "--workers", 1)
    assert run("prepare", "--input", packed, "--output-prefix", tmp_path / "o", *kind) == 3
    assert "in.jsonl.zst: cannot be read after line 0" in capsys.readouterr().err


def test_a_zst_cut_short_is_not_taken_for_its_end(tmp_path, capsys):
    content = b"".join(json.dumps({"text": f"{n * 7919}"}).encode() + b"\n" for n in range(5000))
    packed = tmp_path / "in.jsonl.zst"
    packed.write_bytes(zstandard.ZstdCompressor().compress(content)[:-200])
    kind = ("--tokenizer-type", "CharLevelTokenizer", "--workers", 1)
    assert run("prepare", "--input", packed, "--output-prefix", tmp_path / "o", *kind) == 3
    assert "cannot be read" in capsys.readouterr().err


def test_ftfy_mends_what_was_decoded_wrongly(tmp_path):
    pytest.importorskip("ftfy")
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps({"text": "schÃ¶n"}) + "\n")
    assert prepared(tmp_path, source) == ["schÃ¶n"]
    assert prepared(tmp_path, source, "--ftfy") == ["schön"]
