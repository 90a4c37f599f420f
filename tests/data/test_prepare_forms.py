"""Parquet, several keys, conversations and rewards: what is written, and what is refused."""

import gzip
import json
import random

import numpy as np
import pytest
import tokenizers
from tokenizers import models

from neox.data import cli
from neox.data.conversations import ChatSettings, ConversationEncoder
from neox.data.documents import Kind, Record, chunks, records, shards
from neox.data.encoding import Encoder, EncodeSettings, bad_line
from neox.data.errors import DataError
from neox.data.fields import BadRecord, fields_of
from neox.data.line_numbers import LineNumbers
from neox.data.parquet import parquet_rows
from neox.data.token_file import TokenFile
from neox.data.tokenizer_training import train_bpe
from neox.data.tokenizers import LibraryTokenizer

CHARACTERS = ["--tokenizer-type", "CharLevelTokenizer", "--workers", "1"]


def prepare(source, output, *more):
    words = ["prepare", "--input", source, "--output-prefix", output, *CHARACTERS, *more]
    return cli.main([str(one) for one in words])


def texts(prefix):
    file = TokenFile(prefix)
    return [bytes(file.sequence(number).tolist()).decode() for number in range(len(file))]


def test_parquet_gives_what_json_lines_give(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [{"body": f"text {n} é", "other": n, "score": n / 2} for n in range(2500)]
    parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "in.parquet", row_group_size=700)
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    more = ["--key", "body", "--append-eod", "--reward-key", "score"]
    for source, output in (("in.parquet", "p"), ("in.jsonl", "j")):
        assert prepare(tmp_path / source, tmp_path / output, *more, "--chunk-mb", "0.02") == 0
    for name in ("body_document", "body_reward_document"):
        for end in (".bin", ".idx"):
            ours, plain = (tmp_path / f"{one}_{name}{end}" for one in "pj")
            assert ours.read_bytes() == plain.read_bytes()
    rewards = TokenFile(tmp_path / "p_body_reward_document")
    assert rewards.dtype == np.float32 and rewards.sequence(3).tolist() == [1.5]
    (shard,) = shards([tmp_path / "in.parquet"], 20_000)
    read = [chunk.consumed for chunk in chunks(shard, 5_000, ("body",))]
    assert read == sorted(read) and len(read) > 9 and read[-1] == shard.size


def test_parquet_that_cannot_be_read(tmp_path, capsys):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    good = tmp_path / "good.parquet"
    parquet.write_table(arrow.table({"body": ["x"], "raw": [b"\xff"], "none": [None]}), good)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(good.read_bytes()[:-40])
    for source, key, message in (
        (good, "text", "no column 'text'; it has body, raw, none"),
        (good, "raw", "row 1: Object of type bytes is not JSON"),
        (good, "none", f"{good}:1: 'none' is not a text"),
        (broken, "body", "cannot be read"),
    ):
        assert prepare(source, tmp_path / "o", "--key", key) == 3
        told = capsys.readouterr().err
        assert message in told and "Traceback" not in told
    assert next(parquet_rows(good, ("body",)))[0] == b'{"body": "x"}'


def test_keys_stay_document_by_document_alike(tmp_path, capsys):
    lines = [
        {"title": "one", "text": "first"},
        {"title": "", "text": "has no title"},
        {"title": "two", "text": ["a", "b"]},
        {"title": "three"},
    ]
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    more = ["--jsonl-keys", "title", "text", "--skip-bad"]
    assert prepare(source, tmp_path / "o", *more) == 0
    told = capsys.readouterr()
    assert "1 empty documents left out; 1 bad lines left out" in told.out
    assert f"{source}:4: no key 'text'; it has 'title'" in told.err
    assert texts(tmp_path / "o_title_document") == ["one", "two"]
    assert texts(tmp_path / "o_text_document") == ["first", "a\n\nb"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "x"}, "no key 'score'; it has 'text'"),
        ({"text": "x", "score": "high"}, "'score' is not a number"),
        ({"text": "x", "score": []}, "'score' is an empty list"),
    ],
)
def test_rewards_are_numbers(row, reason):
    settings = EncodeSettings(
        tokenizer_type="CharLevelTokenizer",
        vocab_file=None,
        merge_file=None,
        append_eod=False,
        reward_key="score",
    )
    record = Record(path="in", line=3, kind=Kind.LINES, raw=json.dumps(row).encode())
    (bad,) = Encoder(settings).encode([record]).bad
    assert (LineNumbers().place(bad), bad.reason) == ("in:3", reason)


