"""What products in fp8 ask of the rest of a config."""

from neox.config.derive import Findings
from neox.config.run_config import RunConfig

MULTIPLE = 16  # of every side of a matrix, as the tensor cores want them


def fp8_switches(config: RunConfig) -> dict[str, tuple[str, str]]:
    """Those that are on, each with the linear layers that TransformerEngine's module would compute
    in fp8."""
    kernels = config.kernels
    switches = (
        ("te_mha", kernels.te_mha, ("query_key_value", "dense")),
        ("te_layernorm_mlp", kernels.te_layernorm_mlp, ("linear1", "linear2")),
        ("te_columnparallel", kernels.te_columnparallel, ("query_key_value", "linear1")),
        ("te_rowparallel", kernels.te_rowparallel, ("dense", "linear2")),
    )
    return {name: layers for name, on, layers in switches if on}


def _fp8(config: RunConfig, findings: Findings) -> None:
    switch = next(iter(fp8_switches(config)), None)
    if switch is None:
        return
    if config.precision.precision not in ("bfloat16", "fp16"):
        message = "products in fp8 give bf16 or fp16; say precision: bfloat16"
        findings.add(switch, message)
    micro, length = config.batch.train_micro_batch_size_per_gpu, config.model.seq_length
    if micro is not None and length is not None and micro * length % MULTIPLE:
        message = f"{micro} samples x {length} tokens are no multiple of {MULTIPLE}, as fp8 needs"
        findings.add(switch, message)
    hidden = config.model.hidden_size
    if hidden is not None and hidden % MULTIPLE:
        findings.add("hidden_size", f"{hidden} is no multiple of {MULTIPLE}, as fp8 needs")


KERNEL_RULES = (_fp8,)
