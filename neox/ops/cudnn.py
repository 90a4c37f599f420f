"""Causal attention among the heads of a packed projection by cuDNN, which packs its gradient, too.

torch calls the same kernels and gets three gradients, which another pass has to put together. The
frontend lets cuDNN write them where they belong
(https://docs.nvidia.com/deeplearning/cudnn/frontend/latest/operations/Attention.html).
"""

import functools
import math
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch.nn.attention import SDPBackend

from neox.ops.rotary import heads_of


def packed_attention(mixed: torch.Tensor) -> "PackedAttention | None":
    """What attends in causal order where heads lie as in `mixed` [b, s, heads, 3, d].

    None where torch would take other kernels, and where the frontend is missing or refuses.
    """
    if not mixed.is_cuda or torch.version.hip is not None or not mixed.is_contiguous():
        return None
    return _planned(mixed.device, mixed.dtype, mixed.shape)


@functools.cache
def _planned(
    device: torch.device, dtype: torch.dtype, shape: torch.Size
) -> "PackedAttention | None":
    library = _frontend()
    if library is None:
        return None
    like = torch.empty(shape, dtype=dtype, device=device)
    if not _torch_would(like):
        return None
    try:
        return PackedAttention(library, _handle(library, device), like)
    except (library.cudnnGraphNotSupportedError, RuntimeError):  # torch can do without
        return None


def _frontend() -> ModuleType | None:
    own: int | None = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    try:
        import cudnn  # noqa: PLC0415  # only where there are GPUs for it

        found: int = cudnn.backend_version()
    except (ImportError, AssertionError, RuntimeError):  # not there, or it finds no one cuDNN
        return None
    return cudnn if found == own else None  # else a second one is loaded beside torch's


def _torch_would(mixed: torch.Tensor) -> bool:
    """Is cuDNN what torch itself takes here, and not its flash kernels or plain products?"""
    query, key, value = (part.detach().requires_grad_() for part in heads_of(mixed))
    choice = torch._fused_sdp_choice(query, key, value, None, 0.0, True)
    return bool(choice == SDPBackend.CUDNN_ATTENTION.value)


@functools.cache
def _handle(library: ModuleType, device: torch.device) -> Any:
    with torch.cuda.device(device):
        return library.create_handle()


class PackedAttention:
    """The kernels for one shape."""

    def __init__(self, library: ModuleType, handle: Any, like: torch.Tensor) -> None:
        """Raises cudnnGraphNotSupportedError, or RuntimeError, for what cuDNN cannot do."""
        causal = {
            "attn_scale": 1 / math.sqrt(like.shape[-1]),
            "diagonal_alignment": library.diagonal_alignment.TOP_LEFT,
            "diagonal_band_right_bound": 0,
        }
        out, lse = _results(like)
        attended, heads = out.transpose(1, 2), heads_of(like)
        self._forward = _Graph(
            library, handle, "sdpa", heads, (attended, lse), causal | {"generate_stats": True}
        )
        given = (*heads, attended, attended, lse)  # and its gradient, which lies as it does
        self._backward = _Graph(library, handle, "sdpa_backward", given, heads, causal)

    def forward(self, mixed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What they attend to [b, s, heads, d], and the log-sum-exp [b, heads, s, 1] in fp32."""
        out, lse = _results(mixed)
        self._forward.run(*heads_of(mixed), out, lse)
        return out, lse

    def backward(
        self, gradient: torch.Tensor, mixed: torch.Tensor, out: torch.Tensor, lse: torch.Tensor
    ) -> torch.Tensor:
        """The gradient of `mixed`; `gradient` is that of `out`."""
        result = torch.empty_like(mixed)
        given = (*heads_of(mixed), out, gradient.contiguous(), lse)
        self._backward.run(*given, *heads_of(result))
        return result


def _results(mixed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    batch, length, heads, _, dims = mixed.shape
    lse = mixed.new_empty(batch, heads, length, 1, dtype=torch.float32)
    return mixed.new_empty(batch, length, heads, dims), lse


class _Graph:
    """One operation of cuDNN's on tensors that always lie alike; the n-th is its tensor n."""

    def __init__(
        self,
        library: ModuleType,
        handle: Any,
        operation: str,
        given: Sequence[torch.Tensor],
        made: Sequence[torch.Tensor],
        options: dict[str, object],
    ) -> None:
        self._library, self._handle = library, handle
        fp32 = library.data_type.FLOAT
        self._graph = library.pygraph(
            intermediate_data_type=fp32, compute_data_type=fp32, handle=handle
        )
        inputs = [
            self._graph.tensor(like.shape, like.stride(), like.dtype, uid=name)
            for name, like in enumerate(given)
        ]
        outputs = getattr(self._graph, operation)(*inputs, **options)
        for name, (output, like) in enumerate(zip(outputs, made, strict=True), len(given)):
            output.set_output(True).set_uid(name).set_data_type(like.dtype)
            output.set_dim(like.shape).set_stride(like.stride())
        self._graph.validate()
        self._graph.build_operation_graph()
        self._graph.create_execution_plans([library.heur_mode.A, library.heur_mode.FALLBACK])
        self._graph.check_support()
        self._graph.build_plans()
        self._scratch: int = self._graph.get_workspace_size()

    def run(self, *tensors: torch.Tensor) -> None:
        """Enqueue it on the current stream; what is given, then what is made."""
        device = tensors[0].device
        stream = torch.cuda.current_stream(device).cuda_stream
        self._library.set_stream(handle=self._handle, stream=stream)
        # the allocator may give it away as soon as the kernels are enqueued
        scratch = torch.empty(self._scratch, dtype=torch.uint8, device=device)
        pointers = {name: tensor.data_ptr() for name, tensor in enumerate(tensors)}
        self._graph.execute(pointers, scratch.data_ptr(), handle=self._handle)
