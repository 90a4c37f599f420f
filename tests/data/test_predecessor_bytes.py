"""The bytes of GPT-NeoX's tools for the same input, against a plain writer and plain loops."""

import json

import pytest
import tokenizers
from tokenizers import models, pre_tokenizers, processors

from neox.data import cli
from neox.data.token_file import TokenFile
from neox.data.tokenizer_training import train_bpe
from tests.data.plain_writer import plain_bytes

transformers = pytest.importorskip("transformers")

CHATML = (
    "{% for m in messages %}"
    "{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
# begins with a token of its own, says the system turn once, and marks what the model wrote
WITH_BOS = """{{- bos_token }}
{% for m in messages %}
    {% if m['role'] == 'assistant' %}
        {% generation %}{{ ' ' + m['content'] | trim + eos_token }}{% endgeneration %}
    {% else %}
        {{- '[INST] ' + m['content'] + ' [/INST]' }}
    {% endif %}
{% endfor %}"""
CONVERSATIONS = [
    [("system", "Be kind."), ("user", "Hello?"), ("assistant", "Hi."), ("user", "Füße 🙂")],
    [("user", "2 + 2"), ("assistant", " 4 "), ("user", "and 3"), ("assistant", "7\n")],
    [("assistant", "I begin.")],
    [("user", "No answer")],
]


@pytest.fixture(scope="module")
def library():
    text = [
        f"assistant user system {i} Hello there, what is {i}? [INST] [/INST]" for i in range(99)
    ]
    trained = train_bpe(text, 400)
    # as LLaMA's: a text gets a token in front, and a conversation, whose template says it, does not
    end = ("<|endoftext|>", trained.token_to_id("<|endoftext|>"))
    trained.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[end]
    )
    return trained


def saved(library, folder, template):
    """A folder as `save_pretrained` leaves it, and Hugging Face's own tokenizer of it."""
    theirs = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer.from_str(library.to_str()),
        eos_token="<|endoftext|>",
        bos_token="<s>",
        additional_special_tokens=["<|im_start|>", "<|im_end|>"],
    )
    theirs.chat_template = template
    theirs.save_pretrained(str(folder))
    return theirs


def prepare(folder, source, tokenizer, *more):
    words = ["prepare", "--input", *source, "--output-prefix", folder / "o", "--workers", "1"]
    assert cli.main([str(one) for one in [*words, "--tokenizer", tokenizer, *more]]) == 0


def written(folder, name):
    prefix = folder / f"o_{name}_document"
    return tuple(prefix.with_name(prefix.name + end).read_bytes() for end in (".bin", ".idx"))


@pytest.mark.parametrize("end", [True, False])
def test_preprocess_data(library, tmp_path, end):
    """Texts, paragraphs in a list, a bare string a line, empty texts, a .txt with CRLF."""
    texts = ["Hello there", "", "what is 7?\n" * 30, "naïve 🙂\t"]
    lines = [json.dumps({"text": text, "meta": {}}) for text in texts]
    lines += [json.dumps({"text": ["one", "two"]}), json.dumps("bare string")]
    (tmp_path / "in.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "in.txt").write_bytes(b"one\r\ntwo\rthree\n")
    library.save(str(tmp_path / "tokenizer.json"))
    more = ["--append-eod"] if end else []
    source = [tmp_path / "in.jsonl", tmp_path / "in.txt"]
    prepare(tmp_path, source, tmp_path / "tokenizer.json", *more)
    read = [text for text in texts if text] + ["one\n\ntwo", "bare string", "one\ntwo\nthree\n"]
    eod = [library.token_to_id("<|endoftext|>")] if end else []
    assert written(tmp_path, "text") == plain_bytes(
        [library.encode(text).ids + eod for text in read], "H"
    )


def test_preprocess_data_with_mask(library, tmp_path):
    """Up to the first answer's mark, and with it, nothing is learnt; all is where there is none."""
    library.save(str(tmp_path / "tokenizer.json"))
    texts = ["what is 7? Hello there, Hello", "Hello", "nothing"]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    mark = library.encode(" Hello", add_special_tokens=False).ids
    more = ["--mask-before-token", ",".join(map(str, mark)), "--append-eod"]
    prepare(tmp_path, [tmp_path / "in.jsonl"], tmp_path / "tokenizer.json", *more)
    end = library.token_to_id("<|endoftext|>")
    documents = [[*library.encode(text).ids, end] for text in texts]
    first = documents[0].index(mark[0]) + len(mark)
    assert documents[0][first - len(mark) : first] == mark and documents[0].count(mark[0]) == 2
    labels = [[-100] * first + documents[0][first:], *documents[1:]]
    assert written(tmp_path, "text") == plain_bytes(documents, "i")
    assert written(tmp_path, "label") == plain_bytes(labels, "i")


def test_a_large_vocabulary_takes_four_bytes(tmp_path):
    words = tokenizers.Tokenizer(
        models.WordLevel({f"w{number}": number for number in range(66_000)}, unk_token="w0")
    )
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "in.jsonl").write_text('{"text": "w1 w65999 w2"}\n')
    prepare(tmp_path, [tmp_path / "in.jsonl"], tmp_path / "tokenizer.json")
    assert written(tmp_path, "text") == plain_bytes([[1, 65_999, 2]], "i")


