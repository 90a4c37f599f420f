// Sums over the rows of a matrix, in two steps and always in the same order.
#pragma once
#include "arguments.h"

// partial [parts, size] -> out [size]; a block sums 32 columns.
template <typename T>
__global__ void __launch_bounds__(1024)
    sum_parts(const float *partial, int64_t parts, int64_t size, T *out) {
  __shared__ float kept[32][33];
  const int64_t column = (int64_t)blockIdx.x * 32 + threadIdx.x;
  float sum = 0.0f;
  if (column < size)
    for (int64_t part = threadIdx.y; part < parts; part += 32) sum += partial[part * size + column];
  kept[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y || column >= size) return;
  sum = 0.0f;
  for (int y = 0; y < 32; y++) sum += kept[y][threadIdx.x];
  narrow(out[column], sum);
}

template <typename T>
void launch_sum_parts(const float *partial, int64_t parts, int64_t size, T *out, Stream stream) {
  if (!out || !size) return;
  sum_parts<T><<<(unsigned)ceil_div(size, 32), dim3(32, 32), 0, stream>>>(partial, parts, size, out);
}
