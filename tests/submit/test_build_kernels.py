"""`--job build-kernels`: the site's own compiler and architectures, one process, no data."""

import pytest

from tests.submit.askings import ask, plan, refused


@pytest.mark.parametrize(
    ("where", "account", "arch", "compiler"),
    [("frontier", "abc123", "gfx90a", "hipcc"), ("perlmutter", "m1234_g", "sm_80", "nvcc")],
)
def test_the_entry_names_compiler_and_architectures(
    where: str, account: str, arch: str, compiler: str
) -> None:
    made = plan(ask(where, kind="build-kernels"), account=account)
    assert made.entry.argv == ("kernels", "build", "--arch", arch, "--cc", compiler)
    assert (made.nodes, made.ranks, made.chain) == (1, 1, 1)
    assert made.geometry is None


def test_a_site_without_a_compiler_is_refused() -> None:
    said = refused(ask("local", kind="build-kernels"))
    assert said.startswith("local names no compiler and architectures in [toolchain]")
