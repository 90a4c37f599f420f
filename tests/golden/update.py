"""`python -m tests.golden.update` writes the kept scripts again; read the diff before a commit."""

from tests.golden.cases import FOLDER, cases, scripts


def main() -> None:
    """All are rendered before the first is written: a plan that fails leaves what is kept."""
    texts = {FOLDER / name: text for case in cases() for name, text in scripts(case).items()}
    for file in FOLDER.rglob("*.sh"):
        if file not in texts:
            file.unlink()
    for file, text in texts.items():
        file.parent.mkdir(exist_ok=True)
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
    print(f"{len(texts)} scripts in {FOLDER}")


if __name__ == "__main__":
    main()
