// Cross entropy of logits [rows, words], of a whole vocabulary or of one rank's part of it. The
// gradient takes the place of the logits, so that they exist once. One block a row at a time, as many
// rows at once as the cache holds: a row is read from memory once, and again from the cache.
#include "arguments.h"

namespace {

// Threads of a block and blocks of a multiprocessor where rows are turned into gradients: one block
// computes while the other's row is on its way; where there is room for one row alone, it gets more.
constexpr int THREADS = 512, RESIDENT = 2, THREADS_ALONE = 1024;
constexpr int THREADS_READING = 256; // where rows are only read

struct Best { // of a part of a row: the largest logit, and the sum of exp(x - largest)
  float largest, sum;
};

constexpr int FLYING = 4; // chunks that a thread has on their way

// -inf counts nothing, also where it is all that there is.
template <int N> __device__ __forceinline__ void count_in(Best &best, const float (&x)[N][CHUNK]) {
  float each[N]; // one after the other, operations would wait for each other
#pragma unroll
  for (int n = 0; n < N; n++) {
    each[n] = x[n][0];
#pragma unroll
    for (int i = 1; i < CHUNK; i++) each[n] = fmaxf(each[n], x[n][i]);
  }
  float here = each[0];
#pragma unroll
  for (int n = 1; n < N; n++) here = fmaxf(here, each[n]);
  if (here > best.largest) {
    best.sum *= exp2_quick((best.largest - here) * LOG2_E);
    best.largest = here;
  }
  const float shift = best.largest == -INFINITY ? 0.0f : best.largest * LOG2_E;
#pragma unroll
  for (int n = 0; n < N; n++) {
    each[n] = 0.0f;
#pragma unroll
    for (int i = 0; i < CHUNK; i++) each[n] += exp2_quick(x[n][i] * LOG2_E - shift);
  }
#pragma unroll
  for (int n = 0; n < N; n++) best.sum += each[n];
}

// N chunks of a row from `base` on, -inf beyond its end. WHOLE: as of `fetch`.
template <bool WHOLE, int N, typename T>
__device__ __forceinline__ void count_chunks(Best &best, const T *row, int base, int words, bool vector) {
  const int stride = blockDim.x * CHUNK;
  Packed<T> raw[N];
#pragma unroll
  for (int n = 0; n < N; n++) raw[n] = fetch<WHOLE>(row, base + n * stride, words, vector);
  float x[N][CHUNK];
#pragma unroll
  for (int n = 0; n < N; n++) {
    widen(x[n], raw[n]);
    const int left = WHOLE ? CHUNK : words - (base + n * stride);
    if (left < CHUNK)
#pragma unroll
      for (int i = 0; i < CHUNK; i++) x[n][i] = i < left ? x[n][i] : -INFINITY;
  }
  count_in(best, x);
}

template <bool WHOLE, typename T>
__device__ __forceinline__ Best statistics(const T *row, int words, bool vector) {
  Best best = {-INFINITY, 0.0f};
  const int stride = blockDim.x * CHUNK;
  int base = threadIdx.x * CHUNK;
  for (; base + (FLYING - 1) * stride < words; base += FLYING * stride)
    count_chunks<WHOLE, FLYING>(best, row, base, words, vector);
  for (; base < words; base += stride) count_chunks<WHOLE, 1>(best, row, base, words, vector);
  const float all = over_row<Largest>(best.largest, 0);
  const float mine = best.sum == 0.0f ? 0.0f : best.sum * exp2_quick((best.largest - all) * LOG2_E);
  return {all, over_row<Sum>(mine, 1)};
}

// What turns logits into their gradient, weight (exp(x - lse) slope - [word is the target]).
struct Slope {
  int target; // of these words; below 0: another rank's
  float factor, shift, weight;

  __device__ Slope(int64_t target, int words, float lse, float weight, float slope)
      : target(target >= 0 && target < words ? (int)target : -1), factor(weight * slope),
        shift(lse * LOG2_E), weight(weight) {}

