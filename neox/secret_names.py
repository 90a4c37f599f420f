"""Names that keys and passwords go by. To NeoX a secret is a name: it never holds the value."""

import re
from collections.abc import Iterator, Mapping

_SECRET = re.compile(
    r"(?i)(^|[_.\-])(api_?keys?|(access|secret|auth)_?keys?|token|secrets?|passw(or)?ds?|passwd"
    r"|credentials?)($|[_.\-])"
)
_OF_TEXT = re.compile(r"(?i)(pad|eod|mask|bos|eos|unk|per)_token")  # these are written in texts


def names_a_secret(name: str) -> bool:
    """Whether a variable or a key of this name would hold one: WANDB_API_KEY, HF_TOKEN."""
    return bool(_SECRET.search(name)) and not _OF_TEXT.search(name)


def secret_keys(values: Mapping[str, object], path: str = "") -> Iterator[str]:
    """Dotted paths of the keys that name a secret, at any depth."""
    for key, value in values.items():
        here = f"{path}{key}"
        if names_a_secret(str(key)):
            yield here
        elif isinstance(value, Mapping):
            yield from secret_keys(value, f"{here}.")
