// What both passes of the norms know of a row. FULL: it is all chunks of all its threads and lies at a
// multiple of 16 bytes, so that nothing is asked per chunk: these kernels are as much limited by
// instructions as by memory.
#pragma once
#include "arguments.h"

constexpr int THREADS = 512;
constexpr int64_t LONGEST = THREADS * CHUNK * 4; // elements of a row: 16,384
constexpr int64_t LONGEST_OF_TWO = THREADS * CHUNK * 2; // with two outputs, backward: 8,192

// Where this thread's c-th chunk of a row begins.
__device__ __forceinline__ int chunk_at(int c) { return (c * blockDim.x + threadIdx.x) * CHUNK; }

inline int threads_for(int64_t size, int chunks) {
  return (int)(ceil_div(ceil_div(size, (int64_t)CHUNK * chunks), WARP) * WARP);
}
