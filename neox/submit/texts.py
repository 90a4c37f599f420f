"""Every text of a plan that can reach a script, with the name a person knows it by."""

from collections.abc import Iterator

from neox.submit.plan import Plan
from neox.submit.words import Literal, Word


def plan_texts(plan: Plan) -> Iterator[tuple[str, str]]:
    """Pairs of field and text, what a person typed first."""
    yield from _typed(plan)
    yield "run directory", str(plan.run.root)
    yield "working directory", str(plan.request.cwd)
    yield "python", plan.python
    yield "queue", plan.queue.name
    yield from _indexed("scheduler directive", tuple(d.text for d in plan.directives))
    yield from _words("launch argument", plan.launch.argv)
    if plan.preflight:
        yield from _words("launch argument", plan.preflight.launch.argv)
    if plan.stage:
        yield "python.stage.archive", plan.stage.archive
        yield from _words("python.stage.to", (plan.stage.to,))
    if plan.launch.node:
        yield from _indexed("launch argument", plan.launch.node.arguments)
    yield from _words("container argument", plan.container)
    yield from _words("container argument", plan.job_container)
    if plan.profile:
        yield from _words("profiler argument", plan.profile.wrap)
        profiler = (plan.profile.command, plan.profile.module, *plan.profile.unload)
        yield from _indexed("profiler", tuple(text for text in profiler if text))
    yield from _indexed("entry", plan.entry.argv)
    for variable in (*plan.variables, *plan.rank_variables):
        yield from _words(f"variable {variable.name}", (variable.value,))
    yield from _site(plan)


def _typed(plan: Plan) -> Iterator[tuple[str, str]]:
    request = plan.request
    given = {
        "--site": request.site,
        "--job": request.job,
        "--queue": request.queue,
        "--account": request.account,
        "--name": request.name,
        "--output": str(request.output) if request.output else None,
        "--python": request.python,
    }
    yield from ((name, text) for name, text in given.items() if text is not None)
    yield from _indexed("--directive", request.directives)
    yield from _indexed("--launch-arg", request.launch_args)
    yield from _indexed("config file", tuple(str(path) for path in request.configs))
    yield from _indexed("KEY=VALUE", request.overrides)
    yield from _indexed("host", request.hosts)
    yield from _indexed("command line", request.argv)


def _site(plan: Plan) -> Iterator[tuple[str, str]]:
    site = plan.site
    yield "title", site.title
    yield from _indexed("launcher.hosts", site.launcher.hosts)
    if site.modules.reset:
        yield "modules.reset", site.modules.reset
    yield from _indexed("modules.use", site.modules.use)
    yield from _indexed("modules.load", site.modules.load)
    for name, paths in site.modules.prepend.items():
        yield from _indexed(f"modules.prepend.{name}", paths)


def _indexed(field: str, texts: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    yield from ((f"{field} {number}", text) for number, text in enumerate(texts, start=1))


def _words(field: str, words: tuple[Word, ...]) -> Iterator[tuple[str, str]]:
    for word in words:
        yield from ((field, part.text) for part in word if isinstance(part, Literal))
