"""Text out of a trained model, and its scores."""

from typing import Literal

from neox.config.arguments.argument import argument
from neox.frozen import Frozen, frozen

_EVAL = "evaluation by lm-evaluation-harness is not built yet"


@frozen
class Generation(Frozen):
    """Sampling and evaluation."""

    text_gen_type: Literal["unconditional", "input-file", "interactive", "precompute"] | None = (
        argument(
            None,
            "Where prompts come from. Default: sample_input_file, else nowhere.",
            not_yet="interactive and precompute are not built yet",
            built=(None, "unconditional", "input-file"),
        )
    )
    temperature: float = argument(0.0, "Sharpness of the choice; 0 takes the likeliest token.")
    top_k: int = argument(0, "Choose among this many; 0 is all.", unit="tokens")
    top_p: float = argument(0.0, "Choose among the likeliest that make up this share; 0 is all.")
    maximum_tokens: int = argument(64, "New tokens at most.", unit="tokens")
    num_samples: int = argument(1, "Texts without a prompt.", unit="samples")
    prompt_end: str = argument("\n", "What ends a prompt in a file.", allows="\n\r\t")
    sample_input_file: str | None = argument(None, "File of prompts.")
    sample_output_file: str | None = argument(
        None, "File of texts, one JSON per line. Default: they are printed."
    )
    return_logits: bool = argument(
        False, "Write the logits, too.", not_yet="logits are not written"
    )
    recompute: bool = argument(
        False, "Do without the cache of keys and values.", not_yet="the cache is always used"
    )
    precompute_model_name: str | None = argument(
        None,
        "Name of stored reference log-probabilities.",
        not_yet="reference log-probabilities are not built yet",
    )
    eval_tasks: tuple[str, ...] | None = argument(None, "Tasks of the harness.", not_yet=_EVAL)
    eval_results_prefix: str = argument("", "Beginning of the results' file name.", not_yet=_EVAL)