def their_chat(tokenizer, chat, mask):
    """What preprocess_data_with_chat_template.py does with one conversation."""

    def ids(turns, prompt):
        return tokenizer.apply_chat_template(turns, add_generation_prompt=prompt, return_dict=False)

    end = tokenizer.eos_token_id
    if mask == "--for-rm":
        tokens = ids(chat, False)
        return [*tokens, end, end], [*[-100] * (len(tokens) + 1), end]
    tokens, labels = [], []
    for number, turn in enumerate(chat):
        is_last = number == len(chat) - 1
        prompt = not is_last and chat[number + 1]["role"] == "assistant"
        new = ids(chat[: number + 1], prompt)[len(tokens) :]
        tokens += new
        if turn["role"] != "assistant" or (mask == "--only-last" and not is_last):
            labels += [-100] * len(new)
        else:
            labels += new
    return [*tokens, end], [*labels, end if labels[-1] != -100 else -100]


@pytest.mark.parametrize(
    ("template", "mask"),
    [(CHATML, None), (WITH_BOS, None), (CHATML, "--only-last"), (WITH_BOS, "--for-rm")],
    ids=["chatml", "bos", "last", "reward model"],
)
def test_preprocess_data_with_chat_template(library, tmp_path, template, mask):
    """Preferred and rejected answers, with a binary reward: two keys, six files."""
    theirs = saved(library, tmp_path / "tok", template)
    chats = [[{"role": r, "content": c} for r, c in one] for one in CONVERSATIONS]
    rows = [
        {"chosen": chat, "rejected": chat[::-1], "good": number % 2 == 0}
        for number, chat in enumerate(chats)
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    more = ["--chat", "--jsonl-keys", "chosen", "rejected", *([mask] if mask else [])]
    more += ["--reward-key", "good", "--binary-reward"]
    prepare(tmp_path, [tmp_path / "in.jsonl"], tmp_path / "tok" / "tokenizer.json", *more)
    for key, turned in (("chosen", 1), ("rejected", -1)):
        both = [their_chat(theirs, chat[::turned], mask) for chat in chats]
        assert written(tmp_path, key) == plain_bytes([tokens for tokens, _ in both], "i")
        assert written(tmp_path, f"{key}_label") == plain_bytes([one for _, one in both], "i")
        rewards = [[1], [-1], [1], [-1]]
        assert written(tmp_path, f"{key}_reward") == plain_bytes(rewards, "i")


def test_every_role_learnt_writes_no_labels(library, tmp_path):
    theirs = saved(library, tmp_path / "tok", CHATML)
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    (tmp_path / "in.jsonl").write_text(json.dumps({"conversation": chat}) + "\n")
    more = ["--chat", "--no-mask"]
    prepare(tmp_path, [tmp_path / "in.jsonl"], tmp_path / "tok" / "tokenizer.json", *more)
    tokens = [*theirs.apply_chat_template(chat, return_dict=False), theirs.eos_token_id]
    assert TokenFile(tmp_path / "o_conversation_document").sequence(0).tolist() == tokens
    assert not (tmp_path / "o_conversation_label_document.bin").exists()
