// What CUDA and HIP spell differently, numbers narrower than fp32, and sums over a row's threads.
#pragma once
#include "neox.h"

#if defined(__HIP__)
#include <hip/hip_fp16.h>
#include <hip/hip_runtime.h>
#define WARP 64
#define __grid_constant__
#define SHUFFLE_XOR(value, lanes) __shfl_xor(value, lanes)
using Stream = hipStream_t;
inline int last_error() { return (int)hipGetLastError(); }
inline int multiprocessors() {
  int device = 0, count = 0;
  (void)hipGetDevice(&device);
  (void)hipDeviceGetAttribute(&count, hipDeviceAttributeMultiprocessorCount, device);
  return count > 0 ? count : 1;
}
#else
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#define WARP 32
#define SHUFFLE_XOR(value, lanes) __shfl_xor_sync(0xffffffffu, value, lanes)
using Stream = cudaStream_t;
inline int last_error() { return (int)cudaGetLastError(); }
inline int multiprocessors() {
  int device = 0, count = 0;
  (void)cudaGetDevice(&device);
  (void)cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
  return count > 0 ? count : 1;
}
#endif

// --- numbers: computed in fp32, stored in T ------------------------------------------------------

using f16 = __half;

struct bf16 {
  uint16_t bits;
};

__device__ __forceinline__ float wide(float x) { return x; }
__device__ __forceinline__ float wide(f16 x) { return __half2float(x); }
__device__ __forceinline__ float wide(bf16 x) { return __uint_as_float((uint32_t)x.bits << 16); }

__device__ __forceinline__ void narrow(float &to, float x) { to = x; }
__device__ __forceinline__ void narrow(f16 &to, float x) { to = __float2half_rn(x); }
__device__ __forceinline__ void narrow(bf16 &to, float x) {
#if defined(__HIP__)
  uint32_t bits = __float_as_uint(x); // to nearest, ties to even; a NaN stays one
  bits = x == x ? bits + 0x7fffu + ((bits >> 16) & 1u) : bits | 0x400000u;
  to.bits = (uint16_t)(bits >> 16);
#else
  to.bits = __bfloat16_as_ushort(__float2bfloat16_rn(x));
#endif
}

// --- eight neighbours: what one thread handles at a time -----------------------------------------

constexpr int CHUNK = 8;

// Raw elements, kept packed until they are needed.
template <typename T> struct alignas(16) Packed {
  T of[CHUNK];
};

template <typename T> __device__ __forceinline__ Packed<T> packed_load(const T *from) {
  Packed<T> to;
#pragma unroll
  for (int part = 0; part < (int)(sizeof(T) * CHUNK / 16); part++)
    reinterpret_cast<uint4 *>(&to)[part] = reinterpret_cast<const uint4 *>(from)[part];
  return to;
}

// Elements [at, at + 8) of a row of `size`, zero beyond its end. `vector`: 16-byte accesses are
// allowed, because every row begins at a multiple of 16 bytes. The other way is for odd shapes: a
// loop through local memory, which compiles in a tenth of the time of eight branches.
template <typename T>
__device__ __forceinline__ Packed<T> fetch(const T *row, int at, int size, bool vector) {
  if (vector && at + CHUNK <= size) return packed_load(row + at);
  Packed<T> one_by_one;
#pragma unroll 1
  for (int i = 0; i < CHUNK; i++)
    if (at + i < size)
      one_by_one.of[i] = row[at + i];
    else
      narrow(one_by_one.of[i], 0.0f);
  return one_by_one;
}

template <typename T>
__device__ __forceinline__ void widen(float (&to)[CHUNK], const Packed<T> &from) {
#pragma unroll
  for (int i = 0; i < CHUNK; i++) to[i] = wide(from.of[i]);
}

template <typename T>
__device__ __forceinline__ void load(float (&to)[CHUNK], const T *row, int at, int size,
                                     bool vector) {
  widen(to, fetch(row, at, size, vector));
}

template <typename T>
__device__ __forceinline__ void store(T *row, int at, int size, bool vector,
                                      const float (&from)[CHUNK]) {
  Packed<T> raw;
#pragma unroll
  for (int i = 0; i < CHUNK; i++) narrow(raw.of[i], from[i]);
  if (vector && at + CHUNK <= size) {
#pragma unroll
    for (int part = 0; part < (int)(sizeof(T) * CHUNK / 16); part++)
      reinterpret_cast<uint4 *>(row + at)[part] = reinterpret_cast<const uint4 *>(&raw)[part];
    return;
  }
  Packed<T> one_by_one = raw;
#pragma unroll 1
  for (int i = 0; i < CHUNK; i++)
    if (at + i < size) row[at + i] = one_by_one.of[i];
}

// --- sums over the blockDim.x threads of a row ----------------------------------------------------

struct Sum {
  __device__ static float of(float a, float b) { return a + b; }
  static constexpr float nothing = 0.0f;
};

struct Largest {
  __device__ static float of(float a, float b) { return fmaxf(a, b); }
  static constexpr float nothing = -INFINITY;
};

// All threads of the row get `value` combined over the row. blockDim.x is a multiple of WARP; with
// one warp a row, rows of a block do not wait for each other. Always in the same order.
template <typename How, int N>
__device__ __forceinline__ void over_row(float (&value)[N]) {
#pragma unroll
  for (int lanes = WARP / 2; lanes > 0; lanes /= 2)
#pragma unroll
    for (int i = 0; i < N; i++) value[i] = How::of(value[i], SHUFFLE_XOR(value[i], lanes));
  if (blockDim.x == WARP) return;
  __shared__ float kept[N][1024 / WARP];
  const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, warps = blockDim.x / WARP;
  __syncthreads(); // the last use of `kept` is over
#pragma unroll
  for (int i = 0; i < N; i++)
    if (lane == 0) kept[i][warp] = value[i];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < N; i++) value[i] = lane < warps ? kept[i][lane] : How::nothing;
#pragma unroll
  for (int lanes = WARP / 2; lanes > 0; lanes /= 2)
#pragma unroll
    for (int i = 0; i < N; i++) value[i] = How::of(value[i], SHUFFLE_XOR(value[i], lanes));
}

template <typename How> __device__ __forceinline__ float over_row(float value) {
  float one[1] = {value};
  over_row<How>(one);
  return one[0];
}
