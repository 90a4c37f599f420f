"""Round trips, and one clear message for each way in which a file can be damaged."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neox.data.token_file import DTYPES, TokenFile, TokenFileError, token_dtype
from neox.data.token_writer import TokenFileWriter
from tests.data.files import write_tokens

DOCUMENTS = [[1, 2, 3], [], [65_000, 5]]


@given(
    st.lists(st.lists(st.integers(0, 100), max_size=9), max_size=9),
    st.sampled_from([dtype.str for dtype in DTYPES.values()]),
)
@settings(deadline=None)
def test_round_trip(tmp_path_factory, documents, dtype):
    prefix = write_tokens(tmp_path_factory.mktemp("r") / "a.b", documents, dtype)
    file = TokenFile(prefix)
    file.verify()
    assert file.dtype == np.dtype(dtype)
    assert [file.sequence(i).tolist() for i in range(len(file))] == documents
    assert file.documents.tolist() == list(range(len(documents) + 1))
    assert sorted(path.name for path in prefix.parent.iterdir()) == ["a.b.bin", "a.b.idx"]


def test_appending_joins(tmp_path):
    one = write_tokens(tmp_path / "one", DOCUMENTS)
    two = write_tokens(tmp_path / "two", [[7]])
    with TokenFileWriter(tmp_path / "both", np.dtype("<u2")) as writer:
        writer.append(TokenFile(one))
        writer.append(TokenFile(two))
    whole = write_tokens(tmp_path / "whole", [*DOCUMENTS, [7]])
    for suffix in (".bin", ".idx"):
        both = (tmp_path / f"both{suffix}").read_bytes()
        assert both == whole.with_name(f"whole{suffix}").read_bytes()


def test_dtype_of_a_vocabulary():
    assert token_dtype(65_499) == np.dtype("<u2")
    assert token_dtype(65_500) == np.dtype("<i4")


def test_tokens_that_do_not_fit_leave_nothing_behind(tmp_path):
    with pytest.raises(TokenFileError, match="70000 do not fit uint16"):
        write_tokens(tmp_path / "t", [[70_000]])
    assert list(tmp_path.iterdir()) == []


def damage(prefix, suffix, change):
    path = prefix.with_name(prefix.name + suffix)
    path.write_bytes(change(path.read_bytes()))


def put(offset, layout, value):
    packed = struct.pack(layout, value)
    return lambda raw: raw[:offset] + packed + raw[offset + len(packed) :]


@pytest.mark.parametrize(
    ("suffix", "change", "message"),
    [
        (".idx", lambda raw: b"", "0 bytes is too short"),
        (".idx", lambda raw: raw[:20], "20 bytes is too short"),
        (".idx", lambda raw: b"x" * len(raw), "not a token index"),
        (".idx", lambda raw: b"TNTIDX\0\0" + raw[8:], "old cached format"),
        (".idx", put(9, "<Q", 2), "version 2"),
        (".idx", put(17, "<B", 9), "dtype code 9 is unknown; known are 1 uint8"),
        (".idx", put(18, "<Q", 2**60), "its header describes"),
        (".idx", lambda raw: raw[:-1], "cut short"),
        (".idx", lambda raw: raw + b"x", "its header describes"),
        (".idx", put(34 + 36, "<q", 1), "document index runs from 1 to 3"),
        (".idx", put(34 + 36 + 24, "<q", 9), "document index runs from 0 to 9"),
        (".bin", lambda raw: raw[:-2], "8 bytes, but t.idx describes 10"),
        (".bin", lambda raw: b"", "0 bytes, but t.idx describes 10"),
    ],
)
def test_damage_is_named(tmp_path, suffix, change, message):
    prefix = write_tokens(tmp_path / "t", DOCUMENTS)
    damage(prefix, suffix, change)
    with pytest.raises(TokenFileError, match=message) as raised:
        TokenFile(prefix)
    assert f"t{suffix}" in str(raised.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put(34, "<i", -3), "< 0 tokens"),
        (put(34 + 12 + 8, "<q", 2), "sequence 1 should begin at byte 6"),
        (put(34 + 36 + 8, "<q", 5), "runs backward at document 2"),
    ],
)
def test_verify_looks_at_every_entry(tmp_path, change, message):
    prefix = write_tokens(tmp_path / "t", DOCUMENTS)
    damage(prefix, ".idx", change)
    with pytest.raises(TokenFileError, match=message):
        TokenFile(prefix).verify()


def test_missing_files_say_what_to_type(tmp_path):
    prefix = write_tokens(tmp_path / "pile_text_document", DOCUMENTS)
    for wrong, message in (
        ("pile_text_documant", "did you mean pile_text_document"),
        ("pile_text_document.bin", "give the prefix, without its ending"),
        ("nowhere/pile", "the folder .*nowhere does not exist"),
    ):
        with pytest.raises(TokenFileError, match=message):
            TokenFile(tmp_path / wrong)
    prefix.with_name("pile_text_document.bin").unlink()
    with pytest.raises(TokenFileError, match=r"\.bin does not exist, though .*\.idx does"):
        TokenFile(prefix)


def test_fingerprint_follows_content_not_place(tmp_path):
    one = TokenFile(write_tokens(tmp_path / "one", DOCUMENTS))
    two = TokenFile(write_tokens(tmp_path / "two", DOCUMENTS))
    other = TokenFile(write_tokens(tmp_path / "other", [[1, 2, 4], [], [65_000, 5]]))
    longer = TokenFile(write_tokens(tmp_path / "longer", [*DOCUMENTS, []]))
    assert one.fingerprint == two.fingerprint
    assert len({one.fingerprint, other.fingerprint, longer.fingerprint}) == 3


@pytest.mark.parametrize(("code", "dtype"), [(6, "<f8"), (7, "<f4"), (6, "<f4"), (7, "<f8")])
def test_megatron_and_neox_number_the_floats_differently(tmp_path, code, dtype):
    """Megatron-LM: 6 float64, 7 float32; GPT-NeoX: the other way round. The bytes decide."""
    prefix = write_tokens(tmp_path / "t", [[1, 2, 3], [4]], dtype)
    index = prefix.with_name("t.idx")
    raw = bytearray(index.read_bytes())
    raw[17] = code
    index.write_bytes(raw)
    file = TokenFile(prefix)
    assert file.dtype == dtype
    assert file.sequence(0).tolist() == [1, 2, 3]
