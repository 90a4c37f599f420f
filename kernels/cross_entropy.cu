// Cross entropy of logits [rows, words], of a whole vocabulary or of one rank's part of it. The
// gradient takes the place of the logits, so that they exist once, and a row is read from memory once: a
// block holds it, in 16 bits up to 65,536 words in its registers, twice as many with shared memory.
#include "arguments.h"

namespace {

constexpr int THREADS = 1024; // at most; fewer, in more blocks, of short rows
constexpr int THREADS_READING = 256; // where rows are only read

// What turns logits into their gradient, weight (exp(x - lse) slope - [word is the target]).
struct Slope {
  int target; // of these words; below 0: another rank's
  float factor, shift, weight;

  __device__ Slope(int64_t target, int words, float lse, float weight, float slope)
      : target(target >= 0 && target < words ? (int)target : -1), factor(weight * slope),
        shift(lse * LOG2_E), weight(weight) {}
};

// NVIDIA's cards from sm_80 on compare two narrow numbers at once.
template <typename T> __device__ __forceinline__ float largest_of(const Packed<T> &chunk) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  if constexpr (sizeof(T) == 2) {
    using Pair = typename Two<T>::type;
    Pair best = reinterpret_cast<const Pair &>(chunk.word[0]);
#pragma unroll
    for (int w = 1; w < Packed<T>::WORDS; w++)
      best = __hmax2(best, reinterpret_cast<const Pair &>(chunk.word[w]));
    return fmaxf((float)best.x, (float)best.y);
  }
#endif
  float x[CHUNK];
  widen(x, chunk);
  float best = x[0];
#pragma unroll
  for (int i = 1; i < CHUNK; i++) best = fmaxf(best, x[i]);
  return best;
}

// What a block still holds of a row when all is counted: all of it, which is one round; two rounds, the
// first in shared memory; or the last round alone, and reads the others again, from the cache if they fit.
enum class Held { ALL, TWO, LAST };

// A thread's part of a row: every blockDim.x-th chunk, FLYING of them, a round, in registers. It goes
// down the row to count, and comes back to turn what it meets into the gradient. WHOLE: as of `fetch`.
template <typename T, int FLYING, Held HELD, bool WHOLE> struct Part {
  int words, last; // of the row; its last round
  bool vector;
  Packed<T> chunk[FLYING];

  __device__ Part(int words, bool vector)
      : words(words), last(HELD == Held::TWO ? 1 : (words - 1) / (FLYING * CHUNK * (int)blockDim.x)), vector(vector) {}

  __device__ __forceinline__ static int at(int round, int n) {
    return ((round * FLYING + n) * (int)blockDim.x + (int)threadIdx.x) * CHUNK;
  }

  // Beyond the row's end lies -inf, which counts nothing; to ask at each chunk would take longer.
  __device__ __forceinline__ void ask(const T *row, int round) {
    T least;
    narrow(least, -INFINITY);
#pragma unroll
    for (int n = 0; n < FLYING; n++) {
      if (at(round, n) < words) chunk[n] = fetch<WHOLE>(row, at(round, n), words, vector, least);
      else fill(chunk[n], least);
    }
  }

  // This thread's n-th place in shared memory.
  __device__ __forceinline__ static Packed<T> &own(int n) {
    return static_cast<Packed<T> *>(dynamic_shared())[n * blockDim.x + threadIdx.x];
  }

  __device__ __forceinline__ void prefetch(const T *row) const {
    constexpr int LINE = CACHE_LINE / sizeof(T);
    for (int line = threadIdx.x * LINE; line < words; line += blockDim.x * LINE) prefetch_line(row + line);
  }

  __device__ __forceinline__ void count(Powers &met) const {
    float here = -INFINITY;
#pragma unroll
    for (int n = 0; n < FLYING; n++) here = fmaxf(here, largest_of(chunk[n]));
    if (here > met.largest) {
      met.sum *= exp2_quick((met.largest - here) * LOG2_E);
      met.largest = here;
    }
    const float shift = met.largest == -INFINITY ? 0.0f : met.largest * LOG2_E;
#pragma unroll
    for (int n = 0; n < FLYING; n++) {
      float x[CHUNK], powers = 0.0f; // of the chunk first: one after the other, operations would wait
      widen(x, chunk[n]);
#pragma unroll
      for (int i = 0; i < CHUNK; i++) powers += exp2_quick(x[i] * LOG2_E - shift);
      met.sum += powers;
    }
  }

  // Of the row; `turn` as of `over_row`.
  __device__ __forceinline__ Powers down(const T *row, int turn) {
    Powers met = {-INFINITY, 0.0f};
    for (int round = 0; round <= last; round++) {
      ask(row, round);
      count(met);
      if (HELD == Held::TWO && round == 0)
#pragma unroll
        for (int n = 0; n < FLYING; n++) own(n) = chunk[n];
    }
    return over_row(over_warp(met, LOG2_E), LOG2_E, turn);
  }

  // `found(logit)` is called by the one thread that meets the target.
  template <typename Found> __device__ __forceinline__ void back(T *row, const Slope &slope, Found found) {
    for (int round = last; round >= 0; round--) {
      if (HELD == Held::TWO && round == 0) {
#pragma unroll
        for (int n = 0; n < FLYING; n++) chunk[n] = own(n);
      } else if (round < last) {
        ask(row, round);
      }
#pragma unroll
      for (int n = 0; n < FLYING; n++) {
        const int here = at(round, n);
        if (here >= words) continue;
        float x[CHUNK], p[CHUNK];
        widen(x, chunk[n]);
#pragma unroll
        for (int i = 0; i < CHUNK; i++) p[i] = slope.factor * exp2_quick(x[i] * LOG2_E - slope.shift);
        if ((unsigned)(slope.target - here) < CHUNK)
#pragma unroll
          for (int i = 0; i < CHUNK; i++)
            if (here + i == slope.target) found(x[i]), p[i] -= slope.weight;
        store<WHOLE, true>(row, here, words, vector, p); // the cache is for rows that are read again
      }
    }
  }
};

