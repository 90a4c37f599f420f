// factor x (a + b + ...), added up in fp32 and rounded once: a gradient that was made in parts, before
// the loss told what to multiply it by.
#include "arguments.h"

namespace {

constexpr int MOST = 4; // parts
constexpr int THREADS = 256;

template <typename T> struct Parts {
  const T *part[MOST];
};

template <typename T, int N, bool WHOLE> // as of `fetch`
__global__ void __launch_bounds__(THREADS)
    scaled_sum(const __grid_constant__ Parts<T> parts, const float *factor, T *out, int64_t size, bool vector) {
  const int64_t at = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * CHUNK;
  if (at >= size) return;
  const int left = (int)(size - at < CHUNK ? size - at : CHUNK);
  Packed<T> raw[N];
#pragma unroll
  for (int i = 0; i < N; i++) raw[i] = fetch<WHOLE>(parts.part[i] + at, 0, left, vector);
  const float by = *factor;
  float sum[CHUNK] = {};
#pragma unroll
  for (int i = 0; i < N; i++) {
    float wide[CHUNK];
    widen(wide, raw[i]);
#pragma unroll
    for (int j = 0; j < CHUNK; j++) sum[j] += wide[j];
  }
#pragma unroll
  for (int j = 0; j < CHUNK; j++) sum[j] *= by;
  store<WHOLE>(out + at, 0, left, vector, sum);
}

template <typename T, int N>
void launch(const Parts<T> &parts, const float *factor, T *out, int64_t size, bool vector, Stream stream) {
  const unsigned grid = (unsigned)ceil_div(size, THREADS * CHUNK);
  if (vector && size % CHUNK == 0) scaled_sum<T, N, true><<<grid, THREADS, 0, stream>>>(parts, factor, out, size, vector);
  else scaled_sum<T, N, false><<<grid, THREADS, 0, stream>>>(parts, factor, out, size, vector);
}

} // namespace

// factor (on the device), out, one to four parts, all of the same elements; out may be one of the parts.
NEOX_API int neox_scaled_sum(const neox_tensor *t, int n, void *, size_t, void *stream) {
  NEOX_REQUIRE(n > 2 && n <= 2 + MOST, NEOX_WRONG_COUNT);
  NEOX_REQUIRE(t[0].dtype == NEOX_F32, NEOX_WRONG_DTYPE);
  NEOX_REQUIRE(elements(t[0]) == 1, NEOX_WRONG_SHAPE);
  const int64_t size = elements(t[1]);
  bool vector = true;
  for (int i = 1; i < n; i++) {
    NEOX_REQUIRE(t[i].dtype == t[1].dtype, NEOX_WRONG_DTYPE);
    NEOX_REQUIRE(same_shape(t[i], t[1]), NEOX_WRONG_SHAPE);
    NEOX_REQUIRE(dense(t[i]), NEOX_WRONG_STRIDE);
    vector = vector && vectors(t[i], CHUNK);
  }
  if (!size) return NEOX_OK;
  const auto run = [&](auto type) {
    using T = decltype(type);
    Parts<T> parts = {};
    for (int i = 2; i < n; i++) parts.part[i - 2] = pointer<T>(t[i]);
    const auto with = n == 3 ? launch<T, 1> : n == 4 ? launch<T, 2> : n == 5 ? launch<T, 3> : launch<T, 4>;
    with(parts, pointer<float>(t[0]), pointer<T>(t[1]), size, vector, (Stream)stream);
  };
  NEOX_BY_TYPE(t[1].dtype, run(T()));
  return launched();
}
