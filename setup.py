"""Packaging: the data stands in setup.cfg; this file puts the shelves into the wheel."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
SHELVES = ("sites", "jobs", "configs", "templates", "kernels")


class BuildWithContent(build_py):
    """Copy the shelves to neox/content/ of the build, where an installed neox looks for them."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return  # a checkout reads its own shelves
        for shelf in SHELVES:
            source = HERE / shelf
            if source.is_dir():
                target = Path(self.build_lib) / "neox" / "content" / shelf
                shutil.copytree(source, target, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithContent})
