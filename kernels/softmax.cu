// Scaled softmax over the last axis of attention scores, causal or under a mask. A row stays in
// registers; of a causal row only the part that is seen is read.
#include "arguments.h"

namespace {

constexpr int CHUNKS = 4; // of a thread
constexpr int THREADS_OF_ALL = 512; // of a block of softmax_backward_of_all
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
  const int limit = (int)((unsigned)row % s.queries) + 1 + s.keys - s.queries;
  return limit < 0 ? 0 : limit < s.keys ? limit : s.keys;
}

__device__ __forceinline__ const uint8_t *visible_row(const Shape &s, int64_t row) {
  const unsigned queries = (unsigned)row / s.queries, query = (unsigned)row % s.queries; // 64 bits take thrice the time
  const unsigned batch = queries / s.heads, head = queries % s.heads;
  return s.visible + batch * s.visible_stride[0] + head * s.visible_stride[1] +
         query * s.visible_stride[2];
}

// Of eight keys from `at` on: a byte each, not zero where it is seen.
struct Seen {
  uint32_t word[2];

  __device__ __forceinline__ bool operator[](int i) const { return word[i / 4] & 0xffu << 8 * (i % 4); }
};

template <bool WHOLE> __device__ __forceinline__ Seen seen_chunk(const Shape &s, const uint8_t *row, int at) {
  if (s.visible_vector && (WHOLE || at + CHUNK <= s.keys)) {
    const uint2 two = *reinterpret_cast<const uint2 *>(row + at);
    return {two.x, two.y};
  }
  uint64_t bytes = 0;
#pragma unroll 1
  for (int i = at; i < at + CHUNK; i++)
    bytes = bytes >> 8 | (uint64_t)(i < s.keys ? row[i * s.visible_stride[3]] : 0) << 56;
  return {(uint32_t)bytes, (uint32_t)(bytes >> 32)};
}

// WHOLE: as of `fetch`. That one block need fit a multiprocessor goes without saying, but unless it is
// said nvcc takes 63 registers, not 47, and as many blocks fewer fit.
template <typename T, bool MASKED, bool WHOLE>
__global__ void __launch_bounds__(1024, 1)
    softmax_forward(Shape s, const T *scores, T *out, float scale) {
  const int64_t row = my_row();
  if (row >= s.rows) return;
  const int limit = seen(s, row);
  const float to_powers = scale * LOG2_E; // e^(scale x) is 2^(to_powers x)
  const T *from = scores + row * s.keys;
  T *to = out + row * s.keys;
  const uint8_t *const visible_from = MASKED ? visible_row(s, row) : nullptr; // once: it divides
  Packed<T> raw[CHUNKS];
  Seen visible[CHUNKS];
  const float nothing[CHUNK] = {};
  float x[CHUNKS][CHUNK], largest = -INFINITY;
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) {
    const int at = chunk_at(c);
    if (at < limit) {
      raw[c] = fetch<WHOLE, true>(from, at, s.keys, s.vector);
      if constexpr (MASKED) visible[c] = seen_chunk<WHOLE>(s, visible_from, at);
    } else if (at < s.keys) {
      store<WHOLE>(to, at, s.keys, s.vector, nothing);
    }
  }
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) {
    const int left = limit - chunk_at(c); // of this chunk is seen
    if (left <= 0) continue;
    widen(x[c], raw[c]);
#pragma unroll
    for (int i = 0; i < CHUNK; i++) x[c][i] *= to_powers;
    if (left < CHUNK) {
#pragma unroll
      for (int i = 0; i < CHUNK; i++) x[c][i] = i < left ? x[c][i] : -INFINITY;
    }
    if constexpr (MASKED) {
#pragma unroll
      for (int i = 0; i < CHUNK; i++) x[c][i] = visible[c][i] ? x[c][i] : -INFINITY;
    }
    float here = x[c][0]; // of the chunk first: one after the other, operations would wait
#pragma unroll
    for (int i = 1; i < CHUNK; i++) here = fmaxf(here, x[c][i]);
    largest = fmaxf(largest, here);
  }
  largest = over_warp<Largest>(largest);
  const float least = largest == -INFINITY ? 0.0f : largest; // this warp sees nothing: zeros
  float sum = 0.0f;
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) {
    if (chunk_at(c) >= limit) continue;
    float here = 0.0f;
#pragma unroll
    for (int i = 0; i < CHUNK; i++) here += x[c][i] = exp2_quick(x[c][i] - least);
    sum += here;
  }
  const Powers all = over_row(Powers{largest, over_warp<Sum>(sum)}, 1.0f, 0);
  const float factor = all.sum > 0.0f ? exp2_quick(largest - all.largest) / all.sum : all.sum;
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) {
    if (chunk_at(c) >= limit) continue;
#pragma unroll
    for (int i = 0; i < CHUNK; i++) x[c][i] *= factor;
    store<WHOLE>(to, chunk_at(c), s.keys, s.vector, x[c]);
  }
}

template <typename T>
__device__ __forceinline__ void add_products(float &sum, const Packed<T> &out, const Packed<T> &dout) {
  float y[CHUNK], dy[CHUNK];
  widen(y, out);
  widen(dy, dout);
#pragma unroll
  for (int i = 0; i < CHUNK; i++) sum += y[i] * dy[i];
}

// dx = scale y (dy - sum(y dy)); y is zero wherever nothing was seen.
template <typename T>
__device__ __forceinline__ void gradient(float (&dx)[CHUNK], const Packed<T> &out, const Packed<T> &dout, float sum,
                                         float scale) {
  float y[CHUNK], dy[CHUNK];
  widen(y, out);
  widen(dy, dout);
#pragma unroll
  for (int i = 0; i < CHUNK; i++) dx[i] = scale * y[i] * (dy[i] - sum);
}