template <typename T, int FLYING, Held HELD, bool WHOLE>
__global__ void __launch_bounds__(THREADS, 1)
    whole(T *logits, int64_t rows, int64_t stride, int words, const int64_t *targets,
          const float *weights, float *losses, float *lses, float z, bool vector) {
  Part<T, FLYING, HELD, WHOLE> part(words, vector);
  int turn = 0;
  for (int64_t at = blockIdx.x; at < rows; at += gridDim.x) {
    T *const row = logits + at * stride;
    // One lane asks: a number that all lanes load alike would be waited for here, before the row.
    int64_t target = 0;
    float weight = 0.0f;
    if (threadIdx.x % WARP == 0) target = targets[at], weight = weights[at];
    const Powers best = part.down(row, turn++);
    // The next row comes into the cache meanwhile; longer ones find no room there.
    if (HELD == Held::ALL && at + gridDim.x < rows) part.prefetch(row + gridDim.x * stride);
    const float lse = best.largest + logf(best.sum);
    const Slope slope(SHUFFLE(target, 0), words, lse, SHUFFLE(weight, 0), 1.0f + 2.0f * z * lse);
    const float loss = lse + z * lse * lse; // less the target's logit
    part.back(row, slope, [&](float logit) { losses[at] = loss - logit; });
    if (threadIdx.x) continue;
    if (slope.target < 0) losses[at] = loss;
    lses[at] = lse;
  }
}

template <typename T> constexpr int FLYING_READING = 16 / sizeof(T);

template <typename T>
__global__ void __launch_bounds__(THREADS_READING)
    shard_statistics(const T *logits, int64_t stride, int words, const int64_t *targets,
                     int64_t first, float *largest, float *sum, float *picked, bool vector) {
  const T *row = logits + blockIdx.x * stride;
  Part<T, FLYING_READING<T>, Held::LAST, false> part(words, vector);
  const Powers best = part.down(row, 0);
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
  T *const row = logits + blockIdx.x * stride;
  Part<T, FLYING_READING<T>, Held::LAST, false> part(words, vector);
  part.ask(row, part.last);
  part.back(row, slope, [](float) {});
}

template <typename T, int FLYING, Held HELD, bool WHOLE>
bool launch_with(const neox_tensor *t, const Rows &rows, int threads, Stream stream) {
  const int64_t most = (int64_t)multiprocessors() * (THREADS / threads);
  const unsigned grid = (unsigned)(rows.count < most ? rows.count : most);
  const int bytes = HELD == Held::TWO ? FLYING * THREADS * (int)sizeof(Packed<T>) : 0;
  if (bytes && !gets_shared(whole<T, FLYING, HELD, WHOLE>, bytes)) return false;
  whole<T, FLYING, HELD, WHOLE><<<grid, threads, bytes, stream>>>(
      pointer<T>(t[0]), rows.count, rows.stride, (int)rows.size, pointer<int64_t>(t[1]), pointer<float>(t[2]),
      pointer<float>(t[3]), pointer<float>(t[4]), (float)number(t[5]), vectors(t[0], rows.stride));
  return true;
}

// As many chunks a round as a row has, or half of them: those beyond its end take time, too.
template <typename T, bool WHOLE> void launch_whole(const neox_tensor *t, const Rows &rows, Stream stream) {
  constexpr int MOST = 16 / sizeof(T), FEWER = MOST - 1, HALF = MOST / 2;
  const int64_t chunks = ceil_div(rows.size, CHUNK * THREADS); // of a thread
  const int warps = (int)ceil_div(ceil_div(rows.size, HALF * CHUNK), WARP);
  if (chunks <= HALF) launch_with<T, HALF, Held::ALL, WHOLE>(t, rows, warps * WARP, stream);
  else if (chunks <= FEWER) launch_with<T, FEWER, Held::ALL, WHOLE>(t, rows, THREADS, stream);
  else if (chunks <= MOST) launch_with<T, MOST, Held::ALL, WHOLE>(t, rows, THREADS, stream);
  else if (chunks <= 2 * FEWER && launch_with<T, FEWER, Held::TWO, WHOLE>(t, rows, THREADS, stream)) return;
  else if (chunks <= 2 * MOST && launch_with<T, MOST, Held::TWO, WHOLE>(t, rows, THREADS, stream)) return;
  else launch_with<T, FEWER, Held::LAST, WHOLE>(t, rows, THREADS, stream);
}

template <typename T> void launch_whole(const neox_tensor *t, const Rows &rows, Stream stream) {
  if (vectors(t[0], rows.stride) && rows.size % CHUNK == 0) launch_whole<T, true>(t, rows, stream);
  else launch_whole<T, false>(t, rows, stream);
}

int check(const neox_tensor &logits, Rows &rows) {
  NEOX_REQUIRE(logits.ndim == 2, NEOX_WRONG_SHAPE);
  NEOX_REQUIRE(as_rows(logits, rows), NEOX_WRONG_STRIDE);
  NEOX_REQUIRE(rows.size < INT32_MAX - 8 * THREADS * CHUNK, NEOX_TOO_LONG);
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
