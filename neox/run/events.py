"""`state/events.jsonl`: what happened in a run, one JSON object a line, appended by rank 0.

    start       step, job, world_size, engine, precision, parameters
    step        step, loss, loss_hex, grad_norm, grad_norm_hex, lr, bad, tokens_per_second
    evaluation  step, part, loss, loss_hex
    save        step, path
    stop        step, reason
    end         step, done

Every object has `event` and `time` (seconds since 1970). Floats in hex are exact.
"""

import json
import time
from pathlib import Path
from typing import TextIO


class EventLog:
    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: TextIO = path.open("a", encoding="utf-8")

    def write(self, event: str, **fields: object) -> None:
        line = json.dumps({"event": event, "time": round(time.time(), 3), **fields})
        self._file.write(line + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()