template <typename T, bool WHOLE>
__global__ void __launch_bounds__(1024)
    softmax_backward(Shape s, const T *dout, const T *out, T *dscores, float scale) {
  const int64_t row = my_row();
  if (row >= s.rows) return;
  const int limit = seen(s, row);
  T *to = dscores + row * s.keys;
  const float nothing[CHUNK] = {};
  Packed<T> y[CHUNKS], dy[CHUNKS];
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) {
    const int at = chunk_at(c);
    if (at < limit) {
      y[c] = fetch<WHOLE, true>(out + row * s.keys, at, s.keys, s.vector);
      dy[c] = fetch<WHOLE, true>(dout + row * s.keys, at, s.keys, s.vector);
    } else if (at < s.keys) {
      store<WHOLE>(to, at, s.keys, s.vector, nothing);
    }
  }
  float sum = 0.0f;
#pragma unroll
  for (int c = 0; c < CHUNKS; c++)
    if (chunk_at(c) < limit) add_products(sum, y[c], dy[c]); // beyond the limit y is zero
  sum = over_row<Sum>(sum, 0);
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) {
    if (chunk_at(c) >= limit) continue;
    float dx[CHUNK];
    gradient(dx, y[c], dy[c], sum, scale);
    store<WHOLE>(to, chunk_at(c), s.keys, s.vector, dx);
  }
}

// The same of whole rows that are seen to their end, by a chunk a thread. What a row needs is a constant:
// these blocks are short, and each begins with what it has to find out.
template <typename T, int THREADS>
__global__ void __launch_bounds__(THREADS_OF_ALL)
    softmax_backward_of_all(int64_t rows, int keys, const T *dout, const T *out, T *dscores, float scale) {
  __builtin_assume(blockDim.x == THREADS);
  const int64_t row = (int64_t)blockIdx.x * (THREADS_OF_ALL / THREADS) + threadIdx.y;
  const int at = chunk_at(0);
  const bool mine = row < rows && at < keys;
  Packed<T> y, dy;
  float sum = 0.0f, dx[CHUNK];
  if (mine) {
    y = fetch<true, true>(out + row * keys, at, keys, true);
    dy = fetch<true, true>(dout + row * keys, at, keys, true);
    add_products(sum, y, dy);
  }
  sum = over_row<Sum>(sum, 0);
  if (!mine) return;
  gradient(dx, y, dy, sum, scale);
  store<true>(dscores + row * keys, at, keys, true, dx);
}

int shape_of(const neox_tensor &scores, bool causal, Shape &s) {
  NEOX_REQUIRE(scores.ndim == 4, NEOX_WRONG_SHAPE);
  NEOX_REQUIRE(dense(scores), NEOX_WRONG_STRIDE);
  NEOX_REQUIRE(scores.size[3] <= LONGEST, NEOX_TOO_LONG);
  s.rows = scores.size[0] * scores.size[1] * scores.size[2];
  NEOX_REQUIRE(s.rows < INT32_MAX, NEOX_TOO_LONG);
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

bool whole(const Shape &s) { return s.vector && s.keys % CHUNK == 0; }

template <typename T>
void launch_forward(const Shape &s, const T *scores, T *out, float scale, unsigned grid, dim3 block, Stream stream) {
  if (s.visible && whole(s)) softmax_forward<T, true, true><<<grid, block, 0, stream>>>(s, scores, out, scale);
  else if (s.visible) softmax_forward<T, true, false><<<grid, block, 0, stream>>>(s, scores, out, scale);
  else if (whole(s)) softmax_forward<T, false, true><<<grid, block, 0, stream>>>(s, scores, out, scale);
  else softmax_forward<T, false, false><<<grid, block, 0, stream>>>(s, scores, out, scale);
}

template <int THREADS = WARP, typename T>
void launch_backward_of_all(const Shape &s, const T *dout, const T *out, T *dscores, float scale, Stream stream) {
  if constexpr (THREADS < THREADS_OF_ALL)
    if (s.keys > THREADS * CHUNK)
      return launch_backward_of_all<THREADS * 2>(s, dout, out, dscores, scale, stream);
  const dim3 block(THREADS, THREADS_OF_ALL / THREADS);
  const unsigned grid = (unsigned)ceil_div(s.rows, block.y);
  softmax_backward_of_all<T, THREADS><<<grid, block, 0, stream>>>(s.rows, s.keys, dout, out, dscores, scale);
}

template <typename T>
void launch_backward(const Shape &s, const T *dout, const T *out, T *dscores, float scale, Stream stream) {
  if (!s.causal && whole(s) && s.keys <= THREADS_OF_ALL * CHUNK)
    return launch_backward_of_all(s, dout, out, dscores, scale, stream);
  const dim3 block = block_for(s.keys);
  const unsigned grid = (unsigned)ceil_div(s.rows, block.y);
  if (whole(s)) softmax_backward<T, true><<<grid, block, 0, stream>>>(s, dout, out, dscores, scale);
  else softmax_backward<T, false><<<grid, block, 0, stream>>>(s, dout, out, dscores, scale);
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
      launch_forward<T>(s, pointer<T>(t[0]), pointer<T>(t[2]), scale, grid, block, on));
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
  NEOX_BY_TYPE(t[0].dtype, launch_backward(s, pointer<T>(t[0]), pointer<T>(t[1]), pointer<T>(t[2]),
                                           (float)number(t[3]), (Stream)stream));
  return launched();
}
