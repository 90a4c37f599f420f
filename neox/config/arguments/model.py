"""The shape of the model."""

from typing import Literal

from neox.config.arguments.argument import argument
from neox.frozen import Frozen, frozen
from neox.models.spec import InitMethod

LayerKind = Literal[
    "global",
    "local",
    "sparse_fixed",
    "sparse_variable",
    "bigbird",
    "bslongformer",
    "gmlp",
    "amlp",
    "flash",
    "rwkv",
    "mamba",
]
# one layer's kind, or [[kinds], times]: the kinds in turn, that many times or up to the last layer
LayerPattern = tuple[tuple[LayerKind, ...], int | Literal["all"]]

_NORMS = "only layernorm is built"
_SPARSE = "block-sparse attention is not built yet"


@frozen
class Sparsity(Frozen):
    """Block-sparse attention, with DeepSpeed's keys."""

    block: int = argument(16, "Edge of a block.", unit="tokens")
    different_layout_per_head: bool = argument(False, "Give each head a layout of its own.")
    num_local_blocks: int = argument(4, "Blocks in a local window.")
    num_global_blocks: int = argument(1, "Blocks that everything attends to.")
    num_random_blocks: int = argument(1, "Randomly placed blocks per row.")
    num_sliding_window_blocks: int = argument(3, "Blocks in the sliding window.")
    num_different_global_patterns: int = argument(1, "Global patterns shared out over the heads.")
    global_block_indices: tuple[int, ...] = argument((0,), "Which blocks are global.")
    global_block_end_indices: tuple[int, ...] | None = argument(None, "Where global ranges end.")
    local_window_blocks: tuple[int, ...] = argument((4,), "Widths of the local windows.")
    attention: Literal["unidirectional", "bidirectional"] = argument(
        "unidirectional", "Which way attention looks."
    )
    horizontal_global_attention: bool = argument(False, "Global blocks attend to all others, too.")


@frozen
class SoftPrompt(Frozen):
    """A trained prompt before the text, with the model frozen."""

    enabled: bool = argument(False, "Train a soft prompt.")
    n_tokens: int = argument(10, "Length of the prompt.", unit="tokens")
    init_string: str = argument("", "Text whose embeddings the prompt starts from.")
    init_range: float = argument(0.5, "Range of random initial values.")


