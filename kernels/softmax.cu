// Scaled softmax over the last axis of attention scores, causal or under a mask. A row stays in
// registers; of a causal row only the part that is seen is read.
#include "arguments.h"

namespace {

constexpr int CHUNKS = 4;
constexpr int64_t LONGEST = 1024 * CHUNK * CHUNKS; // 32,768 keys

// Scores are [batch, heads, queries, keys], dense.
struct Shape {
  int64_t rows;
  int heads, queries, keys;
  bool causal, vector;
  const uint8_t *visible; // true where seen
  int64_t visible_stride[4];
  bool visible_vector; // eight at a time
};

__device__ __forceinline__ int chunk_at(int c) { return (c * blockDim.x + threadIdx.x) * CHUNK; }

__device__ __forceinline__ int64_t my_row() {
  return (int64_t)blockIdx.x * blockDim.y + threadIdx.y;
}

// How many keys the row's query sees: the last query sees them all.
__device__ __forceinline__ int seen(const Shape &s, int64_t row) {
  if (!s.causal) return s.keys;
  const int limit = (int)(row % s.queries) + 1 + s.keys - s.queries;
  return limit < 0 ? 0 : limit < s.keys ? limit : s.keys;
}

__device__ __forceinline__ const uint8_t *visible_row(const Shape &s, int64_t row) {
  const int64_t query = row % s.queries, head = row / s.queries % s.heads;
  const int64_t batch = row / s.queries / s.heads;
  return s.visible + batch * s.visible_stride[0] + head * s.visible_stride[1] +
         query * s.visible_stride[2];
}

// One byte a key, not zero where it is seen: of eight keys from `at` on.
__device__ __forceinline__ uint64_t visible_chunk(const Shape &s, const uint8_t *row, int at) {
  if (s.visible_vector && at + CHUNK <= s.keys) return *reinterpret_cast<const uint64_t *>(row + at);
  uint64_t bytes = 0;
#pragma unroll 1
  for (int i = at; i < at + CHUNK; i++)
    bytes = bytes >> 8 | (uint64_t)(i < s.keys ? row[i * s.visible_stride[3]] : 0) << 56;
  return bytes;
}

template <typename T, bool MASKED>
__global__ void __launch_bounds__(1024)
    softmax_forward(Shape s, const T *scores, T *out, float scale) {
  const int64_t row = my_row();
  if (row >= s.rows) return;
  const int limit = seen(s, row);
  const T *from = scores + row * s.keys;
  Packed<T> raw[CHUNKS];
  uint64_t visible[CHUNKS];
  float x[CHUNKS][CHUNK], largest = -INFINITY;
#pragma unroll
  for (int c = 0; c < CHUNKS; c++)
    if (chunk_at(c) < limit) {
      raw[c] = fetch(from, chunk_at(c), s.keys, s.vector);
      if constexpr (MASKED) visible[c] = visible_chunk(s, visible_row(s, row), chunk_at(c));
    }
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) {
    const int left = limit - chunk_at(c); // of this chunk is seen
    if (left <= 0) continue;
    widen(x[c], raw[c]);
#pragma unroll
    for (int i = 0; i < CHUNK; i++) x[c][i] *= scale;
    if (left < CHUNK) {
#pragma unroll
      for (int i = 0; i < CHUNK; i++) x[c][i] = i < left ? x[c][i] : -INFINITY;
    }
    if constexpr (MASKED) {
#pragma unroll
      for (int i = 0; i < CHUNK; i++) x[c][i] = visible[c] >> (8 * i) & 0xff ? x[c][i] : -INFINITY;
    }
#pragma unroll
    for (int i = 0; i < CHUNK; i++) largest = fmaxf(largest, x[c][i]);
  }
  largest = over_row<Largest>(largest, 0);
  if (largest == -INFINITY) largest = 0.0f; // nothing is seen: zeros
  float sum = 0.0f;
#pragma unroll
  for (int c = 0; c < CHUNKS; c++)
    if (chunk_at(c) < limit)
#pragma unroll
      for (int i = 0; i < CHUNK; i++) sum += x[c][i] = __expf(x[c][i] - largest);
    else
#pragma unroll
      for (int i = 0; i < CHUNK; i++) x[c][i] = 0.0f;
  sum = over_row<Sum>(sum, 1);
  const float factor = sum > 0.0f ? 1.0f / sum : sum; // a NaN stays one
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) {
    if (chunk_at(c) >= s.keys) continue;
#pragma unroll
    for (int i = 0; i < CHUNK; i++) x[c][i] *= factor;
    store(out + row * s.keys, chunk_at(c), s.keys, s.vector, x[c]);
  }
}

// dx = scale y (dy - sum(y dy)); y is zero wherever nothing was seen.
template <typename T>
__global__ void __launch_bounds__(1024)
    softmax_backward(Shape s, const T *dout, const T *out, T *dscores, float scale) {
  const int64_t row = my_row();
  if (row >= s.rows) return;
  const int limit = seen(s, row);
  Packed<T> y[CHUNKS], dy[CHUNKS];
#pragma unroll
  for (int c = 0; c < CHUNKS; c++)
    if (chunk_at(c) < limit) {
      y[c] = fetch(out + row * s.keys, chunk_at(c), s.keys, s.vector);
      dy[c] = fetch(dout + row * s.keys, chunk_at(c), s.keys, s.vector);
    }
  float sum = 0.0f, v[CHUNK], d[CHUNK];
#pragma unroll
  for (int c = 0; c < CHUNKS; c++)
    if (chunk_at(c) < limit) { // beyond the limit v is zero
      widen(v, y[c]);
      widen(d, dy[c]);
#pragma unroll
      for (int i = 0; i < CHUNK; i++) sum += v[i] * d[i];
    }
  sum = over_row<Sum>(sum, 0);
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) {
    if (chunk_at(c) >= s.keys) continue;
    float dx[CHUNK] = {};
    if (chunk_at(c) < limit) {
      widen(v, y[c]);
      widen(d, dy[c]);
#pragma unroll
      for (int i = 0; i < CHUNK; i++) dx[i] = scale * v[i] * (d[i] - sum);
    }
    store(dscores + row * s.keys, chunk_at(c), s.keys, s.vector, dx);
  }
}

