// Sums over the rows of a matrix, in two steps and always in the same order.
#pragma once
#include "arguments.h"

constexpr int SUMS_AT_ONCE = 5; // matrices at most that are summed at once

template <typename T> struct Sums {
  T *out[SUMS_AT_ONCE]; // [size] each; none: nobody asks for it
};

// partial [matrix, parts, size] -> out[matrix] [size]; a block sums 32 columns of one.
template <typename T>
__global__ void __launch_bounds__(1024)
    sum_parts(const float *partial, int64_t parts, int64_t size, const __grid_constant__ Sums<T> sums) {
  T *out = sums.out[blockIdx.y];
  if (!out) return;
  partial += blockIdx.y * parts * size;
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
void launch_sum_parts(const float *partial, int64_t parts, int64_t size, const Sums<T> &sums, int count, Stream stream) {
  if (!size) return;
  const dim3 grid((unsigned)ceil_div(size, 32), count);
  sum_parts<T><<<grid, dim3(32, 32), 0, stream>>>(partial, parts, size, sums);
}

template <typename T>
void launch_sum_parts(const float *partial, int64_t parts, int64_t size, T *out, Stream stream) {
  if (out) launch_sum_parts(partial, parts, size, Sums<T>{{out}}, 1, stream);
}