  // `found(logit)` is called by the one thread that meets the target.
  template <bool WHOLE, int N, typename T, typename Found>
  __device__ __forceinline__ void apply(T *row, int base, int words, bool vector, Found found) const {
    const int stride = blockDim.x * CHUNK;
    Packed<T> raw[N];
#pragma unroll
    for (int n = 0; n < N; n++) raw[n] = fetch<WHOLE>(row, base + n * stride, words, vector);
#pragma unroll
    for (int n = 0; n < N; n++) {
      const int at = base + n * stride;
      float x[CHUNK], p[CHUNK];
      widen(x, raw[n]);
#pragma unroll
      for (int i = 0; i < CHUNK; i++) p[i] = factor * exp2_quick(x[i] * LOG2_E - shift);
      if ((unsigned)(target - at) < CHUNK)
#pragma unroll
        for (int i = 0; i < CHUNK; i++)
          if (at + i == target) found(x[i]), p[i] -= weight;
      store<WHOLE, true>(row, at, words, vector, p); // the cache is for rows that are read again
    }
  }
};

template <bool WHOLE, typename T, typename Found>
__device__ __forceinline__ void gradient(T *row, int words, const Slope &slope, bool vector, Found found) {
  const int stride = blockDim.x * CHUNK;
  int base = threadIdx.x * CHUNK;
  for (; base + (FLYING - 1) * stride < words; base += FLYING * stride)
    slope.apply<WHOLE, FLYING>(row, base, words, vector, found);
  for (; base < words; base += stride) slope.apply<WHOLE, 1>(row, base, words, vector, found);
}

template <typename T, int THREADS_OF_BLOCK, bool WHOLE>
__global__ void __launch_bounds__(THREADS_OF_BLOCK, THREADS_ALONE / THREADS_OF_BLOCK)
    whole(T *logits, int64_t rows, int64_t stride, int words, const int64_t *targets,
          const float *weights, float *losses, float *lses, float z, bool vector) {
  for (int64_t at = blockIdx.x; at < rows; at += gridDim.x) {
    T *row = logits + at * stride;
    // One lane asks: a number that all lanes load alike would be waited for here, before the row.
    int64_t target = 0;
    float weight = 0.0f;
    if (threadIdx.x % WARP == 0) target = targets[at], weight = weights[at];
    const Best best = statistics<WHOLE>(row, words, vector);
    const float lse = best.largest + logf(best.sum);
    const Slope slope(SHUFFLE(target, 0), words, lse, SHUFFLE(weight, 0), 1.0f + 2.0f * z * lse);
    const float loss = lse + z * lse * lse; // less the target's logit
    gradient<WHOLE>(row, words, slope, vector, [&](float logit) { losses[at] = loss - logit; });
    if (threadIdx.x) continue;
    if (slope.target < 0) losses[at] = loss;
    lses[at] = lse;
  }
}

template <typename T>
__global__ void __launch_bounds__(THREADS_READING)
    shard_statistics(const T *logits, int64_t stride, int words, const int64_t *targets,
                     int64_t first, float *largest, float *sum, float *picked, bool vector) {
  const T *row = logits + blockIdx.x * stride;
  const Best best = statistics<false>(row, words, vector);
  if (threadIdx.x) return;
  const int64_t target = targets[blockIdx.x] - first;
  largest[blockIdx.x] = best.largest;
  sum[blockIdx.x] = best.sum;
  picked[blockIdx.x] = target >= 0 && target < words ? wide(row[target]) : 0.0f;
}

template <typename T>
__global__ void __launch_bounds__(THREADS_READING)
    shard_gradient(T *logits, int64_t stride, int words, const int64_t *targets, int64_t first,
                   const float *lses, const float *weights, float z, bool vector) {
  const float lse = lses[blockIdx.x];
  const Slope slope(targets[blockIdx.x] - first, words, lse, weights[blockIdx.x], 1.0f + 2.0f * z * lse);
  gradient<false>(logits + blockIdx.x * stride, words, slope, vector, [](float) {});
}

template <typename T, int THREADS_OF_BLOCK, bool WHOLE>
void launch_with(const neox_tensor *t, const Rows &rows, Stream stream) {
  const int64_t most = (int64_t)multiprocessors() * (THREADS_ALONE / THREADS_OF_BLOCK);
  const unsigned grid = (unsigned)(rows.count < most ? rows.count : most);
  whole<T, THREADS_OF_BLOCK, WHOLE><<<grid, THREADS_OF_BLOCK, 0, stream>>>(
      pointer<T>(t[0]), rows.count, rows.stride, (int)rows.size, pointer<int64_t>(t[1]), pointer<float>(t[2]),
      pointer<float>(t[3]), pointer<float>(t[4]), (float)number(t[5]), vectors(t[0], rows.stride));
}

template <typename T>
void launch_whole(const neox_tensor *t, const Rows &rows, Stream stream) {
  const int64_t together = (int64_t)RESIDENT * multiprocessors() * rows.size * (int64_t)sizeof(T);
  const bool both = together < cache_bytes() / 5 * 3, full = vectors(t[0], rows.stride) && rows.size % CHUNK == 0;
  if (both && full) launch_with<T, THREADS, true>(t, rows, stream);
  else if (both) launch_with<T, THREADS, false>(t, rows, stream);
  else if (full) launch_with<T, THREADS_ALONE, true>(t, rows, stream);
  else launch_with<T, THREADS_ALONE, false>(t, rows, stream);
}

int check(const neox_tensor &logits, Rows &rows) {
  NEOX_REQUIRE(logits.ndim == 2, NEOX_WRONG_SHAPE);
  NEOX_REQUIRE(as_rows(logits, rows), NEOX_WRONG_STRIDE);
  NEOX_REQUIRE(rows.size < INT32_MAX - FLYING * THREADS_ALONE * CHUNK, NEOX_TOO_LONG);
  return NEOX_OK;
}

int check_vector(const neox_tensor &t, int32_t dtype, int64_t rows) {
  NEOX_REQUIRE(t.dtype == dtype, NEOX_WRONG_DTYPE);
  NEOX_REQUIRE(elements(t) == rows, NEOX_WRONG_SHAPE);
  NEOX_REQUIRE(dense(t), NEOX_WRONG_STRIDE);
  return NEOX_OK;
}

} // namespace

