// Cross entropy of logits [rows, words], of a whole vocabulary or of one rank's part of it. The
// gradient takes the place of the logits, so that they exist once. One block a row at a time, as many
// rows at once as the cache holds: a row is read from memory once, and again from the cache.
#include "arguments.h"

namespace {

constexpr int THREADS = 512;
constexpr int RESIDENT = 2; // blocks of a multiprocessor: one computes while the other's row is on its way

struct Best { // of a part of a row: the largest logit, and the sum of exp(x - largest)
  float largest, sum;
};

constexpr int FLYING = 4; // chunks that a thread has on their way
constexpr int STRIDE = THREADS * CHUNK;

__device__ __forceinline__ void count_in(Best &best, const float (&x)[CHUNK]) {
  float here = x[0];
#pragma unroll
  for (int i = 1; i < CHUNK; i++) here = fmaxf(here, x[i]);
  if (here == -INFINITY) return; // nothing to add, and no difference of infinities
  if (here > best.largest) {
    best.sum *= __expf(best.largest - here);
    best.largest = here;
  }
#pragma unroll
  for (int i = 0; i < CHUNK; i++) best.sum += __expf(x[i] - best.largest);
}

template <typename T> __device__ Best statistics(const T *row, int words, bool vector) {
  Best best = {-INFINITY, 0.0f};
  for (int base = threadIdx.x * CHUNK; base < words; base += FLYING * STRIDE) {
    Packed<T> raw[FLYING];
#pragma unroll
    for (int f = 0; f < FLYING; f++)
      if (base + f * STRIDE < words) raw[f] = fetch(row, base + f * STRIDE, words, vector);
#pragma unroll
    for (int f = 0; f < FLYING; f++) {
      const int left = words - (base + f * STRIDE);
      if (left <= 0) continue;
      float x[CHUNK];
      widen(x, raw[f]);
      if (left < CHUNK)
#pragma unroll
        for (int i = 0; i < CHUNK; i++) x[i] = i < left ? x[i] : -INFINITY;
      count_in(best, x);
    }
  }
  const float all = over_row<Largest>(best.largest, 0);
  const float mine = best.sum == 0.0f ? 0.0f : best.sum * __expf(best.largest - all);
  return {all, over_row<Sum>(mine, 1)};
}

// x <- weight (exp(x - lse) slope - [word is the target])
template <typename T>
__device__ void gradient(T *row, int words, int64_t target, float lse, float weight, float slope,
                         bool vector) {
  const float factor = weight * slope;
  for (int base = threadIdx.x * CHUNK; base < words; base += FLYING * STRIDE) {
    Packed<T> raw[FLYING];
#pragma unroll
    for (int f = 0; f < FLYING; f++)
      if (base + f * STRIDE < words) raw[f] = fetch(row, base + f * STRIDE, words, vector);
#pragma unroll
    for (int f = 0; f < FLYING; f++) {
      const int at = base + f * STRIDE;
      if (at >= words) continue;
      float x[CHUNK];
      widen(x, raw[f]);
#pragma unroll
      for (int i = 0; i < CHUNK; i++) x[i] = factor * __expf(x[i] - lse);
      if (target >= at && target < at + CHUNK)
#pragma unroll
        for (int i = 0; i < CHUNK; i++) x[i] -= at + i == target ? weight : 0.0f;
      store(row, at, words, vector, x);
    }
  }
}

template <typename T>
__global__ void __launch_bounds__(THREADS, RESIDENT)
    whole(T *logits, int64_t rows, int64_t stride, int words, const int64_t *targets,
          const float *weights, float *losses, float *lses, float z, bool vector) {
  for (int64_t at = blockIdx.x; at < rows; at += gridDim.x) {
    T *row = logits + at * stride;
    const int64_t target = targets[at];
    const Best best = statistics(row, words, vector);
    const float lse = best.largest + logf(best.sum);
    const float picked = target >= 0 && target < words ? wide(row[target]) : 0.0f;
    __syncthreads(); // the target's logit has been read by all
    gradient(row, words, target, lse, weights[at], 1.0f + 2.0f * z * lse, vector);
    if (threadIdx.x) continue;
    losses[at] = lse - picked + z * lse * lse;
    lses[at] = lse;
  }
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    shard_statistics(const T *logits, int64_t stride, int words, const int64_t *targets,
                     int64_t first, float *largest, float *sum, float *picked, bool vector) {
  const T *row = logits + blockIdx.x * stride;
  const Best best = statistics(row, words, vector);
  if (threadIdx.x) return;
  const int64_t target = targets[blockIdx.x] - first;
  largest[blockIdx.x] = best.largest;
  sum[blockIdx.x] = best.sum;
  picked[blockIdx.x] = target >= 0 && target < words ? wide(row[target]) : 0.0f;
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    shard_gradient(T *logits, int64_t stride, int words, const int64_t *targets, int64_t first,
                   const float *lses, const float *weights, float z, bool vector) {
  const float lse = lses[blockIdx.x];
  gradient(logits + blockIdx.x * stride, words, targets[blockIdx.x] - first, lse,
           weights[blockIdx.x], 1.0f + 2.0f * z * lse, vector);
}

unsigned blocks_for(const Rows &rows, int bytes) {
  const int64_t each = multiprocessors(), all = RESIDENT * each;
  const int64_t blocks = all * rows.size * bytes < cache_bytes() / 5 * 3 ? all : each;
  return (unsigned)(rows.count < blocks ? rows.count : blocks);
}

int check(const neox_tensor &logits, Rows &rows) {
  NEOX_REQUIRE(logits.ndim == 2, NEOX_WRONG_SHAPE);
  NEOX_REQUIRE(as_rows(logits, rows), NEOX_WRONG_STRIDE);
  NEOX_REQUIRE(rows.size < INT32_MAX - THREADS * CHUNK, NEOX_TOO_LONG);
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
  NEOX_BY_TYPE(t[0].dtype,
               whole<T><<<blocks_for(rows, width(t[0])), THREADS, 0, (Stream)stream>>>(
                   pointer<T>(t[0]), rows.count, rows.stride, (int)rows.size, pointer<int64_t>(t[1]),
                   pointer<float>(t[2]), pointer<float>(t[3]), pointer<float>(t[4]),
                   (float)number(t[5]), vectors(t[0], rows.stride)));
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
               shard_statistics<T><<<(unsigned)rows.count, THREADS, 0, (Stream)stream>>>(
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
               shard_gradient<T><<<(unsigned)rows.count, THREADS, 0, (Stream)stream>>>(
                   pointer<T>(t[0]), rows.stride, (int)rows.size, pointer<int64_t>(t[1]),
                   (int64_t)number(t[4]), pointer<float>(t[2]), pointer<float>(t[3]),
                   (float)number(t[5]), vectors(t[0], rows.stride)));
  return launched();
}
