"""The matrix products of a run that are worth tuning."""

from neox.config.run_config import RunConfig
from neox.kernels.gemm import Gemm
from neox.models.gemms import training_gemms
from neox.train import settings
from neox.train.session import spec_for

LEAST_FLOPS = 20e9  # smaller products take less than their launch would gain
DTYPES = {"bf16": "bfloat16", "fp16": "float16"}  # fp32 is multiplied as torch does


def gemms_of(config: RunConfig) -> dict[Gemm, str]:
    """Each with the first layer that asks for it; none in fp32."""
    dtype = DTYPES.get(settings.precision(config))
    if dtype is None:
        return {}
    length, batch = config.model.seq_length, config.batch.train_micro_batch_size_per_gpu
    assert length is not None and batch is not None
    found: dict[Gemm, str] = {}
    in_fp8 = settings.fp8_layers(config)
    for name, gemm in training_gemms(spec_for(config), length * batch, dtype, in_fp8=in_fp8):
        if gemm.flops >= LEAST_FLOPS:
            found.setdefault(gemm, name)
    return found
