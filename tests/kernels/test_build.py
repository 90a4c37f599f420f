"""Building, with a stand-in for the compiler: what is published, and what goes wrong."""

import errno
import tempfile
import threading
from pathlib import Path

import pytest

from neox.kernels import build as building
from neox.kernels.build import Order, build
from neox.kernels.errors import KernelError
from neox.kernels.sources import Sources, sources
from neox.kernels.store import LIBRARY, built, fitting
from neox.kernels.toolchain import Toolchain, toolchain_for
from neox.submit.runner import SystemRunner
from tests.kernels.compilers import environ, fake_nvcc


@pytest.fixture
def shelf(tmp_path: Path) -> Sources:
    folder = tmp_path / "shelf"
    folder.mkdir()
    (folder / "neox.h").write_text("#define NEOX_ABI 7\n")
    for name in ("a.cu", "b.cu"):
        (folder / name).write_text(f"// {name}\n")
    return sources(folder)


def ordered(shelf: Sources, root: Path, *codes: str, cc: str = "nvcc") -> Order:
    return Order(
        sources=shelf,
        toolchain=Toolchain(kind="cuda", cc=cc),
        architectures=codes or ("sm_90",),
        root=root,
        at_once=2,
    )


def made(order: Order, tools: Path) -> list[str]:
    said: list[str] = []
    build(order, SystemRunner(environ(tools)), environ(tools), said.append)
    return said


def test_what_is_built_is_found_again(tmp_path: Path, shelf: Sources) -> None:
    fake_nvcc(tmp_path / "tools")
    root = tmp_path / "store"
    order = ordered(shelf, root, "sm_80", "sm_90")
    said = made(order, tmp_path / "tools")
    assert said[0].startswith("compiled 2 files for sm_80, sm_90 in ")
    (one,) = built(root)
    assert said[1] == f"built {one.library}"
    assert one.manifest.architectures == ("sm_80", "sm_90")
    assert (one.manifest.abi, one.manifest.compiler) == (
        7, "Cuda compilation tools, release 99.1, V99.1.2",
    )  # fmt: skip
    assert fitting(root, "sm_90", shelf) == one
    assert made(order, tmp_path / "tools") == [f"already built: {one.library}"]
    assert [path.name for path in root.iterdir()] == [one.folder.name]


def test_other_sources_and_other_gpus_are_libraries_of_their_own(
    tmp_path: Path, shelf: Sources
) -> None:
    fake_nvcc(tmp_path / "tools")
    root = tmp_path / "store"
    made(ordered(shelf, root), tmp_path / "tools")
    (shelf.folder / "a.cu").write_text("// changed\n")
    changed = sources(shelf.folder)
    with pytest.raises(KernelError, match="built from other sources"):
        fitting(root, "sm_90", changed)
    made(ordered(changed, root), tmp_path / "tools")
    made(ordered(changed, root, "sm_80"), tmp_path / "tools")
    assert len(built(root)) == 3
    assert fitting(root, "sm_90", changed).manifest.architectures == ("sm_90",)


