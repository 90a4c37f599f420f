"""`neox data maps RUN_YML`, and `neox data job RUN_YML ...`, which prepare-data jobs run."""

import argparse
from pathlib import Path

from neox.data import prepare_cli
from neox.data.errors import DataError
from neox.data.maps import build_maps, config_with_data
from neox.data.verbs import positive


def add_maps(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_yml", type=Path, metavar="RUN_YML", help="the run's config")
    parser.add_argument("--ranks", type=positive, help="ranks of the run, not of this job")


def add_job(parser: argparse.ArgumentParser) -> None:
    add_maps(parser)
    prepare_cli.add_arguments(parser)
    parser.description = (
        "Build the index maps of a run whose config names token files; without such a config, "
        "prepare as the other arguments say."
    )


def maps(arguments: argparse.Namespace) -> None:
    config = config_with_data(arguments.run_yml, arguments.ranks)
    if config is None:
        raise DataError(f"{arguments.run_yml}: neither data_path nor train_data_paths is given")
    build_maps(config)


def job(arguments: argparse.Namespace) -> None:
    config = config_with_data(arguments.run_yml, arguments.ranks)
    if config is None:
        prepare_cli.run(arguments)
    elif prepare_cli.share().rank == 0:  # one process builds them; others find them
        build_maps(config)
