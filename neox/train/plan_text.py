"""What a job is about to do, printed before it does it."""

from neox.models.count import checkpoint_bytes, flops_per_token, parameters
from neox.train.session import Job, Session
from neox.train.settings import geometry, precision


def plan_lines(job: Job, session: Session) -> list[str]:
    config, mesh, spec = job.config, job.mesh, session.spec
    count = parameters(spec)
    cut = geometry(config, mesh)
    length = config.model.seq_length or 0
    flops = flops_per_token(spec, length)
    left = session.total_steps - session.start.step
    rows = [
        (
            "model",
            f"{count.total:,} parameters ({count.embedding:,} of them the embedding), "
            f"{spec.num_layers} layers, hidden size {spec.hidden_size}, "
            f"vocabulary {spec.vocab_size:,}",
        ),
        (
            "step",
            f"{cut.micro_batch} samples x {cut.accumulation} micro-batches x {mesh.data_size} "
            f"data ranks x {length:,} tokens = {session.tokens_per_step:,} tokens",
        ),
        (
            "steps",
            f"{session.start.step:,} done, {left:,} of {session.total_steps:,} to go: "
            f"{left * session.tokens_per_step:,} tokens, "
            f"{left * session.tokens_per_step * flops.full:.3g} FLOPs",
        ),
        ("engine", f"{session.engine.name}, {precision(config)}, {mesh.device}"),
        ("data", config.data.data_path or ", ".join(config.data.train_data_paths or ())),
        (
            "saves",
            f"{session.checkpoints}, up to {checkpoint_bytes(spec) / 1e9:.3g} GB each",
        ),
        ("begins", str(session.start.source or "with fresh weights")),
    ]
    return [f"{name:7} {text}" for name, text in rows]
