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
inline int attribute(hipDeviceAttribute_t which) {
  int device = 0, value = 0;
  (void)hipGetDevice(&device);
  (void)hipDeviceGetAttribute(&value, which, device);
  return value > 0 ? value : 1;
}
inline int multiprocessors() { return attribute(hipDeviceAttributeMultiprocessorCount); }
inline int cache_bytes() { return attribute(hipDeviceAttributeL2CacheSize); }
#else
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#define WARP 32
#define SHUFFLE_XOR(value, lanes) __shfl_xor_sync(0xffffffffu, value, lanes)
using Stream = cudaStream_t;
inline int last_error() { return (int)cudaGetLastError(); }
inline int attribute(cudaDeviceAttr which) {
  int device = 0, value = 0;
  (void)cudaGetDevice(&device);
  (void)cudaDeviceGetAttribute(&value, which, device);
  return value > 0 ? value : 1;
}
inline int multiprocessors() { return attribute(cudaDevAttrMultiProcessorCount); }
inline int cache_bytes() { return attribute(cudaDevAttrL2CacheSize); }
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

__device__ __forceinline__ uint32_t bits_of(float x) { return __float_as_uint(x); }
__device__ __forceinline__ uint32_t bits_of(f16 x) { return __half_as_ushort(x); }
__device__ __forceinline__ uint32_t bits_of(bf16 x) { return x.bits; }
__device__ __forceinline__ void from_bits(float &to, uint32_t bits) { to = __uint_as_float(bits); }
__device__ __forceinline__ void from_bits(f16 &to, uint32_t bits) {
  to = __ushort_as_half((unsigned short)bits);
}
__device__ __forceinline__ void from_bits(bf16 &to, uint32_t bits) { to.bits = (uint16_t)bits; }

// --- eight neighbours: what one thread handles at a time -----------------------------------------

constexpr int CHUNK = 8;

// Raw elements, kept packed until they are needed. Words and shifts instead of an array of T: an
// array with a variable index would live in local memory, and slow down also those who never need it.
template <typename T> struct Packed {
  static constexpr int WORDS = sizeof(T), BITS = 8 * sizeof(T), IN_WORD = 8 / sizeof(T);
  uint64_t word[WORDS];

  __device__ __forceinline__ float get(int i) const {
    T value;
    from_bits(value, (uint32_t)(word[i / IN_WORD] >> (i % IN_WORD * BITS)));
    return wide(value);
  }

  __device__ __forceinline__ void set(int i, float x) { // into a zero
    T value;
    narrow(value, x);
    word[i / IN_WORD] |= (uint64_t)bits_of(value) << (i % IN_WORD * BITS);
  }

  // The last element goes out of the way of a new first one, or the other way round.
  __device__ __forceinline__ void push(T value) {
#pragma unroll
    for (int w = 0; w < WORDS - 1; w++) word[w] = word[w] >> BITS | word[w + 1] << (64 - BITS);
    word[WORDS - 1] = word[WORDS - 1] >> BITS | (uint64_t)bits_of(value) << (64 - BITS);
  }

  __device__ __forceinline__ T pop() {
    T value;
    from_bits(value, (uint32_t)word[0]);
#pragma unroll
    for (int w = 0; w < WORDS - 1; w++) word[w] = word[w] >> BITS | word[w + 1] << (64 - BITS);
    word[WORDS - 1] >>= BITS;
    return value;
  }
};

// Elements [at, at + 8) of a row of `size`, zero beyond its end. `vector`: 16-byte accesses are
// allowed, because every row begins at a multiple of 16 bytes. The loop is for odd shapes, and not
// unrolled, which would triple the time to compile.
template <typename T>
__device__ __forceinline__ Packed<T> fetch(const T *row, int at, int size, bool vector) {
  Packed<T> to = {};
  if (vector && at + CHUNK <= size) {
#pragma unroll
    for (int pair = 0; pair < Packed<T>::WORDS / 2; pair++) {
      const ulonglong2 two = reinterpret_cast<const ulonglong2 *>(row + at)[pair];
      to.word[2 * pair] = two.x;
      to.word[2 * pair + 1] = two.y;
    }
    return to;
  }
  T zero;
  from_bits(zero, 0);
#pragma unroll 1
  for (int i = at; i < at + CHUNK; i++) to.push(i < size ? row[i] : zero);
  return to;
}

template <typename T>
__device__ __forceinline__ void widen(float (&to)[CHUNK], const Packed<T> &from) {
#pragma unroll
  for (int i = 0; i < CHUNK; i++) to[i] = from.get(i);
}

template <typename T>
__device__ __forceinline__ void load(float (&to)[CHUNK], const T *row, int at, int size,
                                     bool vector) {
  widen(to, fetch(row, at, size, vector));
}

template <typename T>
__device__ __forceinline__ void store(T *row, int at, int size, bool vector,
                                      const float (&from)[CHUNK]) {
  Packed<T> raw = {};
#pragma unroll
  for (int i = 0; i < CHUNK; i++) raw.set(i, from[i]);
  if (vector && at + CHUNK <= size) {
#pragma unroll
    for (int pair = 0; pair < Packed<T>::WORDS / 2; pair++)
      reinterpret_cast<ulonglong2 *>(row + at)[pair] =
          make_ulonglong2(raw.word[2 * pair], raw.word[2 * pair + 1]);
    return;
  }
#pragma unroll 1
  for (int i = at; i < at + CHUNK && i < size; i++) row[i] = raw.pop();
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
