"""Every key that the installed DeepSpeed reads in a dict is known here.

Its pydantic classes list theirs; older parts ask a plain dict for one key after the other, so they
are handed a dict that keeps what it was asked for.
"""

import dataclasses
import inspect
from collections.abc import Iterable
from enum import Enum
from typing import Literal

import pytest

pytest.importorskip("deepspeed")

from deepspeed.autotuning.config import DeepSpeedAutotuningConfig
from deepspeed.comm.config import CommsLoggerConfig
from deepspeed.monitor.config import CSVConfig, TensorBoardConfig, WandbConfig
from deepspeed.ops.adam import DeepSpeedCPUAdam, FusedAdam
from deepspeed.ops.lion import FusedLion
from deepspeed.profiling.config import DeepSpeedFlopsProfilerConfig
from deepspeed.runtime import config as deepspeed_config
from deepspeed.runtime import lr_schedules
from deepspeed.runtime.activation_checkpointing.config import DeepSpeedActivationCheckpointingConfig
from deepspeed.runtime.config_utils import DeepSpeedConfigModel
from deepspeed.runtime.data_pipeline.curriculum_scheduler import CurriculumScheduler
from deepspeed.runtime.precision_config import DeepSpeedBF16Config, DeepSpeedFP16Config
from deepspeed.runtime.zenflow.zenflow_config import ZenFlowConfig
from deepspeed.runtime.zero.config import DeepSpeedZeroConfig
from deepspeed.runtime.zero.leaf_module_config import DeepSpeedZeroLeafModuleConfig
from deepspeed.runtime.zero.offload_config import (
    DeepSpeedZeroOffloadOptimizerConfig,
    DeepSpeedZeroOffloadParamConfig,
)

from neox.config.arguments.deepspeed import Curriculum, CurriculumSchedule
from neox.config.table import record_in, table

CurriculumKind = Literal["fixed_linear", "fixed_root", "fixed_discrete"]

MODELS: dict[str, type[DeepSpeedConfigModel]] = {
    "zero_optimization": DeepSpeedZeroConfig,
    "zero_optimization.offload_param": DeepSpeedZeroOffloadParamConfig,
    "zero_optimization.offload_optimizer": DeepSpeedZeroOffloadOptimizerConfig,
    "zero_optimization.zenflow": ZenFlowConfig,
    "zero_optimization.leaf_module": DeepSpeedZeroLeafModuleConfig,
    "fp16": DeepSpeedFP16Config,
    "bf16": DeepSpeedBF16Config,
    "comms_logger": CommsLoggerConfig,
    "tensorboard": TensorBoardConfig,
    "wandb": WandbConfig,
    "csv_monitor": CSVConfig,
}
# ours beside DeepSpeed's: spellings of older versions, which configs still carry
OLDER = {
    "zero_optimization": {"cpu_offload_params"},
    "fp16": {"fp16", "type"},
    "bf16": {"type", "loss_scale"},
}


# where GPT-NeoX set another default, ours is GPT-NeoX's
GPT_NEOXS = {"zero_optimization": {"contiguous_gradients"}}


def fields_of(dotted: str) -> dict[str, "dataclasses.Field[object]"]:
    """Our nested dict, as the fields of its dataclass."""
    name, *keys = dotted.split(".")
    wanted = table()[name].wanted
    for key in keys:
        wanted = fields_of_record(wanted)[key].type
    return fields_of_record(wanted)


def fields_of_record(wanted: object) -> dict[str, "dataclasses.Field[object]"]:
    record = record_in(wanted)
    assert record is not None, wanted
    return {field.name: field for field in dataclasses.fields(record)}


def ours(dotted: str) -> set[str]:
    return set(fields_of(dotted))


@pytest.mark.parametrize("name", MODELS)
def test_the_keys_of_a_pydantic_class(name: str) -> None:
    theirs = {field.alias or key for key, field in MODELS[name].model_fields.items()}
    assert ours(name) - OLDER.get(name, set()) == theirs


@pytest.mark.parametrize("name", MODELS)
def test_the_defaults_of_a_pydantic_class(name: str) -> None:
    theirs = {field.alias or key: field.default for key, field in MODELS[name].model_fields.items()}
    simple = (bool, int, float, str)
    differ = {
        key
        for key, field in fields_of(name).items()
        if isinstance(field.default, simple)
        and isinstance(theirs.get(key), simple)
        and not isinstance(theirs[key], Enum)
        and field.default != theirs[key]
    }
    assert differ == GPT_NEOXS.get(name, set())


class Asked(dict[str, object]):
    """A section that keeps the names it was asked for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def get(self, key: str, default: object = None) -> object:  # type: ignore[override]
        self.names.add(key)
        return default

    def __contains__(self, key: object) -> bool:
        self.names.add(str(key))
        return False

    def keys(self) -> Iterable[str]:  # type: ignore[override]
        return ()


def test_the_keys_that_older_sections_ask_for() -> None:
    for name, reads in (
        ("flops_profiler", DeepSpeedFlopsProfilerConfig),
        ("activation_checkpointing", DeepSpeedActivationCheckpointingConfig),
        ("autotuning", DeepSpeedAutotuningConfig),
    ):
        asked = Asked()
        reads({name: asked})
        assert len(asked.names) > 5, name
        assert asked.names <= ours(name), name


def test_the_keys_of_checkpoint_and_its_dict() -> None:
    asked = Asked()
    deepspeed_config.get_checkpoint_tag_validation_mode(asked)
    deepspeed_config.get_checkpoint_parallel_write_pipeline(asked)
    assert asked.names == {"tag_validation", "parallel_write"}
    assert asked.names <= ours("checkpoint")
    assert ours("checkpoint.parallel_write") == {
        deepspeed_config.CHECKPOINT_PARALLEL_WRITE_PIPELINE_STAGE
    }


@pytest.mark.parametrize("kind", ["fixed_linear", "fixed_root", "fixed_discrete"])
def test_their_curriculum_runs_on_our_section(kind: CurriculumKind) -> None:
    numbers = CurriculumSchedule(difficulty=(8, 64, 1024), max_step=(10, 20))
    section = Curriculum(schedule_type=kind, schedule_config=numbers)
    scheduler = CurriculumScheduler(dataclasses.asdict(section))
    assert 8 <= scheduler.get_difficulty(1) <= 16
    assert scheduler.get_difficulty(20_000) == 1024


def test_the_params_of_schedulers_and_optimizers() -> None:
    schedulers = [getattr(lr_schedules, name) for name in lr_schedules.VALID_LR_SCHEDULES]
    assert parameters(schedulers) - {"optimizer"} == ours("scheduler.params")
    adams = parameters([FusedAdam, DeepSpeedCPUAdam, FusedLion])
    assert adams - {"model_params", "params"} <= ours("optimizer.params")


def parameters(callables: Iterable[type]) -> set[str]:
    return {
        name
        for one in callables
        for name in inspect.signature(one.__init__).parameters  # type: ignore[misc]
        if name != "self"
    }
