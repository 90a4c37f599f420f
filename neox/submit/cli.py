"""The `neox-submit` command: which part of it is meant, and how errors leave it.

Nothing but argparse is imported before it is known what is asked: `--help` answers at once, also on
a login node whose file system is slow.
"""

import gc
import os
import sys
from collections.abc import Sequence

from neox.run.exit_codes import ExitCode
from neox.submit.cli_help import HELP
from neox.submit.refusal import code_of, is_for_a_person


def main(argv: Sequence[str] | None = None) -> int:
    """Run `neox-submit ARGV...`; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    gc.disable()  # it would only walk what the imports have made, and the process soon ends
    try:
        return _main(words)
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nothing is left to flush at exit
        return ExitCode.DONE
    except KeyboardInterrupt:
        print("neox-submit: interrupted; nothing more was submitted", file=sys.stderr)
        return 130
    except Exception as error:
        return _failed(error, words)


def _main(words: list[str]) -> int:
    if words and words[0] in ("sites", "jobs"):
        return _shelf(words[0], words[1:])
    before_values = words[: words.index("--")] if "--" in words else words
    if not words or "--help" in before_values or "-h" in before_values:
        print(HELP, end="")
        return ExitCode.DONE if words else ExitCode.CONFIG
    if words == ["--version"]:
        import neox  # noqa: PLC0415

        print(f"neox-submit {neox.__version__}")
        return ExitCode.DONE
    return _act(words)


def _act(words: list[str]) -> int:
    from neox.submit.cli_args import VERBS, parse_doctor, parse_run, parse_verb  # noqa: PLC0415
    from neox.submit.edge import look_around  # noqa: PLC0415
    from neox.submit.runner import SystemRunner  # noqa: PLC0415

    around = look_around()
    runner = SystemRunner(around.environ)
    if words[0] == "doctor":
        from neox.submit.doctor import doctor  # noqa: PLC0415

        return doctor(parse_doctor(words[1:]), around, runner)
    if words[0] == "diff":
        from neox.submit.cli_args import parse_diff  # noqa: PLC0415
        from neox.submit.cli_diff import show_diff  # noqa: PLC0415

        return show_diff(parse_diff(words[1:]), around)
    if words[0] in VERBS:
        from neox.submit.cli_verbs import act_on_run  # noqa: PLC0415

        return act_on_run(parse_verb(words[0], words[1:]), around, runner)
    if words[0] == "suggest":
        from neox.submit.cli_run import request_of  # noqa: PLC0415
        from neox.submit.cli_suggest import suggest  # noqa: PLC0415

        given = parse_run(words[1:])
        request = request_of(given, ("neox-submit", *words), around)
        return suggest(request, around, as_json=given.json)
    from neox.submit.cli_run import plan_and_submit  # noqa: PLC0415

    return plan_and_submit(parse_run(words), ("neox-submit", *words), around, runner)


def _shelf(name: str, words: list[str]) -> int:
    if name == "sites":
        from neox.sites.show import main as show  # noqa: PLC0415
    else:
        from neox.submit.job_show import main as show  # noqa: PLC0415
    return show(words)


def _failed(error: Exception, words: Sequence[str]) -> int:
    """One message and its code; a bug of ours leaves its traceback in a file."""
    if is_for_a_person(error):
        code, message = code_of(error), str(error)
    else:
        code, message = ExitCode.BUG, _crash(error)
    prefix = "" if _names_its_place(message) else "neox-submit: "
    print(f"{prefix}{message}", file=sys.stderr)
    if "--json" in words:
        from neox.submit.cli_output import print_json  # noqa: PLC0415

        print_json({"error": {"code": int(code), "message": message}})
    return code


def _names_its_place(message: str) -> bool:
    """ "bad.yml:2: ..." can be clicked on as it is."""
    parts = message.splitlines()[0].split(":", 2) if message else []
    return len(parts) == 3 and parts[1].isdecimal() and " " not in parts[0]


def _crash(error: Exception) -> str:
    import tempfile  # noqa: PLC0415
    import traceback  # noqa: PLC0415

    if os.environ.get("NEOX_DEBUG"):
        traceback.print_exception(error)
        return f"a bug: {type(error).__name__}: {error}"
    said = f"a bug in NeoX: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="neox-submit-", suffix=".traceback", delete=False, encoding="utf-8"
        ) as file:
            traceback.print_exception(error, file=file)
    except OSError:
        return f"{said}; NEOX_DEBUG=1 shows the traceback"
    return f"{said}; its traceback is in {file.name}, please report it"


if __name__ == "__main__":
    sys.exit(main())
