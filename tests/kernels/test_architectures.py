"""Which code runs on which GPU, and what a library holds."""

from pathlib import Path

import pytest

from neox.kernels import code_objects
from neox.kernels.architectures import check, runs_on
from neox.kernels.errors import KernelError
from tests.kernels.compilers import fatbin


@pytest.mark.parametrize(
    ("code", "gpu", "runs"),
    [
        ("sm_90", "sm_90", True),
        ("sm_80", "sm_86", True),
        ("sm_86", "sm_80", False),
        ("sm_80", "sm_90", False),
        ("sm_90a", "sm_90", False),
        ("sm_100", "sm_103", True),
        ("sm_90", "sm_100", False),
        ("gfx90a", "gfx90a", True),
        ("gfx90a", "gfx90a:sramecc+:xnack-", True),
        ("gfx90a", "gfx942", False),
        ("sm_90", "gfx90a", False),
    ],
)
def test_runs_on(code: str, gpu: str, runs: bool) -> None:
    assert runs_on(code, gpu) is runs


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (("sm90",), "'sm90' is no GPU architecture; there are sm_75"),
        (("sm_90", "gfx90a"), "one maker's GPUs"),
        ((), "for which GPUs"),
        (("sm_90; rm",), "is no GPU architecture"),
    ],
)
def test_check(names: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(KernelError, match=complaint):
        check(names)


def test_code_objects(tmp_path: Path) -> None:
    library = tmp_path / "x.so"
    library.write_bytes(b"ELF" + fatbin(90) + b"pad" + fatbin(100) + fatbin(75, kind=1))
    assert code_objects.architectures(library) == ("sm_100", "sm_90")
    library.write_bytes(b"..hipv4-amdgcn-amd-amdhsa--gfx90a..")
    assert code_objects.architectures(library) == ("gfx90a",)
    library.write_bytes(b"nothing")
    assert code_objects.architectures(library) == ()
