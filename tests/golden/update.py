"""`python -m tests.golden.update` writes the kept scripts again; read the diff before a commit."""

from tests.golden.cases import FOLDER, cases, scripts


def main() -> None:
    for old in FOLDER.rglob("*.sh"):
        old.unlink()
    for case in cases():
        for name, text in scripts(case).items():
            file = FOLDER / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
    print(f"{len(list(FOLDER.rglob('*.sh')))} scripts in {FOLDER}")


if __name__ == "__main__":
    main()
