"""What the step bench measures, and the words that make a shipped config one of its cases."""

from dataclasses import dataclass

VOCABULARY = 50_304  # of Pythia's shipped configs, padded


@dataclass(frozen=True, kw_only=True)
class Case:
    config: str
    batch: int
    length: int = 2_048

    def __str__(self) -> str:
        return f"{self.config}, {self.batch} x {self.length:,} tokens"

    @property
    def overrides(self) -> list[str]:
        return [
            "precision=bfloat16",
            "fp16={enabled: false}",
            f"train_batch_size={self.batch}",
            f"train_micro_batch_size_per_gpu={self.batch}",
            "checkpoint_activations=false",
            f"seq_length={self.length}",
            f"max_position_embeddings={self.length}",
            "vocab_file=null",
            f"padded_vocab_size={VOCABULARY}",
        ]


CASES = {
    "1.4B": Case(config="pythia/1-4B", batch=16),
    "410M": Case(config="pythia/410M", batch=16),
    "160M": Case(config="pythia/160M", batch=32),
    "1.4B-16k": Case(config="pythia/1-4B", batch=2, length=16_384),
}
