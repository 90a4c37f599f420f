// What one number goes through: GELU, SiLU, ReLU and their slopes; random numbers by counter.
#pragma once
#include "device.h"

enum Curve { SILU = 0, GELU_EXACT = 1, GELU_TANH = 2, RELU = 3 };

// 1 / (1 + 2^x), a few units in the last place of fp32
__device__ __forceinline__ float falling(float x) { return reciprocal_quick(1.0f + exp2_quick(x)); }

__device__ __forceinline__ float sigmoid(float x) { return falling(-LOG2_E * x); }

struct Silu {
  __device__ static float value(float x) { return x * sigmoid(x); }
  __device__ static float slope(float x) {
    const float s = sigmoid(x);
    return s * (1.0f + x * (1.0f - s));
  }
};

// The normal distribution by Abramowitz and Stegun 26.2.17, off by at most 1e-7: erff takes thrice the
// time.
struct GeluExact {
  struct Begun {
    float t, density;
  };
  __device__ static Begun begin(float x) {
    constexpr float LOG2_OF_DENSITY_AT_0 = -1.3257480647f;
    return {reciprocal_quick(1.0f + 0.2316419f * fabsf(x)),
            exp2_quick(-0.5f * LOG2_E * x * x + LOG2_OF_DENSITY_AT_0)};
  }
  // Beyond |x|.
  __device__ static float tail(Begun b) {
    const float t = b.t;
    return t * (0.319381530f + t * (-0.356563782f + t * (1.781477937f + t * (-1.821255978f + t * 1.330274429f)))) * b.density;
  }
  __device__ static float value(float x) { // |x| no larger than where the tail is nothing: inf x 0
    return fmaxf(x, 0.0f) - fminf(fabsf(x), 100.0f) * tail(begin(x));
  }
  __device__ static void both(float x, Begun b, float &value, float &slope) {
    const float beyond = tail(b), below = x < 0.0f ? beyond : 1.0f - beyond;
    value = x * below;
    slope = below + x * b.density;
  }
  __device__ static float slope(float x) {
    float value, slope;
    both(x, begin(x), value, slope);
    return slope;
  }
};

// 0.5 (1 + tanh(u)) is the sigmoid of 2 u, with u = sqrt(2 / pi) (x + 0.044715 x^3)
struct GeluTanh {
  static constexpr float C = 1.59576912f, K = 0.044715f; // C: 2 sqrt(2 / pi)
  struct Begun {
    float below, square;
  };
  __device__ static Begun begin(float x) {
    const float square = x * x;
    return {falling(x * (-LOG2_E * C - LOG2_E * C * K * square)), square};
  }
  __device__ static float value(float x) { return x * begin(x).below; }
  __device__ static void both(float x, Begun b, float &value, float &slope) {
    value = x * b.below;
    slope = b.below + (value - value * b.below) * (C + 3.0f * K * C * b.square);
  }
  __device__ static float slope(float x) {
    float value, slope;
    both(x, begin(x), value, slope);
    return slope;
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
