// What one number goes through: GELU, SiLU, ReLU and their slopes; random numbers by counter.
#pragma once
#include "device.h"

enum Curve { SILU = 0, GELU_EXACT = 1, GELU_TANH = 2, RELU = 3 };

// 1 / (1 + e^-x), by the fast reciprocal: a few units in the last place of fp32
__device__ __forceinline__ float sigmoid(float x) { return __fdividef(1.0f, 1.0f + __expf(-x)); }

struct Silu {
  __device__ static float value(float x) { return x * sigmoid(x); }
  __device__ static float slope(float x) {
    const float s = sigmoid(x);
    return s * (1.0f + x * (1.0f - s));
  }
};

// The normal distribution by Abramowitz and Stegun 7.1.26, off by at most 1e-7: erff takes thrice the
// time. Its exponential is that of the density.
struct GeluExact {
  struct Normal {
    float below, density; // the latter without 1 / sqrt(2 pi)
  };
  __device__ static Normal normal(float x) {
    const float z = fabsf(x) * 0.70710678f, e = __expf(-0.5f * x * x);
    const float t = __fdividef(1.0f, 1.0f + 0.3275911f * z);
    const float p = t * (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
    const float tail = 0.5f * p * e;
    return {x < 0.0f ? tail : 1.0f - tail, e};
  }
  __device__ static float value(float x) { return x * normal(x).below; }
  __device__ static float slope(float x) {
    const Normal n = normal(x);
    return n.below + x * 0.39894228f * n.density;
  }
};

// 0.5 (1 + tanh(u)) is the sigmoid of 2 u, with u = sqrt(2 / pi) (x + 0.044715 x^3)
struct GeluTanh {
  static constexpr float C = 1.59576912f, K = 0.044715f; // C: 2 sqrt(2 / pi)
  __device__ static float value(float x) { return x * sigmoid(C * x * (1.0f + K * x * x)); }
  __device__ static float slope(float x) {
    const float s = sigmoid(C * x * (1.0f + K * x * x));
    return s + x * s * (1.0f - s) * C * (1.0f + 3.0f * K * x * x);
  }
};

struct Relu {
  __device__ static float value(float x) { return x > 0.0f ? x : x != x ? x : 0.0f; }
  __device__ static float slope(float x) { return x > 0.0f ? 1.0f : 0.0f; }
};

// Calls `run` with the curve, once for a chunk and not once for an element.
template <typename Run> __device__ __forceinline__ void by_curve(int curve, Run run) {
  switch (curve) {
  case SILU: run(Silu()); break;
  case GELU_EXACT: run(GeluExact()); break;
  case GELU_TANH: run(GeluTanh()); break;
  default: run(Relu());
  }
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
