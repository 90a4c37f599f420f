"""What a run tells, and to whom."""

from collections.abc import Mapping

from neox.config.arguments.argument import Switched, argument
from neox.frozen import Frozen, frozen

_WANDB = "Weights & Biases is not connected yet"
_COMET = "Comet is not connected yet"
_NORMS = "norms per parameter are not logged yet"
_NOISE = "the gradient noise scale is not built"
_MONITOR = "DeepSpeed's monitors are not connected; use tensorboard_dir"
_OWN = "the engine times its own phases in every log line"


@frozen
class FileMonitor(Switched):
    """DeepSpeed's TensorBoard or CSV monitor."""

    output_path: str = argument("", "Directory.")
    job_name: str = argument("DeepSpeedJobName", "Name of the series.")


@frozen
class WandbMonitor(Switched):
    """DeepSpeed's Weights & Biases monitor."""

    group: str | None = argument(None, "Group.")
    team: str | None = argument(None, "Team.")
    project: str = argument("deepspeed", "Project.")


@frozen
class FlopsProfiler(Switched):
    """DeepSpeed's FLOP profiler."""

    enabled: bool = argument(False, "Count FLOPs.")
    profile_step: int = argument(1, "At which step.", unit="steps")
    module_depth: int = argument(-1, "How deep to print; -1 is to the bottom.")
    top_modules: int = argument(1, "How many modules to print at each depth.")
    detailed: bool = argument(True, "Print the whole table.")
    output_file: str | None = argument(None, "File to print to.")
    recompute_fwd_factor: float = argument(0.0, "Extra forward passes of recomputation.")


@frozen
class CommsLogger(Switched):
    """DeepSpeed's log of collectives."""

    verbose: bool = argument(False, "Print each one.")
    prof_all: bool = argument(True, "All collectives.")
    prof_ops: tuple[str, ...] = argument((), "Or only these.")
    debug: bool = argument(False, "Name the caller, too.")


@frozen
class Logging(Frozen):
    """Log lines, monitors and profilers."""

    log_interval: int = argument(100, "Steps between log lines.", unit="steps")
    tensorboard_dir: str | None = argument(
        None, "Directory for TensorBoard. Default: the run's own."
    )
    log_dir: str | None = argument(
        None,
        "Directory for the ranks' output.",
        status="chosen",
        note="each rank's output goes to logs/ in the run directory",
    )
    peak_theoretical_tflops: float | None = argument(
        None,
        "Peak speed of one GPU. Default: the site's figure.",
        unit="TFLOP/s",
        not_yet="utilisation is not logged; the log has TFLOP/s",
    )
    log_grad_norm: bool = argument(
        False,
        "Log gradient norms.",
        status="chosen",
        note="the gradient's norm stands in every log line",
    )
    log_grad_pct_zeros: bool = argument(False, "Log shares of zero gradients.", not_yet=_NORMS)
    log_param_norm: bool = argument(False, "Log weights' norms.", not_yet=_NORMS)
    log_optimizer_states: bool = argument(False, "Log norms of optimizer state.", not_yet=_NORMS)
    log_gradient_noise_scale: bool = argument(False, "Log the noise scale.", not_yet=_NOISE)
    gradient_noise_scale_n_batches: int = argument(
        5, "Batches that it is averaged over.", unit="batches", not_yet=_NOISE
    )
    gradient_noise_scale_cpu_offload: bool = argument(
        False, "Keep its buffers in host memory.", not_yet=_NOISE
    )
    use_wandb: bool | None = argument(
        None, "Log to Weights & Biases.", not_yet=_WANDB, built=(None, False)
    )
    wandb_group: str | None = argument(None, "Group of the run.", not_yet=_WANDB)
    wandb_run_name: str | None = argument(None, "Name of the run.", not_yet=_WANDB)
    wandb_team: str | None = argument(None, "Team that owns it.", not_yet=_WANDB)
    wandb_project: str = argument("neox", "Project.", not_yet=_WANDB)
    wandb_host: str = argument("https://api.wandb.ai", "Server.", not_yet=_WANDB)
    wandb_init_all_ranks: bool = argument(False, "One run per rank.", not_yet=_WANDB)
    use_comet: bool | None = argument(None, "Log to Comet.", not_yet=_COMET, built=(None, False))
    comet_workspace: str | None = argument(None, "Workspace.", not_yet=_COMET)
    comet_project: str | None = argument(None, "Project.", not_yet=_COMET)
    comet_experiment_name: str | None = argument(None, "Name of the experiment.", not_yet=_COMET)
    comet_tags: tuple[str, ...] | None = argument(None, "Its tags.", not_yet=_COMET)
    comet_others: Mapping[str, object] | None = argument(
        None, "Further keys and values.", not_yet=_COMET
    )
    comet_experiment: str | None = argument(
        None, "The experiment itself.", status="runtime", note="made when a run starts"
    )
    tensorboard_writer: str | None = argument(
        None, "TensorBoard's writer.", status="runtime", note="made when a run starts"
    )
    git_hash: str | None = argument(
        None, "Version of the code.", status="runtime", note="each link records it"
    )
    profile: bool = argument(False, "Profile some steps of rank 0 with torch's profiler.")
    profile_step_start: int = argument(10, "First of them.", unit="steps")
    profile_step_stop: int = argument(12, "Last of them, itself included.", unit="steps")
    memory_profiling: bool = argument(
        False, "Record the GPU's allocations in these steps of rank 0."
    )
    memory_profiling_path: str | None = argument(
        None, "File of the record.", status="chosen", note="it lies in profiles/ of the run"
    )
    steps_per_print: int = argument(
        10,
        "Steps between DeepSpeed's own lines.",
        unit="steps",
        status="chosen",
        note="log_interval alone decides when a line is printed",
    )
    wall_clock_breakdown: bool = argument(False, "DeepSpeed's timers.", status="chosen", note=_OWN)
    dump_state: bool = argument(
        False, "Print DeepSpeed's state at start.", not_yet="DeepSpeed's state is not printed"
    )
    flops_profiler: FlopsProfiler | None = argument(
        None, "DeepSpeed's FLOP profiler.", not_yet="DeepSpeed's profiler is not connected"
    )
    comms_logger: CommsLogger | None = argument(
        None, "DeepSpeed's log of collectives.", not_yet="collectives are not logged"
    )
    tensorboard: FileMonitor | None = argument(
        None, "DeepSpeed's TensorBoard monitor.", not_yet=_MONITOR
    )
    wandb: WandbMonitor | None = argument(
        None, "DeepSpeed's Weights & Biases monitor.", not_yet=_MONITOR
    )
    csv_monitor: FileMonitor | None = argument(None, "DeepSpeed's CSV files.", not_yet=_MONITOR)
