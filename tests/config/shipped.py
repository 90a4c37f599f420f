"""The shelf of configs: whole ones, shapes of models, and files that stand behind them."""

import re
from pathlib import Path

CONFIGS = Path(__file__).parents[2] / "configs"
ALL = sorted(str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob("*.*"))
# what stands behind a sized config, and says nothing of a model
PARTIAL = (
    "cpu_mock_config.yml",
    "docker/pythia-paths.yml",
    "eleutherai_cluster.yml",
    "llama/train_config.yml",
    "local_setup.yml",
    "local_setup_comet.yml",
    "local_setup_wandb.yml",
    "prof.yml",
    "slurm_local.json",
    "slurm_local.yml",
    "sparse.yml",
    "text_generation.yml",
)
# a model's shape, to be trained with llama/train_config or another training file
SHAPES = tuple(name for name in ALL if re.match(r"(llama2?|mistral)/\d+B|llama2/codellama", name))
WHOLE = tuple(name for name in ALL if name not in PARTIAL and name not in SHAPES)
