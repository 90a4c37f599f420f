// What one number goes through: GELU, SiLU, ReLU and their slopes; random numbers by counter.
#pragma once
#include "device.h"

enum Curve { SILU = 0, GELU_EXACT = 1, GELU_TANH = 2, RELU = 3 };

struct Point {
  float value, slope;
};

// tanh from one exponential: exact to a few units in the last place of fp32
__device__ __forceinline__ float tanh_of(float x) {
  const float e = __expf(-2.0f * fabsf(x));
  return copysignf((1.0f - e) / (1.0f + e), x);
}

__device__ __forceinline__ Point on_curve(int curve, float x) {
  if (curve == RELU) return {x > 0.0f ? x : x != x ? x : 0.0f, x > 0.0f ? 1.0f : 0.0f};
  if (curve == SILU) {
    const float s = 1.0f / (1.0f + __expf(-x));
    return {x * s, s * (1.0f + x * (1.0f - s))};
  }
  if (curve == GELU_EXACT) {
    const float phi = 0.5f * (1.0f + erff(x * 0.70710678f));
    return {x * phi, phi + x * 0.39894228f * __expf(-0.5f * x * x)};
  }
  const float c = 0.79788456f, k = 0.044715f; // sqrt(2 / pi)
  const float t = tanh_of(c * (x + k * x * x * x));
  return {0.5f * x * (1.0f + t),
          0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * c * (1.0f + 3.0f * k * x * x)};
}

// Philox4x32-10 (Salmon et al. 2011): 128 random bits for a counter and a seed.
struct Philox {
  uint32_t word[4];

  __device__ Philox(uint64_t seed, uint64_t offset, uint64_t index) {
    uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
    word[0] = (uint32_t)index, word[1] = (uint32_t)(index >> 32);
    word[2] = (uint32_t)offset, word[3] = (uint32_t)(offset >> 32);
#pragma unroll
    for (int round = 0; round < 10; round++) {
      const uint32_t high0 = __umulhi(0xD2511F53u, word[0]), low0 = 0xD2511F53u * word[0];
      const uint32_t high1 = __umulhi(0xCD9E8D57u, word[2]), low1 = 0xCD9E8D57u * word[2];
      word[0] = high1 ^ word[1] ^ key0, word[1] = low1;
      word[2] = high0 ^ word[3] ^ key1, word[3] = low0;
      key0 += 0x9E3779B9u, key1 += 0xBB67AE85u;
    }
  }

  // the i-th of eight 16-bit numbers
  __device__ uint32_t half_word(int i) const { return (word[i / 2] >> (16 * (i % 2))) & 0xffffu; }
};
