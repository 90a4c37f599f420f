"""The kernels' own source, run on a CPU: see hip/hip_runtime.h."""