@frozen
class Model(Frozen):
    """Layers, widths, positions and how weights start."""

    num_layers: int | None = argument(None, "Transformer blocks.")
    hidden_size: int | None = argument(None, "Width of the residual stream.")
    num_attention_heads: int | None = argument(None, "Query heads of each layer.")
    num_kv_heads: int | None = argument(
        None, "Key and value heads; fewer than query heads shares them. Default: as many."
    )
    intermediate_size: int | None = argument(
        None, "Inner width of the feed-forward block, before the two thirds of gated kinds."
    )
    expansion_factor: float | None = argument(
        None, "The same width as a multiple of hidden_size; give one of the two. Default: 4."
    )
    mlp_multiple_of: int = argument(1, "Round the feed-forward width up to a multiple of this.")
    seq_length: int | None = argument(None, "Length of a training sample.", unit="tokens")
    max_position_embeddings: int | None = argument(
        None, "Positions that the model covers. Default: seq_length.", unit="tokens"
    )
    sliding_window_width: int | None = argument(
        None,
        "How far back flash attention looks.",
        unit="tokens",
        not_yet="sliding windows are not built yet",
    )
    norm: Literal[
        "layernorm",
        "rmsnorm",
        "non_parametric_layernorm",
        "scalenorm",
        "te_rmsnorm",
        "te_layernorm",
    ] = argument("layernorm", "Kind of normalisation.", not_yet=_NORMS)
    layernorm_epsilon: float = argument(1e-5, "Added to the variance in LayerNorm.")
    rms_norm_epsilon: float = argument(1e-8, "Added to the mean square in RMSNorm.", not_yet=_NORMS)
    scalenorm_epsilon: float = argument(1e-8, "Least norm in ScaleNorm.", not_yet=_NORMS)
    use_qk_layernorm: bool = argument(
        False, "Normalise queries and keys in each head.", not_yet="query-key norms are not built"
    )
    use_bias_in_norms: bool = argument(True, "Biases in the norms.", status="unread")
    pos_emb: Literal["learned", "rotary", "sinusoidal", "rpe", "alibi", "none"] = argument(
        "learned",
        "How positions are told apart.",
        not_yet="only rotary positions and none are built",
        built=("rotary", "none"),
    )
    rotary_pct: float = argument(1.0, "Share of each head's dims that rotate, from 0 to 1.")
    rotary_emb_base: int = argument(10_000, "Base of the rotary frequencies (theta).")
    rotary_save_freqs_buffer: bool = argument(
        False,
        "Keep the rotary frequencies in checkpoints.",
        status="chosen",
        note="checkpoints hold weights alone; the frequencies follow from the config",
    )
    rpe_num_buckets: int = argument(
        32, "Buckets of the relative position bias.", not_yet="pos_emb: rpe is not built yet"
    )
    rpe_max_distance: int = argument(
        128,
        "Distance from which on all fall into the last bucket.",
        unit="tokens",
        not_yet="pos_emb: rpe is not built yet",
    )
    opt_pos_emb_offset: int = argument(
        0, "Added to learned position numbers (OPT: 2).", not_yet="learned positions are not built"
    )
    no_weight_tying: bool = argument(False, "Give the output matrix weights of its own.")
    attention_config: tuple[LayerKind | LayerPattern, ...] | None = argument(
        None, 'Kind of each layer: [[[kinds], times or "all"], ...]. Default: all global.'
    )
    sparsity_config: Sparsity | None = argument(
        None, "Block-sparse attention's layout.", not_yet=_SPARSE
    )
    num_unique_layers: int | None = argument(None, "Layers that share weights.", status="unread")
    param_sharing_style: str = argument(
        "grouped", "Order in which shared layers repeat.", status="unread"
    )
    activation: Literal[
        "gelu",
        "geglu",
        "relu",
        "softsign",
        "swish",
        "mish",
        "silu",
        "reglu",
        "swiglu",
        "bilinear",
        "glu",
    ] = argument(
        "gelu",
        "Nonlinearity of the feed-forward block; the glu kinds are gated.",
        not_yet="only gelu is built, and estimates count no third matrix of gated kinds",
    )
    bias_gelu_fusion: bool = argument(
        False, "Use GELU's tanh form, which GPT-NeoX's fused kernel computes; false: the exact one."
    )
    gpt_j_residual: bool = argument(
        False, "Attention and feed-forward side by side: x + attn(ln1 x) + mlp(ln2 x)."
    )
    gpt_j_tied: bool = argument(False, "With gpt_j_residual: one norm serves both branches.")
    use_bias_in_attn_linear: bool = argument(True, "Biases in the attention's matrices.")
    use_bias_in_mlp: bool = argument(True, "Biases in the feed-forward matrices.")
    attention_dropout: float = argument(0.0, "Dropout of attention weights, from 0 to below 1.")
    hidden_dropout: float = argument(0.0, "Dropout of each branch's output, from 0 to below 1.")
    init_method: InitMethod = argument("normal", "How weights start.")
    output_layer_init_method: InitMethod = argument(
        "scaled_normal", "How attention's and feed-forward's last matrices start."
    )
    init_method_std: float = argument(0.02, "Standard deviation of the normal methods.")
    use_cpu_initialization: bool = argument(
        False,
        "Draw the weights on the CPU.",
        status="chosen",
        note="weights are always drawn on the CPU, whole, so that geometry does not change them",
    )
    apply_query_key_layer_scaling: bool = argument(
        False,
        "Divide attention scores by the layer's number.",
        not_yet="layer scaling of attention scores is not built",
    )
    attention_softmax_in_fp32: bool = argument(
        False,
        "Compute the softmax in fp32.",
        status="chosen",
        note="attention always accumulates its softmax in fp32",
    )
    output_layer_parallelism: Literal["column"] = argument(
        "column", "How the output matrix is cut over tensor ranks; only by vocabulary."
    )
    gmlp_attn_dim: int = argument(
        64, "Width of the small attention in aMLP layers.", not_yet="gMLP layers are not built"
    )
    soft_prompt_tuning: SoftPrompt | None = argument(
        None, "Train a prompt in front of a frozen model.", not_yet="soft prompts are not built"
    )
    onnx_safe: bool = argument(
        False, "GELU in a form that ONNX can export.", not_yet="ONNX export is not built"
    )