int shape_of(const neox_tensor &scores, bool causal, Shape &s) {
  NEOX_REQUIRE(scores.ndim == 4, NEOX_WRONG_SHAPE);
  NEOX_REQUIRE(dense(scores), NEOX_WRONG_STRIDE);
  NEOX_REQUIRE(scores.size[3] <= LONGEST, NEOX_TOO_LONG);
  s.rows = scores.size[0] * scores.size[1] * scores.size[2];
  s.heads = (int)scores.size[1];
  s.queries = (int)scores.size[2];
  s.keys = (int)scores.size[3];
  s.causal = causal;
  s.vector = vectors(scores, s.keys);
  return NEOX_OK;
}

int visible_of(const neox_tensor &scores, const neox_tensor &visible, Shape &s) {
  s.visible = pointer<uint8_t>(visible);
  if (!s.visible) return NEOX_OK;
  NEOX_REQUIRE(visible.dtype == NEOX_BOOL, NEOX_WRONG_DTYPE);
  NEOX_REQUIRE(visible.ndim == 4, NEOX_WRONG_SHAPE);
  for (int i = 0; i < 4; i++) {
    NEOX_REQUIRE(visible.size[i] == 1 || visible.size[i] == scores.size[i], NEOX_WRONG_SHAPE);
    s.visible_stride[i] = visible.size[i] == 1 ? 0 : visible.stride[i];
  }
  s.visible_vector = s.visible_stride[3] == 1 && (uintptr_t)s.visible % CHUNK == 0;
  for (int i = 0; i < 3; i++) s.visible_vector = s.visible_vector && s.visible_stride[i] % CHUNK == 0;
  return NEOX_OK;
}

dim3 block_for(int keys) {
  const int threads = (int)(ceil_div(ceil_div(keys, CHUNK * CHUNKS), WARP) * WARP);
  return dim3(threads, threads == WARP ? 4 : 1);
}

} // namespace

// scores [b, h, q, k], visible (any axis may be 1) -> out; scale, causal.
NEOX_API int neox_softmax(const neox_tensor *t, int n, void *, size_t, void *stream) {
  NEOX_REQUIRE(n == 5, NEOX_WRONG_COUNT);
  NEOX_REQUIRE(t[0].dtype == t[2].dtype, NEOX_WRONG_DTYPE);
  NEOX_REQUIRE(same_shape(t[0], t[2]), NEOX_WRONG_SHAPE);
  NEOX_REQUIRE(dense(t[2]), NEOX_WRONG_STRIDE);
  Shape s = {};
  if (int status = shape_of(t[0], number(t[4]) != 0.0, s)) return status;
  if (int status = visible_of(t[0], t[1], s)) return status;
  s.vector = s.vector && vectors(t[2], s.keys);
  if (!s.rows || !s.keys) return NEOX_OK;
  const dim3 block = block_for(s.keys);
  const unsigned grid = (unsigned)ceil_div(s.rows, block.y);
  const float scale = (float)number(t[3]);
  const Stream on = (Stream)stream;
  NEOX_BY_TYPE(
      t[0].dtype,
      if (s.visible) softmax_forward<T, true><<<grid, block, 0, on>>>(s, pointer<T>(t[0]), pointer<T>(t[2]), scale);
      else softmax_forward<T, false><<<grid, block, 0, on>>>(s, pointer<T>(t[0]), pointer<T>(t[2]), scale));
  return launched();
}

// dout, out -> dscores; scale, causal.
NEOX_API int neox_softmax_backward(const neox_tensor *t, int n, void *, size_t, void *stream) {
  NEOX_REQUIRE(n == 5, NEOX_WRONG_COUNT);
  for (int i = 1; i < 3; i++) {
    NEOX_REQUIRE(t[i].dtype == t[0].dtype, NEOX_WRONG_DTYPE);
    NEOX_REQUIRE(same_shape(t[i], t[0]), NEOX_WRONG_SHAPE);
    NEOX_REQUIRE(dense(t[i]), NEOX_WRONG_STRIDE);
  }
  Shape s = {};
  if (int status = shape_of(t[0], number(t[4]) != 0.0, s)) return status;
  s.vector = s.vector && vectors(t[1], s.keys) && vectors(t[2], s.keys);
  if (!s.rows || !s.keys) return NEOX_OK;
  const dim3 block = block_for(s.keys);
  const unsigned grid = (unsigned)ceil_div(s.rows, block.y);
  const float scale = (float)number(t[3]);
  NEOX_BY_TYPE(t[0].dtype, softmax_backward<T><<<grid, block, 0, (Stream)stream>>>(
                               s, pointer<T>(t[0]), pointer<T>(t[1]), pointer<T>(t[2]), scale));
  return launched();
}
