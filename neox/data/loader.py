"""Batches for one data rank, step by step, read ahead by a thread.

Position is a number of samples, independent of geometry. Micro-batch m of a step takes
`data_size x micro_batch` consecutive samples, of which data rank r takes the r-th part (the rule
of GPT-NeoX's DistributedBatchSampler). A step takes consecutive samples whole, so 1 rank x 4
accumulations, 2 x 2 and 4 x 1 see the same micro-batches, and any of them may go on after any.
"""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from neox.data.batch import Batch
from neox.data.batching import Masking, batch_of, mask_of, pairs_of
from neox.data.errors import DataError
from neox.data.rows import Rows
from neox.data.samples import Samples

STEPS_AHEAD = 2
LOOK_AGAIN = 0.2  # seconds between a blocked thread's looks at whether it should end


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """How a step is cut; `data_rank` of `data_size` is the data-parallel coordinate."""

    micro_batch: int  # samples per rank and micro-batch
    accumulation: int  # micro-batches per rank and step
    data_rank: int = 0
    data_size: int = 1

    def __post_init__(self) -> None:
        assert self.micro_batch > 0 and self.accumulation > 0
        assert 0 <= self.data_rank < self.data_size

    @property
    def step_samples(self) -> int:
        """Samples of a step over all ranks: the train batch size."""
        return self.micro_batch * self.accumulation * self.data_size

    def step_numbers(self, start: int) -> NDArray[np.int64]:
        """This rank's samples [accumulation, micro_batch] of the step that begins at `start`."""
        whole = np.arange(start, start + self.step_samples, dtype=np.int64)
        cut = whole.reshape(self.accumulation, self.data_size, self.micro_batch)
        return cut[:, self.data_rank]


class Loader:
    """An iterator over steps, each a list of `accumulation` batches; `close` ends its thread.

    Ends with StopIteration at sample `stop` (default: never) and raises DataError where a step
    would run past the samples of the order.

    `sum_over_ranks` adds a number over all data ranks. Only labels and eod_mask_loss need a weight
    that is not constant; without the function each rank then reads the whole step's samples.
    """

    def __init__(
        self,
        samples: Samples,
        geometry: Geometry,
        *,
        start: int = 0,
        stop: int | None = None,
        masking: Masking | None = None,
        sum_over_ranks: Callable[[float], float | torch.Tensor] | None = None,
    ) -> None:
        self.position = start  # samples handed out so far, over all ranks; what a checkpoint saves
        self._samples = samples
        self._geometry = geometry
        self._stop = stop
        self._masking = masking or Masking()
        self._all_count = self._masking.eod is None and not samples.labelled
        self._ones: NDArray[np.float32] | None = None
        self._sum_over_ranks = sum_over_ranks
        self._ready: queue.Queue[list[Batch] | Exception | None] = queue.Queue(STEPS_AHEAD)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._read_ahead, name="neox-loader", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[list[Batch]]:
        return self

    def __next__(self) -> list[Batch]:
        if self._ending.is_set():
            raise StopIteration
        step = self._ready.get()
        if not isinstance(step, list):
            self._ending.set()
            if step is None:
                raise StopIteration
            raise step
        self.position += self._geometry.step_samples
        return self._with_summed_weight(step)

    def close(self) -> None:
        """End the thread; what it read ahead is dropped and `position` stays true."""
        self._ending.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _read_ahead(self) -> None:
        position = self.position
        try:
            while not self._ending.is_set():
                end = position + self._geometry.step_samples
                if self._stop is not None and end > self._stop:
                    self._offer(None)
                    return
                self._offer(self._step(position))
                position = end
        except Exception as error:  # handed to whoever waits for the step
            self._offer(error)

    def _offer(self, step: list[Batch] | Exception | None) -> None:
        while not self._ending.is_set():
            with contextlib.suppress(queue.Full):
                self._ready.put(step, timeout=LOOK_AGAIN)
                return

    def _step(self, start: int) -> list[Batch]:
        geometry = self._geometry
        self._require(start)
        numbers = geometry.step_numbers(start)
        rows = self._samples.rows(numbers.reshape(-1), documents=self._masking.by_document)
        self._check_vocabulary(rows, numbers)
        mask = self._mask(rows)
        weight = self._weight(start, mask)
        size = geometry.micro_batch
        cuts = [slice(m * size, (m + 1) * size) for m in range(geometry.accumulation)]
        batches = [batch_of(rows, mask, self._masking, cut, weight) for cut in cuts]
        if rows.rejected is None:
            return batches
        mask = self._mask(rows.rejected)
        others = [batch_of(rows.rejected, mask, self._masking, cut, weight) for cut in cuts]
        return [pairs_of(*both) for both in zip(batches, others, strict=True)]

    def _mask(self, rows: Rows) -> NDArray[np.float32]:
        """Where all positions count, one mask for all steps: to fill it takes half the time."""
        if not self._all_count:
            return mask_of(rows, self._masking)
        if self._ones is None:
            self._ones = mask_of(rows, self._masking)
        return self._ones

    def _require(self, start: int) -> None:
        end, there = start + self._geometry.step_samples, len(self._samples)
        if end > there:
            raise DataError(
                f"the next step needs samples {start:,} to {end:,}, but the order of this run "
                f"holds {there:,}, made for the train_iters (or eval_iters) and train_batch_size "
                "it began with. A longer order would be another order, so a run cannot be "
                "lengthened past them: lower train_iters, or begin a new run from its weights "
                "(with order: per-epoch it may be lengthened)"
            )

    def _check_vocabulary(self, rows: Rows, numbers: NDArray[np.int64]) -> None:
        if rows.rejected is not None:
            self._check_vocabulary(rows.rejected, numbers)
        limit, tokens = self._masking.vocab_size, rows.tokens
        if limit is None or (int(tokens.max()) < limit and int(tokens.min()) >= 0):
            return
        wrong = np.flatnonzero((tokens >= limit).any(axis=1) | (tokens < 0).any(axis=1))[0]
        files = ", ".join(one.path for one in self._samples.inputs.sets)
        raise DataError(
            f"{files}: sample {numbers.reshape(-1)[wrong]:,} holds token ids from "
            f"{tokens[wrong].min()} to {tokens[wrong].max()}, but the vocabulary ends at "
            f"{limit - 1}; the data was prepared with another tokenizer than vocab_file"
        )

    def _weight(self, start: int, mask: NDArray[np.float32]) -> float:
        geometry = self._geometry
        if self._samples.paired:
            return float(geometry.step_samples)
        if self._all_count:
            return float(geometry.step_samples * mask.shape[1])
        if geometry.data_size == 1 or self._sum_over_ranks is not None:
            return float(mask.sum(dtype=np.float64))
        whole = np.arange(start, start + geometry.step_samples, dtype=np.int64)
        return float(mask_of(self._samples.rows(whole), self._masking).sum(dtype=np.float64))

    def _with_summed_weight(self, step: list[Batch]) -> list[Batch]:
        """Communicate where the step is used: a collective in the thread could meet another."""
        if self._sum_over_ranks is None or self._all_count or step[0].pairs:
            return step
        own = step[0].weight
        assert isinstance(own, float)
        weight = self._sum_over_ranks(own)
        return [replace(one, weight=weight) for one in step]