def test_what_compilers_leave_in_tmpdir_goes(
    tmp_path: Path, shelf: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    extra = f'[ "${{TMPDIR%/*}}" = {temporary} ] && mkdir -p "$TMPDIR/left-$$"'
    fake_nvcc(tmp_path / "tools", extra=f"{extra} || exit 9")
    made(ordered(shelf, tmp_path / "store"), tmp_path / "tools")
    assert list(temporary.iterdir()) == []


def test_two_builders_at_once(tmp_path: Path, shelf: Sources) -> None:
    """Both compile; one publishes; the other says so and uses that library. Nothing else stays."""
    fake_nvcc(tmp_path / "tools", extra="sleep 0.2")
    order = ordered(shelf, tmp_path / "store")
    said: list[str] = []

    def one(number: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(building.os, "getpid", lambda: number)  # as two processes have two
            tools = environ(tmp_path / "tools")
            build(order, SystemRunner(tools), tools, said.append)

    first, second = threading.Thread(target=one, args=(1,)), threading.Thread(target=one, args=(2,))
    first.start()
    while not list((tmp_path / "store").glob(".*")):  # the first has its draft
        pass
    second.start()
    first.join()
    second.join()
    assert len([line for line in said if line.startswith("built ")]) == 1
    assert len([line for line in said if line.startswith("another builder was first: ")]) == 1
    assert len(list((tmp_path / "store").iterdir())) == 1


def test_a_missing_compiler_is_one_line(tmp_path: Path, shelf: Sources) -> None:
    (tmp_path / "tools").mkdir()
    order = ordered(shelf, tmp_path / "store", cc="nvcc-99")
    with pytest.raises(KernelError, match="nvcc-99: no such compiler on PATH; load the site's"):
        made(order, tmp_path / "tools")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("extra", "complaint"),
    [
        ("echo 'a.cu(3): error: identifier undefined' >&2; exit 2", "error: identifier undefined"),
        ("echo 'fatal: /tmp/x: No space left on device' >&2; exit 1", "No space left on device"),
        ("kill -9 $$", "failed: ended with -9 and said nothing"),
    ],
)
def test_a_compiler_that_fails_leaves_nothing(
    tmp_path: Path, shelf: Sources, extra: str, complaint: str
) -> None:
    fake_nvcc(tmp_path / "tools", extra=extra)
    with pytest.raises(KernelError, match=complaint) as error:
        made(ordered(shelf, tmp_path / "store"), tmp_path / "tools")
    assert "\n" not in str(error.value)
    assert list((tmp_path / "store").iterdir()) == []


def test_code_that_the_compiler_left_out(tmp_path: Path, shelf: Sources) -> None:
    fake_nvcc(tmp_path / "tools")
    pieces = tmp_path / "tools" / "pieces"
    (pieces / "100").write_bytes((pieces / "90").read_bytes())
    with pytest.raises(KernelError, match=r"left out code for sm_100: the library has sm_90"):
        made(ordered(shelf, tmp_path / "store", "sm_100"), tmp_path / "tools")


def test_a_full_disk(tmp_path: Path, shelf: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_nvcc(tmp_path / "tools")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(building, "write_manifest", full)
    with pytest.raises(KernelError, match="store: No space left on device; nothing was left"):
        made(ordered(shelf, tmp_path / "store"), tmp_path / "tools")
    assert list((tmp_path / "store").iterdir()) == []


def test_a_store_that_cannot_be_written(tmp_path: Path, shelf: Sources) -> None:
    fake_nvcc(tmp_path / "tools")
    (tmp_path / "store").write_text("a file")
    with pytest.raises(KernelError, match="store: File exists; choose another with --into"):
        made(ordered(shelf, tmp_path / "store"), tmp_path / "tools")


def test_a_half_written_library_is_refused_and_built_again(tmp_path: Path, shelf: Sources) -> None:
    fake_nvcc(tmp_path / "tools")
    root = tmp_path / "store"
    made(ordered(shelf, root), tmp_path / "tools")
    (one,) = built(root)
    one.library.write_bytes(one.library.read_bytes()[:20])
    with pytest.raises(
        KernelError, match=r"is half written or damaged; `neox kernels build --arch"
    ):
        fitting(root, "sm_90", shelf)
    assert made(ordered(shelf, root), tmp_path / "tools")[-1].startswith("built ")
    assert fitting(root, "sm_90", shelf).damage is None


def test_the_library_of_another_gpu(tmp_path: Path, shelf: Sources) -> None:
    fake_nvcc(tmp_path / "tools")
    root = tmp_path / "store"
    with pytest.raises(KernelError, match=r"no kernel library in .*--arch sm_90` makes one"):
        fitting(root, "sm_90", shelf)
    made(ordered(shelf, root, "sm_80"), tmp_path / "tools")
    with pytest.raises(KernelError, match="are for sm_80, this GPU is sm_90; `neox kernels build"):
        fitting(root, "sm_90", shelf)
    assert fitting(root, "sm_86", shelf).manifest.architectures == ("sm_80",)


def test_what_killed_builders_left_goes_after_a_day(
    tmp_path: Path, shelf: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_nvcc(tmp_path / "tools")
    old = tmp_path / "store" / ".0123.host.1"
    old.mkdir(parents=True)
    (old / LIBRARY).write_text("half")
    made(ordered(shelf, tmp_path / "store"), tmp_path / "tools")
    assert old.is_dir()  # its builder may live
    monkeypatch.setattr(building, "STALE_SECONDS", -1.0)
    made(ordered(shelf, tmp_path / "store", "sm_80"), tmp_path / "tools")
    assert not old.exists()


def test_hipcc_is_told_its_platform_and_no_runtime_is_named() -> None:
    chain = toolchain_for(("gfx90a",), None)
    assert (chain.kind, chain.cc, chain.linker) == ("rocm", "hipcc", "c++")
    assert chain.environment({"A": "b"}) == {"A": "b", "HIP_PLATFORM": "amd"}
    assert "--offload-arch=gfx90a" in chain.compile(Path("a.cu"), Path("a.o"), ("gfx90a",))
    assert not any("hip" in word for word in chain.link((Path("a.o"),), Path("x.so"), ("gfx90a",)))


def test_hopper_gets_code_that_runs_nowhere_else() -> None:
    """sm_90 without the `a` has no wgmma; other GPUs are taken at their name."""
    asked = ("sm_80", "sm_90", "sm_100")
    words = toolchain_for(asked, None).compile(Path("a.cu"), Path("a.o"), asked)
    codes = [word for word in words if word.startswith("arch=")]
    assert codes == [
        "arch=compute_80,code=sm_80",
        "arch=compute_90a,code=sm_90a",
        "arch=compute_100,code=sm_100",
    ]
