"""What a person typed, where it has to stand: text that cannot is named by its flag."""

import re
from collections.abc import Callable

from neox.sites.profile import Profile
from neox.submit.case import note
from neox.submit.problem import Problem
from neox.submit.quoting import QuotingError, check_directive_text, check_text, shown
from neox.submit.request import Request
from neox.submit.run_area import name_problems, run_root

_DIRECTIVE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(=.*)?", re.ASCII | re.DOTALL)


def typed_problems(site: Profile, request: Request) -> list[Problem]:
    problems = name_problems(request)
    folder = str(run_root(request).parent)
    typed = [("queue", request.queue), ("account", request.account)]
    if site.scheduler.kind != "local":
        typed += [("output folder", folder), *(("directive", text) for text in request.directives)]
    elsewhere = [("python", request.python), ("output folder", folder)]
    elsewhere += [("launch-arg", text) for text in request.launch_args]
    for check, texts in ((check_directive_text, typed), (check_text, elsewhere)):
        for field, text in texts:
            note(problems, _text_problem(check, field, text))
    for text in request.directives:
        if not _DIRECTIVE.fullmatch(text):
            message = f"directive: {shown(text)} is not KEY=VALUE, as in --directive comment=TEXT"
            problems.append(Problem(about="text of directive", text=message))
    return problems


def _text_problem(check: Callable[[str, str], str], field: str, text: str | None) -> Problem | None:
    try:
        if text is not None:
            check(field, text)
    except QuotingError as error:
        return Problem(about=f"text of {field}", text=str(error))
    return None
