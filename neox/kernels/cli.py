"""`neox kernels build | list | test | bench`."""

import argparse
import getpass
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from neox.content import NotOnShelf, shelf_here
from neox.kernels import architectures, gemm_table, store
from neox.kernels.build import Order, build
from neox.kernels.errors import KernelError
from neox.kernels.place import store_root
from neox.kernels.sources import sources
from neox.kernels.toolchain import Toolchain, toolchain_for
from neox.run.exit_codes import ExitCode
from neox.sites.load import load_site
from neox.sites.problems import ProfileErrors
from neox.sites.profile import Profile
from neox.submit.places import Names, filled
from neox.submit.runner import SystemRunner


def main(argv: Sequence[str]) -> int:
    asked = _parser().parse_args(argv)
    verbs: dict[str, Callable[[argparse.Namespace], int]] = {
        "build": _build,
        "list": _list,
        "test": _on_gpu,
        "bench": _on_gpu,
    }
    try:
        return verbs[asked.verb](asked)
    except (KernelError, NotOnShelf, ProfileErrors) as error:
        print(f"neox kernels {asked.verb}: {error}", file=sys.stderr)
        return ExitCode.REFUSED


def _build(asked: argparse.Namespace) -> int:
    site = _site(asked.site)
    wanted, cc, root = _ordered(asked, site)
    architectures.check(wanted)
    chain: Toolchain = toolchain_for(wanted, cc)
    environ = chain.environment(os.environ)
    order = Order(
        sources=sources(),
        toolchain=chain,
        architectures=wanted,
        root=root,
        at_once=asked.at_once or len(os.sched_getaffinity(0)),
    )
    for name in wanted:
        if name not in architectures.TESTED:
            print(f"{name}: untested; run `neox kernels test` there")
    build(order, SystemRunner(environ), environ, print)
    return ExitCode.DONE


def _site(name: str | None) -> Profile | None:
    return None if name is None else load_site(name, shelf_here("sites"))


def _ordered(
    asked: argparse.Namespace, site: Profile | None
) -> tuple[tuple[str, ...], str | None, Path]:
    """Architectures, compiler and store: from the command line, else from the site."""
    wanted = tuple(asked.arch.split(",")) if asked.arch else ()
    cc, root = asked.cc, asked.into
    if site is not None:
        if site.toolchain.kind == "none":
            raise KernelError(f"{site.name} has no [toolchain]: the torch references run there")
        wanted, cc = wanted or site.toolchain.arch, cc or site.toolchain.cc
        root = root or _store_of(site)
    return wanted, cc, root or store_root(os.environ)


def _store_of(site: Profile) -> Path | None:
    """Where the site's jobs look; None where the profile says nothing of it."""
    named = site.caches.kernels
    if named is None:
        return None
    user = Names(user=getpass.getuser(), home=Path.home(), account=None, cores_per_rank=1, gpus=0)
    path = filled(named, user)
    if path is None:
        raise KernelError(f"{site.name} keeps its kernels in {named}: name that folder with --into")
    return Path(path)


def _list(asked: argparse.Namespace) -> int:
    root = asked.into or store_root(os.environ)
    wanted = sources()
    there = store.built(root)
    if not there:
        print(f"no kernel library in {root}")
    for one in there:
        manifest = one.manifest
        current = manifest.source == wanted.digest and manifest.abi == wanted.abi
        state = one.damage or ("current" if current else "of other sources")
        names = ",".join(manifest.architectures)
        print(f"{one.folder.name}  {names}  {manifest.compiler}  {manifest.built}  {state}")
    for table in gemm_table.tables(root):
        tuned = gemm_table.read_table(table).values()
        faster = sum(one.algorithm is not None for one in tuned)
        print(f"{table.name}  {faster} of {len(tuned)} products tuned are faster")
    return ExitCode.DONE


def _on_gpu(asked: argparse.Namespace) -> int:
    """test and bench run on the GPU of this machine, with the library that fits it."""
    try:
        on_gpu = importlib.import_module("neox.ops.on_gpu")
    except ModuleNotFoundError as error:
        raise KernelError(f"this Python has no {error.name}: run it with the engine's") from None
    run: Callable[[str, Path], bool] = on_gpu.main
    good = run(asked.verb, asked.into or store_root(os.environ))
    return ExitCode.DONE if good else ExitCode.BUG


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="neox kernels")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    making = verbs.add_parser("build", help="compile the kernels for a site's GPUs, once")
    making.add_argument("--site", help="its [toolchain] says compiler and architectures")
    making.add_argument("--arch", help="sm_90,sm_100 or gfx90a, instead of the site's")
    making.add_argument("--cc", help="the compiler: nvcc, hipcc or a path")
    making.add_argument("--at-once", type=int, help="compilers side by side (default: all cores)")
    texts = {
        "list": "what is built and tuned, for which GPUs",
        "test": "every kernel against its reference in fp64, on this GPU",
        "bench": "every kernel beside torch, torch.compile and a copy, on this GPU",
    }
    others = [verbs.add_parser(verb, help=text) for verb, text in texts.items()]
    for one in (making, *others):
        one.add_argument(
            "--into",
            type=Path,
            metavar="DIR",
            help="the store (default: the site's, $NEOX_KERNELS, or ~/.cache/neox/kernels)",
        )
    return parser