@pytest.fixture(scope="module")
def library():
    return LibraryTokenizer(train_bpe(["user assistant hello"] * 9, 300))


def encode(library, template, turns, **more):
    settings = ChatSettings(template=template, special={"eos_token": "<|endoftext|>"}, **more)
    return ConversationEncoder(settings, library).encode(turns, "chat")


PLAIN = "{% for m in messages %}{{ m['role'] + ':' + m['content'] + ';' }}{% endfor %}"


def test_labels_stand_under_the_tokens_that_count(library):
    turns = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "user"}]
    tokens, labels = encode(library, PLAIN, turns)
    counted = [one for one in labels if one != -100]
    assert library.decode(tokens) == "user:hello;assistant:user;<|endoftext|>"
    assert tokens[-len(counted) :] == counted  # they are the end of it
    assert library.decode(counted) == "assistant:user;<|endoftext|>"
    _, labels = encode(library, PLAIN, turns, role="user")
    assert library.decode([one for one in labels if one != -100]) == "user:hello;"


@pytest.mark.parametrize(
    ("turns", "template", "reason"),
    [
        ("text", PLAIN, "'chat' is not a list of turns"),
        ([], PLAIN, "'chat' is not a list of turns"),
        ([{"content": "x"}], PLAIN, "turn 1 is not"),
        ([{"role": "user"}], PLAIN, "turn 1 has no content"),
        ([{"role": "user", "content": None}], PLAIN, "the chat template refuses it"),
        ([{"role": "x", "content": "\ud800"}], PLAIN, "half a surrogate pair"),
        (
            [{"role": "user", "content": "x"}],
            "{{ raise_exception('no system turn') }}",
            "the chat template refuses it: no system turn",
        ),
        (
            [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}],
            "{{ messages | length }}{{ messages[-1]['content'] }}",
            "writes turns 1 to 1 otherwise when turn 2 follows",
        ),
    ],
)
def test_conversations_that_are_none(library, turns, template, reason):
    with pytest.raises(BadRecord, match=reason):
        encode(library, template, turns)


def test_chats_need_a_template_and_an_end(library, tmp_path, capsys):
    with pytest.raises(DataError, match="is not Jinja"):
        encode(library, "{% for %}", [])
    with pytest.raises(DataError, match="no eos_token '</s>'"):
        ConversationEncoder(ChatSettings(template="", special={"eos_token": "</s>"}), library)
    with pytest.raises(DataError, match="names no eos_token"):
        ConversationEncoder(ChatSettings(template="", special={}, learn="end"), library)
    source = tmp_path / "in.jsonl"
    source.write_text("{}")
    tokenizer = tmp_path / "tokenizer.json"
    library._inner.save(str(tokenizer))
    named = ["--tokenizer", str(tokenizer)]
    for more, message in (
        (["--chat"], "--chat needs --tokenizer JSON"),
        (["--chat", *named], "no chat_template.jinja"),
        (["--chat", "--append-eod", *named], "leave --append-eod, --eod-token and --ftfy out"),
        (["--only-last"], "give --chat, too"),
        (["--eod-token", "</s>", *named], "has no </s>; name the token"),
    ):
        assert prepare(source, tmp_path / "o", *more) == 3
        assert message in capsys.readouterr().err


def test_a_named_token_ends_documents(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "x"}\n')
    assert prepare(tmp_path / "in.jsonl", tmp_path / "o", "--eod-token", "$") == 0
    assert texts(tmp_path / "o_text_document") == ["x$"]


