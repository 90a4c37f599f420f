"""What a GPU kernel is for, by its name: ours, torch's, cuBLAS's, cuDNN's, rocBLAS's, NCCL's."""

import re
from typing import Literal, get_args

Kind = Literal[
    "matrix products",
    "attention",
    "norms",
    "activation",
    "rotary",
    "loss",
    "optimizer",
    "communication",
    "fp8 casts",
    "sums",
    "copies",
    "other",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

# the first that is found in a name decides
_PATTERNS: tuple[tuple[Kind, str], ...] = (
    ("communication", r"nccl|rccl|AllReduce|AllGather|ReduceScatter"),
    ("matrix products", r"gemm_gelu"),  # and their activation
    ("attention", r"sdpa|flash|fmha|attention|attn|compute_dot_do_o|convert_dq_to"),
    ("optimizer", r"adam|add_squares|add_partial|FusedOptimizer|multi_tensor_apply|lamb|sgd"),
    ("loss", r"cross_entropy|scaled_sum|::whole<|shard_(statistics|gradient)|nll_loss|log_softmax"),
    ("norms", r"norm_(forward|backward)|layer_?norm|rms_?norm|GammaBeta"),
    ("activation", r"gelu|silu|glu<|bias_act"),
    ("rotary", r"::rotate<|::join<|rotary|rope"),
    ("fp8 casts", r"largest_magnitude|::cast<|fp8_cast"),
    ("matrix products", r"nvjet|gemm|Gemm|cutlass|xmma|Cijk_|splitK|cublasLt|matmul|addmm"),
    ("sums", r"reduce_kernel|sum_parts|splitKreduce"),
    ("copies", r"^Memcpy|^Memset|copy_kernel|direct_copy|CatArray|fill|Fill"),
)
_COMPILED = tuple((kind, re.compile(pattern)) for kind, pattern in _PATTERNS)


def kind_of(name: str) -> Kind:
    for kind, pattern in _COMPILED:
        if pattern.search(name):
            return kind
    return "other"
