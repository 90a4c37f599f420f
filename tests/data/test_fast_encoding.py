"""The fast encoder gives the ids of Hugging Face's, or steps aside."""

import json

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from neox.data.corpora import PYTHON_STDLIB, corpus_files
from neox.data.fast_encoding import fast_encoder
from neox.data.tokenizer_training import train_bpe

pytest.importorskip("tiktoken")


@pytest.fixture(scope="module")
def texts():
    files = corpus_files(PYTHON_STDLIB)[:60]
    return [path.read_text(errors="replace") for path in files]


@pytest.fixture(scope="module")
def slow(texts):
    return train_bpe(texts, 3000)


def tried(slow):
    """Past its trial, so that a wrong id would come out."""
    fast = fast_encoder(slow)
    fast.encode_batch(["x"])
    assert fast._fast is not None
    return fast


def ids(tokenizer, texts):
    return [one.ids for one in tokenizer.encode_batch_fast(texts)]


def test_same_ids_of_real_text(slow, texts):
    assert tried(slow).encode_batch(texts) == ids(slow, texts)


LETTERS = st.characters(codec="utf-8") | st.sampled_from(
    " \n\t\r'sdé\u0085\u00a0\u2003\u2028\u00b2Ⅳ"
)


@settings(max_examples=300, deadline=None)
@given(text=st.text(LETTERS, max_size=60))
def test_same_ids_of_any_text(slow, text):
    assert tried(slow).encode_batch([text, "x"]) == ids(slow, [text, "x"])


@pytest.mark.parametrize("gap", [" " * 1_500_000, "\n\t" * 700_000])
def test_an_endless_gap(slow, gap):
    """tiktoken panics there, and a panic would end the worker."""
    assert tried(slow).encode_batch([gap + "a"]) == ids(slow, [gap + "a"])


def test_an_added_token_in_the_text(slow):
    text = ["one<|endoftext|>two", "<|endoftext|>", "<|endoftext"]
    found = tried(slow).encode_batch(text)
    assert found == ids(slow, text)
    assert 0 in found[0] and 0 not in found[2]


@pytest.mark.parametrize(
    "change",
    [
        {"normalizer": {"type": "NFC"}},
        {"pre_tokenizer": {"type": "Whitespace"}},
        {"pre_tokenizer": None},
    ],
)
def test_other_vocabularies_are_left_alone(slow, change):
    other = tokenizers.Tokenizer.from_str(json.dumps(json.loads(slow.to_str()) | change))
    assert fast_encoder(other) is None


def test_gpt2s_own_end_is_no_merge(slow, texts):
    plain = json.loads(slow.to_str()) | {"added_tokens": []}
    other = tokenizers.Tokenizer.from_str(json.dumps(plain))
    text = [*texts[:3], "one<|endoftext|>two"]
    assert tried(other).encode_batch(text) == ids(other, text)


def test_ids_that_do_not_follow_the_merges_are_left_alone(slow):
    plain = json.loads(slow.to_str())
    vocab = plain["model"]["vocab"]
    first, last = max(vocab, key=vocab.get), next(p for p in vocab if vocab[p] == 400)
    vocab[first], vocab[last] = vocab[last], vocab[first]
    assert fast_encoder(tokenizers.Tokenizer.from_str(json.dumps(plain))) is None


def test_other_ids_on_the_first_texts_end_it(slow, texts):
    fast = fast_encoder(slow)
    fast._fast = type("Wrong", (), {"encode_ordinary": lambda self, text: [1]})()
    assert fast.encode_batch(texts[:3]) == ids(slow, texts[:3])
