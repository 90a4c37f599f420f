"""A run that is small enough to be trained many times in a test: 2 layers, 32 wide."""

import json
from pathlib import Path

import numpy as np

from neox.data.token_writer import TokenFileWriter

VOCABULARY = 64


def write_tokens(folder: Path) -> Path:
    """A token file with some pattern to learn; returns its prefix."""
    prefix = folder / "tokens"
    draw = np.random.default_rng(7)
    with TokenFileWriter(prefix, np.dtype(np.uint16)) as writer:
        for _ in range(200):
            writer.add(np.cumsum(draw.integers(0, 3, size=400)) % VOCABULARY)
    return prefix


def write_config(folder: Path, **changes: object) -> Path:
    """A config file in `folder`, with the token file beside it; `changes` are its arguments."""
    values: dict[str, object] = {
        "data_path": str(write_tokens(folder)),
        "tokenizer_type": "HFTokenizer",
        "vocab_size": VOCABULARY,
        "make_vocab_size_divisible_by": 8,
        "num_layers": 2,
        "hidden_size": 32,
        "num_attention_heads": 2,
        "seq_length": 32,
        "max_position_embeddings": 32,
        "pos_emb": "rotary",
        "no_weight_tying": True,
        "attention_dropout": 0.0,
        "hidden_dropout": 0.0,
        "split": "90,10,0",
        "num_gpus": 2,
        "train_micro_batch_size_per_gpu": 2,
        "gradient_accumulation_steps": 1,
        "train_iters": 20,
        "eval_interval": 1000,
        "eval_iters": 1,
        "precision": "fp32",
        "optimizer": {"type": "Adam", "params": {"lr": 0.001}},
        "lr_decay_style": "constant",
        "min_lr": 0.0,
        "warmup": 0.0,
        "zero_optimization": {"stage": 1},
        "checkpoint_factor": 1000,
        "log_interval": 1,
    }
    path = folder / "tiny.yml"
    path.write_text(json.dumps(values | changes, indent=1))
    return path
