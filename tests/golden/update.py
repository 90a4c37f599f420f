"""`python -m tests.golden.update` writes the kept scripts again; read the diff before a commit."""

from tests.golden.cases import FOLDER, cases, scripts


def main() -> None:
    for old in FOLDER.glob("*.sh"):
        old.unlink()
    for case in cases():
        for name, text in scripts(case).items():
            (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"{len(list(FOLDER.glob('*.sh')))} scripts in {FOLDER}")


if __name__ == "__main__":
    main()
