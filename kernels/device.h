// What CUDA and HIP spell differently, numbers narrower than fp32, and sums over a row's threads.
#pragma once
#include "neox.h"

#if defined(__HIP__)
#include <hip/hip_fp16.h>
#include <hip/hip_runtime.h>
#define WARP 64
#define __grid_constant__
#define SHUFFLE_XOR(value, lanes) __shfl_xor(value, lanes)
#define SHUFFLE(value, lane) __shfl(value, lane)
using Stream = hipStream_t;
inline int last_error() { return (int)hipGetLastError(); }
inline int attribute(hipDeviceAttribute_t which) {
  int device = 0, value = 0;
  (void)hipGetDevice(&device);
  (void)hipDeviceGetAttribute(&value, which, device);
  return value > 0 ? value : 1;
}
inline int multiprocessors() { return attribute(hipDeviceAttributeMultiprocessorCount); }
// One instruction each, or a few.
__device__ __forceinline__ float exp2_quick(float x) { return exp2f(x); }
__device__ __forceinline__ float reciprocal_quick(float x) { return __builtin_amdgcn_rcpf(x); }
// What nobody reads again while the cache would still hold it.
__device__ __forceinline__ void store_past_cache(uint4 *to, uint4 value) {
  __builtin_nontemporal_store(value.x, &to->x), __builtin_nontemporal_store(value.y, &to->y);
  __builtin_nontemporal_store(value.z, &to->z), __builtin_nontemporal_store(value.w, &to->w);
}
__device__ __forceinline__ uint4 load_to_stay(const uint4 *from) { return *from; }
__device__ __forceinline__ void *dynamic_shared() { return nullptr; } // no kernel gets any
// There is no such instruction.
__device__ __forceinline__ void prefetch_line(const void *) {}
#else
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#define WARP 32
#define SHUFFLE_XOR(value, lanes) __shfl_xor_sync(0xffffffffu, value, lanes)
#define SHUFFLE(value, lane) __shfl_sync(0xffffffffu, value, lane)
using Stream = cudaStream_t;
inline int last_error() { return (int)cudaGetLastError(); }
inline int attribute(cudaDeviceAttr which) {
  int device = 0, value = 0;
  (void)cudaGetDevice(&device);
  (void)cudaDeviceGetAttribute(&value, which, device);
  return value > 0 ? value : 1;
}
inline int multiprocessors() { return attribute(cudaDevAttrMultiProcessorCount); }
__device__ __forceinline__ float exp2_quick(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
__device__ __forceinline__ float reciprocal_quick(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
__device__ __forceinline__ void store_past_cache(uint4 *to, uint4 value) { __stcs(to, value); }
// What is read leaves the caches after what is written: 2 % less time on an H200 where that is much more
// than the caches hold, and more time where it is not.
__device__ __forceinline__ uint4 load_to_stay(const uint4 *from) {
  uint64_t policy;
  uint4 to;
  asm("createpolicy.fractional.L2::evict_last.b64 %0;" : "=l"(policy));
  asm volatile("ld.global.L1::evict_last.L2::cache_hint.v4.u32 {%0, %1, %2, %3}, [%4], %5;"
               : "=r"(to.x), "=r"(to.y), "=r"(to.z), "=r"(to.w)
               : "l"(from), "l"(policy));
  return to;
}
__device__ __forceinline__ void *dynamic_shared() {
  extern __shared__ uint4 places[];
  return places;
}
// Into the cache that all multiprocessors share.
__device__ __forceinline__ void prefetch_line(const void *line) { asm volatile("prefetch.global.L2 [%0];" ::"l"(line)); }
#endif
constexpr int CACHE_LINE = 128; // bytes

constexpr float LOG2_E = 1.44269504f; // e^x is 2^(x log2(e)), and 2^x is what the hardware computes

// --- numbers: computed in fp32, stored in T ------------------------------------------------------

using f16 = __half;

struct bf16 {
  uint16_t bits;
};

__device__ __forceinline__ float wide(float x) { return x; }
__device__ __forceinline__ float wide(f16 x) { return __half2float(x); }
__device__ __forceinline__ float wide(bf16 x) { return __uint_as_float((uint32_t)x.bits << 16); }

__device__ __forceinline__ uint32_t bf16_bits(float x) {
#if defined(__HIP__)
  uint32_t bits = __float_as_uint(x); // to nearest, ties to even; a NaN stays one
  bits = x == x ? bits + 0x7fffu + ((bits >> 16) & 1u) : bits | 0x400000u;
  return bits >> 16;
#else
  return __bfloat16_as_ushort(__float2bfloat16_rn(x));
#endif
}

__device__ __forceinline__ void narrow(float &to, float x) { to = x; }
__device__ __forceinline__ void narrow(f16 &to, float x) { to = __float2half_rn(x); }
__device__ __forceinline__ void narrow(bf16 &to, float x) { to.bits = (uint16_t)bf16_bits(x); }

#if !defined(__HIP__)
template <typename T> struct Two; // of them in a register, for instructions that take both at once
template <> struct Two<bf16> { using type = __nv_bfloat162; };
template <> struct Two<f16> { using type = __half2; };
#endif

// --- eight neighbours: what one thread handles at a time -----------------------------------------

constexpr int CHUNK = 8;

// Raw elements, kept packed until they are needed. Words and shifts instead of an array of T: an
// array with a variable index would live in local memory, and slow down also those who never need it.
template <typename T> struct Packed {
  static constexpr int WORDS = 2 * sizeof(T);
  uint32_t word[WORDS];
};

__device__ __forceinline__ void widen(float (&to)[CHUNK], const Packed<float> &from) {
#pragma unroll
  for (int i = 0; i < CHUNK; i++) to[i] = __uint_as_float(from.word[i]);
}

__device__ __forceinline__ void widen(float (&to)[CHUNK], const Packed<bf16> &from) {
#pragma unroll
  for (int i = 0; i < CHUNK; i += 2) {
    to[i] = __uint_as_float(from.word[i / 2] << 16);
    to[i + 1] = __uint_as_float(from.word[i / 2] & 0xffff0000u);
  }
}

__device__ __forceinline__ void widen(float (&to)[CHUNK], const Packed<f16> &from) {
#pragma unroll
  for (int i = 0; i < CHUNK; i += 2) {
    to[i] = __half2float(__ushort_as_half((unsigned short)(from.word[i / 2] & 0xffffu)));
    to[i + 1] = __half2float(__ushort_as_half((unsigned short)(from.word[i / 2] >> 16)));
  }
}

__device__ __forceinline__ void pack(Packed<float> &to, const float (&from)[CHUNK]) {
#pragma unroll
  for (int i = 0; i < CHUNK; i++) to.word[i] = __float_as_uint(from[i]);
}

__device__ __forceinline__ void pack(Packed<bf16> &to, const float (&from)[CHUNK]) {
#pragma unroll
  for (int i = 0; i < CHUNK; i += 2) {
#if defined(__HIP__)
    to.word[i / 2] = bf16_bits(from[i]) | bf16_bits(from[i + 1]) << 16;
#else
    const __nv_bfloat162 two = __floats2bfloat162_rn(from[i], from[i + 1]); // one instruction
    to.word[i / 2] = reinterpret_cast<const uint32_t &>(two);
#endif
  }
}

__device__ __forceinline__ void pack(Packed<f16> &to, const float (&from)[CHUNK]) {
#pragma unroll
  for (int i = 0; i < CHUNK; i += 2) {
    const __half2 two = __floats2half2_rn(from[i], from[i + 1]);
    to.word[i / 2] = reinterpret_cast<const uint32_t &>(two);
  }
}

template <typename T> __device__ __forceinline__ void fill(Packed<T> &p, T value) {
#pragma unroll
  for (int w = 0; w < Packed<T>::WORDS; w++) {
    if constexpr (sizeof(T) == 4) p.word[w] = reinterpret_cast<const uint32_t &>(value);
    else p.word[w] = reinterpret_cast<const uint16_t &>(value) * 0x10001u;
  }
}

// Lets one element in at the end, or takes the first one out.
template <typename T> __device__ __forceinline__ void push(Packed<T> &p, T value) {
  constexpr int LAST = Packed<T>::WORDS - 1;
  if constexpr (sizeof(T) == 4) {
#pragma unroll
    for (int w = 0; w < LAST; w++) p.word[w] = p.word[w + 1];
    p.word[LAST] = reinterpret_cast<const uint32_t &>(value);
  } else {
#pragma unroll
    for (int w = 0; w < LAST; w++) p.word[w] = p.word[w] >> 16 | p.word[w + 1] << 16;
    p.word[LAST] = p.word[LAST] >> 16 | (uint32_t) reinterpret_cast<const uint16_t &>(value) << 16;
  }
}

template <typename T> __device__ __forceinline__ void pop(Packed<T> &p, T &value) {
  constexpr int LAST = Packed<T>::WORDS - 1;
  if constexpr (sizeof(T) == 4) {
    reinterpret_cast<uint32_t &>(value) = p.word[0];
#pragma unroll
    for (int w = 0; w < LAST; w++) p.word[w] = p.word[w + 1];
  } else {
    reinterpret_cast<uint16_t &>(value) = (uint16_t)p.word[0];
#pragma unroll
    for (int w = 0; w < LAST; w++) p.word[w] = p.word[w] >> 16 | p.word[w + 1] << 16;
    p.word[LAST] >>= 16;
  }
}

// Elements [at, at + 8) of a row of `size`, `beyond` at and past its end. WHOLE: all eight are there,
// and lie at a multiple of 16 bytes; `vector`: every row begins at one. STAY: in the caches, see
// `load_to_stay`. The loop is for odd shapes, and not unrolled, which would triple the time to compile.
template <bool WHOLE = false, bool STAY = false, typename T>
__device__ __forceinline__ Packed<T> fetch(const T *row, int at, int size, bool vector, T beyond = {}) {
  Packed<T> to;
  if (WHOLE || (vector && at + CHUNK <= size)) {
#pragma unroll
    for (int part = 0; part < Packed<T>::WORDS / 4; part++) {
      const uint4 *const from = reinterpret_cast<const uint4 *>(row + at) + part;
      const uint4 four = STAY ? load_to_stay(from) : *from;
      to.word[4 * part] = four.x, to.word[4 * part + 1] = four.y;
      to.word[4 * part + 2] = four.z, to.word[4 * part + 3] = four.w;
    }
    return to;
  }
  if constexpr (!WHOLE) {
    to = {};
#pragma unroll 1
    for (int i = at; i < at + CHUNK; i++) push(to, i < size ? row[i] : beyond);
  }
  return to;
}

template <bool WHOLE = false, typename T>
__device__ __forceinline__ void load(float (&to)[CHUNK], const T *row, int at, int size,
                                     bool vector) {
  widen(to, fetch<WHOLE>(row, at, size, vector));
}

// PAST: past the cache.
template <bool WHOLE = false, bool PAST = false, typename T>
__device__ __forceinline__ void store(T *row, int at, int size, bool vector,
                                      const float (&from)[CHUNK]) {
  Packed<T> raw;
  pack(raw, from);
  if (WHOLE || (vector && at + CHUNK <= size)) {
#pragma unroll
    for (int part = 0; part < Packed<T>::WORDS / 4; part++) {
      uint4 *const to = reinterpret_cast<uint4 *>(row + at) + part;
      const uint4 four = make_uint4(raw.word[4 * part], raw.word[4 * part + 1], raw.word[4 * part + 2],
                                    raw.word[4 * part + 3]);
      if constexpr (PAST) store_past_cache(to, four);
      else *to = four;
    }
    return;
  }
  if constexpr (!WHOLE) {
#pragma unroll 1
    for (int i = at; i < at + CHUNK && i < size; i++) pop(raw, row[i]);
  }
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

template <typename How, int N> __device__ __forceinline__ void over_warp(float (&value)[N]) {
#pragma unroll
  for (int lanes = WARP / 2; lanes > 0; lanes /= 2)
#pragma unroll
    for (int i = 0; i < N; i++) value[i] = How::of(value[i], SHUFFLE_XOR(value[i], lanes));
}

template <typename How> __device__ __forceinline__ float over_warp(float value) {
  float one[1] = {value};
  over_warp<How>(one);
  return one[0];
}

// The same over the first lanes alone, as many as a row has warps; the others hold them once more.
__device__ __forceinline__ int lanes_of_warps(int warps) { return warps > 1 ? 1 << (32 - __clz(warps - 1)) : 1; }

template <typename How, int N> __device__ __forceinline__ void over_lanes(float (&value)[N], int lanes) {
  for (lanes /= 2; lanes > 0; lanes /= 2)
#pragma unroll
    for (int i = 0; i < N; i++) value[i] = How::of(value[i], SHUFFLE_XOR(value[i], lanes));
}

// All threads of the row get `value` combined over the row. blockDim.x is a multiple of WARP; with
// one warp a row, rows of a block do not wait for each other, with more all threads of the block have to
// come here. Always in the same order. `turn` alternates between a kernel's calls, so that a call need
// not wait for the one before it.
template <typename How, int N>
__device__ __forceinline__ void over_row(float (&value)[N], int turn) {
  over_warp<How>(value);
  if (blockDim.x == WARP) return;
  __shared__ float both[2][N][1024 / WARP];
  float(&kept)[N][1024 / WARP] = both[turn & 1];
  const int warps = blockDim.x / WARP, lanes = lanes_of_warps(warps), first = threadIdx.y * warps;
  if (threadIdx.x % WARP == 0)
#pragma unroll
    for (int i = 0; i < N; i++) kept[i][first + threadIdx.x / WARP] = value[i];
  __syncthreads();
  const int warp = threadIdx.x & (lanes - 1);
#pragma unroll
  for (int i = 0; i < N; i++) value[i] = warp < warps ? kept[i][first + warp] : How::nothing;
  over_lanes<How>(value, lanes);
}

template <typename How> __device__ __forceinline__ float over_row(float value, int turn) {
  float one[1] = {value};
  over_row<How>(one, turn);
  return one[0];
}

// --- softmax: exponents against the largest -------------------------------------------------------

// Of a part of a row: its largest number, and the sum of 2^(unit (x - largest)). Where -inf is all that
// there is, the sum is 0; a NaN stays one.
struct Powers {
  float largest, sum;
};

__device__ __forceinline__ float sum_against(Powers p, float largest, float unit) {
  return p.sum == 0.0f ? 0.0f : p.sum * exp2_quick((p.largest - largest) * unit);
}

__device__ __forceinline__ Powers over_warp(Powers mine, float unit) {
  const float largest = over_warp<Largest>(mine.largest);
  return {largest, over_warp<Sum>(sum_against(mine, largest, unit))};
}

// From those of its warps, by one trip through the block; `turn` as above.
__device__ __forceinline__ Powers over_row(Powers of_warp, float unit, int turn) {
  if (blockDim.x == WARP) return of_warp;
  __shared__ Powers both[2][1024 / WARP];
  Powers *const kept = both[turn & 1];
  const int warps = blockDim.x / WARP, lanes = lanes_of_warps(warps), warp = threadIdx.x & (lanes - 1);
  if (threadIdx.x % WARP == 0) kept[threadIdx.x / WARP] = of_warp;
  __syncthreads();
  const Powers other = warp < warps ? kept[warp] : Powers{-INFINITY, 0.0f};
  float largest[1] = {other.largest};
  over_lanes<Largest>(largest, lanes);
  float sum[1] = {sum_against(other, largest[0], unit)};
  over_lanes<Sum>(sum, lanes);
  return {largest[0], sum[0]};
}
