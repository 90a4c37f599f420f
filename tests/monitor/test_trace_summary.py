"""A trace whose numbers can be added up by hand, through the command as a person types it."""

import gzip
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from neox.monitor import profile_cli
from neox.monitor.kernel_kinds import Kind, kind_of

# names as torch 2.11 records them on an H200
NAMES: dict[str, Kind] = {
    "nvjet_sm90_tst_128x256_64x4_2x1_v_bz_coopA_NTN": "matrix products",
    "void (anonymous namespace)::gemm_gelu<bf16, GeluExact>(Tiles, CUtensorMap)": "matrix products",
    "void (anonymous namespace)::scaled_sum<bf16, 2, true>(Parts<bf16>, float const*)": "loss",
    "void (anonymous namespace)::add_squares<bf16>(Batch<Tensor, 128>, double*)": "optimizer",
    "void (anonymous namespace)::add_partial<1024>(double const*, long, double*)": "optimizer",
    "nvjet_sm90_tst_192x192_64x3_1x2_h_bz_coopB_splitK_NTN": "matrix products",
    "cudnn_generated_fort_native_sdpa_sm90_flash_bprop_wgmma_f16_knob_26_kernel0_0": "attention",
    "void cudnn::fusion::convert_dq_to_16bits<true>(void const*, void*, unsigned int)": "attention",
    "void (anonymous namespace)::bias_gelu_backward<bf16>(bf16 const*)": "activation",
    "void (anonymous namespace)::norm_forward<bf16, 4>((anonymous namespace)::Forward)": "norms",
    "void (anonymous namespace)::join<bf16>((anonymous namespace)::Parts<bf16>)": "rotary",
    "void (anonymous namespace)::whole<bf16>(bf16*, long, int, long const*)": "loss",
    "void (anonymous namespace)::adamw<bf16, bf16, float>(Batch": "optimizer",
    "void sum_parts<bf16>(float const*, long, long, bf16*)": "sums",
    "ncclDevKernel_AllReduce_Sum_f32_RING_LL(ncclDevKernelArgsStorage<4096ul>)": "communication",
    "Memcpy HtoD (Pinned -> Device)": "copies",
    "Cijk_Ailk_Bljk_BBS_BH_Bias_HA_S_SAV_UserArgs_MT256x256x64": "matrix products",
    "triton_poi_fused_mul_0": "other",
}


@pytest.mark.parametrize(("name", "kind"), NAMES.items())
def test_kernels_are_known_by_their_names(name: str, kind: Kind) -> None:
    assert kind_of(name) == kind


def event(name: str, begin: float, took: float, stream: int = 7) -> dict[str, object]:
    return {
        "ph": "X", "cat": "kernel", "name": name, "ts": begin, "dur": took,
        "args": {"stream": stream},
    }  # fmt: skip


def write(path: Path, events: list[dict[str, object]], gpu: str = "NVIDIA H200") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"deviceProperties": [{"name": gpu}], "traceEvents": events}
    path.write_bytes(gzip.compress(json.dumps(content).encode()))
    return path


# two steps in 10 ms: 6 ms of products, 2 of norms, 1 idle, and 3 of communication, 2 of them hidden
EVENTS = [
    {"ph": "X", "cat": "cpu_op", "name": "aten::mm", "ts": 0.0, "dur": 9000.0},
    event("nvjet_a", 1000.0, 6000.0),
    event("ncclDevKernel_AllReduce", 5000.0, 3000.0, stream=20),
    event("norm_forward", 9000.0, 2000.0),
]


def test_the_table_adds_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = write(tmp_path / "run" / "profiles" / "7.rank-0.steps-3-4.json.gz", EVENTS)
    svg = tmp_path / "steps.svg"
    assert profile_cli.main(["summary", str(trace), "--svg", str(svg)]) == 0
    said = capsys.readouterr().out
    lines = {line[:18].strip(): line[18:].split() for line in said.splitlines()}
    assert "NVIDIA H200, 2 steps, 5.0 ms a step" in said
    assert lines["matrix products"][:2] == ["3.0", "60.0%"]
    assert lines["norms"][:2] == ["1.0", "20.0%"]
    assert lines["communication"][:2] == ["1.5", "30.0%"]
    assert lines["idle"] == ["0.5", "10.0%"]
    assert "1.0 ms of the communication ran beside other kernels" in said
    assert "no roofline: there is no" in said
    assert max(map(len, said.splitlines()[:-3])) <= 80
    bars = ElementTree.parse(svg).getroot().iter("{http://www.w3.org/2000/svg}rect")
    assert len(list(bars)) == 4


def test_the_roofline_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """6 N FLOPs a token at the ceiling that was given, by hand for a model of one layer."""
    run = tmp_path / "run"
    trace = write(run / "profiles" / "a.json.gz", EVENTS, gpu="Some Card")
    (run / "run.yml").write_text(
        "num_layers: 1\nhidden_size: 16\nnum_attention_heads: 1\nseq_length: 8\n"
        "max_position_embeddings: 8\npadded_vocab_size: 64\ntrain_iters: 1\nlr_decay_iters: 1\n"
        "train_batch_size: 2\ntrain_micro_batch_size_per_gpu: 2\npos_emb: none\n"
        "no_weight_tying: true\noptimizer: {type: Adam, params: {lr: 0.001}}\n"
    )
    assert profile_cli.main(["summary", str(trace), "--steps", "1"]) == 0
    assert "no roofline: Some Card was not measured" in capsys.readouterr().out
    argv = ["summary", str(trace), "--steps", "1", "--tflops", "1e-6", "--tb-per-second", "1e-6"]
    assert profile_cli.main(argv) == 0
    h, layer, head = 16, 12 * 16**2 + 13 * 16, 64 * 16
    seconds = 6 * (layer + head + 2 * h) * 16 / 1e6
    lines = {line[:18].strip(): line for line in capsys.readouterr().out.splitlines()}
    assert lines["matrix products"].split()[-2] == f"{seconds * 1e3:,.1f}"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"not json", "is no whole trace"),
        (gzip.compress(b'{"traceEvents": []}', mtime=0)[:-4], "is no whole trace"),
        (b'{"a": 1}', "no traceEvents"),
        (b'{"traceEvents": []}', "holds no GPU kernel"),
        (None, "No such file"),
    ],
)
def test_what_is_no_trace(
    content: bytes | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trace.json"
    if content is not None:
        path.write_bytes(content)
    assert profile_cli.main(["summary", str(path)]) != 0
    assert words in capsys.readouterr().err
