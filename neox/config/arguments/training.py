"""How long to train, and what to look at on the way."""

from typing import Literal

from neox.config.arguments.argument import argument
from neox.frozen import Frozen, frozen

_FOUND = "the program finds out from the data"


@frozen
class Training(Frozen):
    """Steps, validations and the seed."""

    train_iters: int | None = argument(None, "Steps to train.", unit="steps")
    train_epochs: int | None = argument(
        None,
        "Passes over the data, instead of train_iters.",
        unit="epochs",
        not_yet="training by epochs is not built; give train_iters",
    )
    eval_interval: int = argument(1000, "Steps between validations.", unit="steps")
    eval_iters: int = argument(100, "Batches of a validation; 0 skips it.", unit="batches")
    exit_interval: int | None = argument(
        None, "Save and stop at every step that this divides.", unit="steps"
    )
    seed: int = argument(1234, "Decides initial weights, data order and dropout.")
    train_impl: Literal["normal", "dpo", "rm", "kto", "reinforce"] = argument(
        "normal", "What is learned.", not_yet="only language modelling is built"
    )
    char_level_ppl: bool = argument(
        False, "Report perplexity per character.", not_yet="it is reported per token"
    )
    do_train: bool | None = argument(None, "Is there training data?", status="runtime", note=_FOUND)
    do_valid: bool | None = argument(
        None, "Is there validation data?", status="runtime", note=_FOUND
    )
    do_test: bool | None = argument(None, "Is there test data?", status="runtime", note=_FOUND)
    short_seq_prob: float = argument(0.1, "A leftover of BERT.", status="unread")
    adlr_autoresume: bool = argument(
        False,
        "NVIDIA's own resume service.",
        not_yet="a stopped run resumes through its chain of jobs instead",
    )
    adlr_autoresume_object: str | None = argument(
        None, "Handle of that service.", status="runtime", note="there is no such service here"
    )
    adlr_autoresume_interval: int = argument(
        1000, "How often to ask it.", unit="steps", status="unread"
    )
