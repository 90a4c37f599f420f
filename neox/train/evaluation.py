"""Held-out losses of a run's latest checkpoint."""

from collections.abc import Iterable, Iterator

from neox.checkpoint.reader import open_checkpoint
from neox.checkpoint.weights import load_weights
from neox.data import run_order
from neox.data.batch import Batch
from neox.data.samples import Samples
from neox.models.transformer import Transformer
from neox.objectives.language import CausalLanguageModel
from neox.run.heartbeat import Heartbeat
from neox.train import forward, settings
from neox.train.precision import DTYPES
from neox.train.resume import agree
from neox.train.session import Job, checkpoint_root, evaluate_round, spec_for
from neox.train.step import EvaluationResult


class _Evaluator:
    """The forward half of an engine."""

    def __init__(self, trainee: forward.Trainee, job: Job) -> None:
        self._trainee = trainee
        self._job = job

    def evaluate(self, batches: Iterable[Batch], *, stop: bool = False) -> EvaluationResult:
        return forward.evaluate(self._trainee, batches, self._job.mesh, stop=stop)


def held_out_losses(job: Job) -> Iterator[tuple[str, float]]:
    """Validation loss on the samples of the run's last evaluation, and test loss if there is any.

    Raises CheckpointError when the run has no checkpoint.
    """
    config, mesh = job.config, job.mesh
    root = checkpoint_root(config, job.paths)
    folder = agree(mesh, lambda: open_checkpoint(root, config.checkpoint.iteration).folder)
    spec = spec_for(config)
    model = Transformer(spec)
    load_weights(model, open_checkpoint(folder))
    model.to(mesh.device, DTYPES[settings.precision(config)])
    evaluator = _Evaluator(forward.Trainee(model, CausalLanguageModel()), job)
    cut = settings.geometry(config, mesh)
    heart = Heartbeat(job.paths.heartbeat, first=mesh.is_first)
    for part, samples, round_number in _parts(job):
        loss = evaluate_round(
            evaluator,
            samples,
            cut,
            job=job,
            round_number=round_number,
            vocab_size=spec.vocab_size,
            stop=lambda: False,
            alive=lambda: heart.beat("evaluate", 0),
        )
        assert loss is not None
        yield part, loss


def _parts(job: Job) -> Iterator[tuple[str, Samples, int]]:
    config = job.config
    training = config.training
    assert training.train_iters is not None
    if training.eval_iters:
        last = (training.train_iters - 1) // training.eval_interval
        yield "validation", run_order.validation_order(config), last
        test = run_order.test_order(config)
        if test is not None:
            yield "test", test, 0