// logits [n, v] (becomes the gradient), targets [n], weights [n] -> loss [n], lse [n]; z.
// loss = lse - logit of the target + z lse^2; the gradient is that of sum(weight x loss).
NEOX_API int neox_cross_entropy(const neox_tensor *t, int n, void *, size_t, void *stream) {
  NEOX_REQUIRE(n == 6, NEOX_WRONG_COUNT);
  Rows rows;
  if (int status = check(t[0], rows)) return status;
  if (int status = check_vector(t[1], NEOX_I64, rows.count)) return status;
  for (int i = 2; i < 5; i++)
    if (int status = check_vector(t[i], NEOX_F32, rows.count)) return status;
  if (!rows.count) return NEOX_OK;
  NEOX_BY_TYPE(t[0].dtype, launch_whole<T>(t, rows, (Stream)stream));
  return launched();
}

// logits [n, v] of words [first, first + v), targets -> largest [n], sum of exp(x - largest) [n],
// the target's logit [n] (0 where it is another rank's); first.
NEOX_API int neox_cross_entropy_statistics(const neox_tensor *t, int n, void *, size_t,
                                           void *stream) {
  NEOX_REQUIRE(n == 6, NEOX_WRONG_COUNT);
  Rows rows;
  if (int status = check(t[0], rows)) return status;
  if (int status = check_vector(t[1], NEOX_I64, rows.count)) return status;
  for (int i = 2; i < 5; i++)
    if (int status = check_vector(t[i], NEOX_F32, rows.count)) return status;
  if (!rows.count) return NEOX_OK;
  NEOX_BY_TYPE(t[0].dtype,
               shard_statistics<T><<<(unsigned)rows.count, THREADS_READING, 0, (Stream)stream>>>(
                   pointer<T>(t[0]), rows.stride, (int)rows.size, pointer<int64_t>(t[1]),
                   (int64_t)number(t[5]), pointer<float>(t[2]), pointer<float>(t[3]),
                   pointer<float>(t[4]), vectors(t[0], rows.stride)));
  return launched();
}

// logits (becomes the gradient), targets, lse [n] of the whole vocabulary, weights [n]; first, z.
NEOX_API int neox_cross_entropy_gradient(const neox_tensor *t, int n, void *, size_t,
                                         void *stream) {
  NEOX_REQUIRE(n == 6, NEOX_WRONG_COUNT);
  Rows rows;
  if (int status = check(t[0], rows)) return status;
  if (int status = check_vector(t[1], NEOX_I64, rows.count)) return status;
  for (int i = 2; i < 4; i++)
    if (int status = check_vector(t[i], NEOX_F32, rows.count)) return status;
  if (!rows.count) return NEOX_OK;
  NEOX_BY_TYPE(t[0].dtype,
               shard_gradient<T><<<(unsigned)rows.count, THREADS_READING, 0, (Stream)stream>>>(
                   pointer<T>(t[0]), rows.stride, (int)rows.size, pointer<int64_t>(t[1]),
                   (int64_t)number(t[4]), pointer<float>(t[2]), pointer<float>(t[3]),
                   (float)number(t[5]), vectors(t[0], rows.stride)));
  return launched();
}