def test_shards_and_chunks_depend_on_sizes_alone(tmp_path):
    paths = []
    for number, lines in enumerate([1, 50, 2, 0, 3, 80]):
        paths.append(tmp_path / f"{number}.jsonl")
        paths[-1].write_text('{"text": "0123456789"}\n' * lines)
    found = shards(paths, 1000)
    assert [path for shard in found for path in shard.paths] == paths
    assert [len(shard.paths) for shard in found] == [2, 4]
    for shard, count in zip(found, (4, 7), strict=True):  # sources of 300 bytes
        pieces = list(chunks(shard, 300, ("text",)))
        assert len(pieces) == count
        assert [piece.number for piece in pieces] == list(range(len(pieces)))
        assert [piece.is_last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
        assert pieces[-1].consumed == shard.size == sum(one.stat().st_size for one in shard.paths)
    (empty,) = chunks(shards(paths[3:4], 1000)[0], 300, ("text",))
    assert (empty.items, empty.is_last) == ((), True)


def test_pieces_of_a_long_file_are_its_lines_in_order(tmp_path):
    generator = random.Random(1)
    lines = [json.dumps({"text": "x" * generator.choice([0, 5, 300])}) for _ in range(400)]
    lines[7] = lines[300] = ""
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join(lines))  # the last line has no end
    numbers = [number for number, one in enumerate(lines, start=1) if one]
    for size in (1, 2, 3, 50):  # pieces of 64 bytes: some hold no line's begin
        found = shards([path], size)
        assert len(found) == -(-path.stat().st_size // (64 * size))
        pieces = [chunk for shard in found for chunk in chunks(shard, 7 * size, ("text",))]
        for shard in found:
            reached = [chunk.consumed for chunk in chunks(shard, 7 * size, ("text",))]
            assert reached == sorted(reached) and reached[-1] == shard.size
        read = [record for chunk in pieces for record in chunk.records()]
        assert [one.raw.decode().rstrip("\n") for one in read] == [one for one in lines if one]
        places = LineNumbers()
        named = [places.place(bad_line(one, "")) for one in read]
        assert named == [f"{path}:{number}" for number in numbers]
    assert LineNumbers().place(bad_line(read[-1], "")) == f"{path}:{numbers[-1]}"
    small = tmp_path / "small.jsonl"
    small.write_text("{}\n")
    mixed = shards([small, path, small], 50)
    assert [one.piece is None for one in mixed] == [True] + [False] * (len(mixed) - 2) + [True]


def test_a_chunk_keeps_the_order_of_files_of_every_kind(tmp_path):
    (tmp_path / "1.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n')
    (tmp_path / "2.jsonl.gz").write_bytes(gzip.compress(b'{"text": "c"}\n'))
    (tmp_path / "3.txt").write_text("d")
    (tmp_path / "4.txt").write_text("")
    (tmp_path / "5.txt.gz").write_bytes(gzip.compress(b"e"))
    (tmp_path / "6.jsonl").write_text('{"text": "f"}')
    paths = sorted(tmp_path.iterdir())
    read = list(records(paths, ("text",)))
    assert [fields_of(one).get("text") or fields_of(one)["text"] for one in read] == [
        *"abcd",
        "",
        *"ef",
    ]
    for size in (1, 20, 10_000):
        (shard,) = shards(paths, 10_000)
        pieces = list(chunks(shard, size, ("text",)))
        assert [one.raw for piece in pieces for one in piece.records()] == [one.raw for one in read]
        assert [piece.consumed for piece in pieces] == sorted(piece.consumed for piece in pieces)


def test_ids_beyond_their_count_are_an_error(tmp_path, capsys):
    words = tokenizers.Tokenizer(models.WordLevel({"a": 0, "b": 70_000}, unk_token="a"))
    words.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "in.jsonl").write_text('{"text": "b"}\n')
    named = ["--tokenizer", tmp_path / "tokenizer.json"]
    assert prepare(tmp_path / "in.jsonl", tmp_path / "o", *named) == 3
    assert "tokens from 70000 to 70000 do not fit uint16" in capsys.readouterr().err
