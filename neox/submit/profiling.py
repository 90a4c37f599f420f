"""What records some steps of some ranks: a profiler around Python, or one inside the engine.

nsys as GPT-NeoX's README starts it, with a capture range that the engine opens and closes;
rocprofv3 and rocprof are paused and resumed by the engine; rocprofv2 records the whole run. torch's
profiler and the memory snapshot are the engine's own. rank.sh decides which ranks, so it is the
same under every launcher.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from neox.config.run_config import RunConfig
from neox.sites.profile import NodeType, Profile, Profiler
from neox.submit.job_kind import JobKind
from neox.submit.plan import Profiling
from neox.submit.problem import Problem
from neox.submit.request import ProfileRanks, ProfileTool, Request
from neox.submit.run_area import run_root
from neox.submit.words import Literal, ShellVar, Word, literal

# by the first letters of a GPU's architecture; without GPUs nsys still sees the CPU
_PROGRAMS: dict[str, tuple[ProfileTool, str]] = {
    "sm_": ("nsys", "nsys"),
    "gfx": ("rocprof", "rocprofv3"),
}
# one file for each job and rank, whatever the launcher and however often a link starts
_FILE: Word = (
    ShellVar("run"),
    Literal("/profiles/"),
    ShellVar("job_id"),
    Literal(".rank-"),
    ShellVar("RANK"),
)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What a profile is of."""

    site: Profile
    job: JobKind
    config: RunConfig
    node: NodeType
    use_gpus: bool
    ranks: int


def profile_problems(of: Recorded, request: Request) -> Iterator[Problem]:
    """Why these ranks or steps cannot be recorded by this tool."""
    tool = request.profile or of.job.profile
    if tool is None:
        if request.profile_ranks or request.profile_steps:
            flag = "--profile-ranks" if request.profile_ranks else "--profile-steps"
            yield _problem(f"{flag}: of what? give --profile nsys, rocprof, torch or memory too")
        return
    if of.job.entry[:1] != ("train",):
        yield _problem(f"--profile {tool}: job kind {of.job.name} makes no steps to record")
    yield from _steps_problem(of, request)
    yield from _ranks_problem(of, request)
    yield from _tool_problem(of, tool)
    if tool in ("nsys", "rocprof") and "%" in str(run_root(request)):
        yield _problem(f"--profile {tool}: it would read the % in {run_root(request)}; use -o")


def profiling_of(of: Recorded, request: Request) -> Profiling | None:
    """The profiler that was asked for, checked before; None where there is none."""
    tool = request.profile or of.job.profile
    if tool is None:
        return None
    ranks = request.profile_ranks or ProfileRanks()
    if tool in ("torch", "memory"):
        steps = _steps(of, request)
        return Profiling(tool=tool, recorder=tool, ranks=ranks, steps=steps, by_steps=True)
    inside = _in_container(of.site)
    found = _program(of, tool)
    recorder = found.command.rpartition("/")[2]
    return Profiling(
        tool=tool,
        recorder=recorder,
        ranks=ranks,
        steps=_steps(of, request),
        by_steps=recorder != "rocprofv2" and of.use_gpus,
        wrap=_wrap(
            literal(found.command) if inside else (ShellVar("NEOX_PROFILER"),),
            recorder,
            gpus=of.use_gpus,
        ),
        command=None if inside else found.command,
        module=None if inside else found.module,
        unload=() if inside else found.unload,
    )


def profiler_variables(site: Profile, job: JobKind, request: Request) -> tuple[str, ...]:
    """What job.sh sets for rank.sh to find the program by, whatever PATH a launcher passes on."""
    tool = request.profile or job.profile
    return ("NEOX_PROFILER",) if tool in ("nsys", "rocprof") and not _in_container(site) else ()


def question(site: Profile, profiling: Profiling | None) -> str | None:
    """What the person should know who was not told where the program is."""
    if profiling is None or profiling.command is None or profiling.tool in site.profilers:
        return None
    return (
        f"Where is {profiling.command} on {site.name}? The profile has no "
        f"[profilers.{profiling.tool}]: it is taken from the job's PATH."
    )


def _in_container(site: Profile) -> bool:
    return site.container.kind != "none" and site.container.image is not None


# --- what is asked -------------------------------------------------------------------------------


def _steps(of: Recorded, request: Request) -> tuple[int, int]:
    if request.profile_steps:
        return request.profile_steps
    logging = of.config.logging
    return logging.profile_step_start, max(logging.profile_step_start, logging.profile_step_stop)


def _steps_problem(of: Recorded, request: Request) -> Iterator[Problem]:
    first, last = _steps(of, request)
    total = of.config.training.train_iters
    if total is not None and last > total:
        yield _problem(
            f"--profile-steps {first}:{last}: the run ends after step {total}; "
            f"use --profile-steps {min(first, total)}:{total}, or more train_iters"
        )


def _ranks_problem(of: Recorded, request: Request) -> Iterator[Problem]:
    asked = request.profile_ranks or ProfileRanks()
    beyond = [rank for rank in asked.named if rank >= of.ranks]
    if beyond:
        yield _problem(
            f"--profile-ranks {','.join(map(str, asked.named))}: there are ranks 0 to "
            f"{of.ranks - 1}; use --profile-ranks 0, one-per-node or all"
        )


def _tool_problem(of: Recorded, tool: ProfileTool) -> Iterator[Problem]:
    gpu = of.node.gpu if of.use_gpus else None
    if tool == "torch":
        return
    if gpu is None:
        if tool != "nsys":
            yield _problem(
                f"--profile {tool}: it records GPUs, and this job uses none; use --profile torch"
            )
        return
    own = next((name for arch, (name, _) in _PROGRAMS.items() if gpu.arch.startswith(arch)), None)
    if tool not in ("memory", own):
        use = f"--profile {own}" if own else "--profile torch"
        yield _problem(
            f"--profile {tool}: not for the {gpu.kind} ({gpu.arch}) of {of.site.name}; use {use}"
        )


def _problem(text: str) -> Problem:
    return Problem(about="profile", text=text)


# --- how it is started ---------------------------------------------------------------------------


def _program(of: Recorded, tool: ProfileTool) -> Profiler:
    if tool in of.site.profilers:
        return of.site.profilers[tool]
    return Profiler(command=next(command for name, command in _PROGRAMS.values() if name == tool))


def _wrap(command: Word, recorder: str, *, gpus: bool) -> tuple[Word, ...]:
    folder: Word = (ShellVar("run"), Literal("/profiles"))
    name: Word = (ShellVar("job_id"), Literal(".rank-"), ShellVar("RANK"))
    match recorder:
        case "nsys":
            # without GPUs nobody calls cudaProfilerStart, so the whole run is recorded
            traced = (
                ("--trace=cuda,nvtx", "--capture-range=cudaProfilerApi", "--capture-range-end=stop")
                if gpus
                else ("--trace=osrt,nvtx",)
            )
            quiet = ("--sample=none", "--cpuctxsw=none", "--kill=none", "--force-overwrite=true")
            output: Word = (Literal("--output="), *_FILE)
            return (command, *map(literal, ("profile", *traced, *quiet)), output)
        case "rocprofv3":
            traces = ("--hip-trace", "--kernel-trace", "--memory-copy-trace", "--marker-trace")
            form = ("--output-format", "pftrace", "--output-directory")
            output_file = (literal("--output-file"), name, literal("--"))
            return (command, *map(literal, (*traces, *form)), folder, *output_file)
        case "rocprofv2":
            traced = ("--hip-trace", "--kernel-trace", "--roctx-trace")
            form = ("--plugin", "perfetto", "-d")
            return (command, *map(literal, (*traced, *form)), folder, literal("-o"), name)
        case _:
            paused = ("--hip-trace", "--roctx-trace", "--trace-start", "off", "-o")
            return (command, *map(literal, paused), (*_FILE, Literal(".csv")))
