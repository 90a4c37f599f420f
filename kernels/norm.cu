// LayerNorm and RMSNorm over the last axis (Ba et al. 2016; Zhang and Sennrich 2019), with up to two
// tensors added to the residual before, and with two outputs for layers whose attention and feed-forward part
// normalise the same input by different weights. A row's elements stay in registers.
#include "norm.h"

namespace {

// A sum for each chunk, then their sum: one after the other, additions would wait for each other.
template <int CHUNKS> __device__ __forceinline__ float sum_of(const float (&x)[CHUNKS][CHUNK]) {
  float total = 0.0f;
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) {
    float sum = x[c][0];
#pragma unroll
    for (int i = 1; i < CHUNK; i++) sum += x[c][i];
    total += sum;
  }
  return total;
}

// Sum over this thread's elements of (x - mean)^2.
template <bool FULL, int CHUNKS>
__device__ __forceinline__ float off_by(const float (&x)[CHUNKS][CHUNK], float mean, int size) {
  float total = 0.0f;
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) {
    const int left = FULL ? CHUNK : size - chunk_at(c);
    float squares = 0.0f;
#pragma unroll
    for (int i = 0; i < CHUNK; i++)
      if (left >= CHUNK || i < left) squares += (x[c][i] - mean) * (x[c][i] - mean);
    total += squares;
  }
  return total;
}

// Of a row: its mean, and the sum of (x - mean)^2.
struct Moments {
  float mean, squares;
};

// Of a full row by one trip through the block: moments of equal parts are joined without a difference
// of large numbers (Chan et al. 1979).
template <int CHUNKS> __device__ __forceinline__ Moments moments_of_full(const float (&x)[CHUNKS][CHUNK]) {
  float count = CHUNKS * CHUNK; // of each part
  Moments m = {sum_of(x) * (1.0f / (CHUNKS * CHUNK)), 0.0f};
  m.squares = off_by<true>(x, m.mean, 0);
#pragma unroll
  for (int lanes = 1; lanes < WARP; lanes *= 2) {
    const float other = SHUFFLE_XOR(m.mean, lanes), apart = other - m.mean;
    m.squares += SHUFFLE_XOR(m.squares, lanes) + apart * apart * 0.5f * count;
    m.mean = 0.5f * (m.mean + other);
    count *= 2.0f;
  }
  if (blockDim.x == WARP) return m;
  __shared__ Moments of_warp[THREADS / WARP];
  if (threadIdx.x % WARP == 0) of_warp[threadIdx.x / WARP] = m;
  __syncthreads();
  const int warps = blockDim.x / WARP;
  m = {0.0f, 0.0f};
  for (int warp = 0; warp < warps; warp++) m.mean += of_warp[warp].mean;
  m.mean /= (float)warps;
  for (int warp = 0; warp < warps; warp++) {
    const float apart = of_warp[warp].mean - m.mean;
    m.squares += of_warp[warp].squares + apart * apart * count;
  }
  return m;
}

// RMSNorm takes the mean for 0.
template <bool FULL, int CHUNKS>
__device__ __forceinline__ Moments moments(const float (&x)[CHUNKS][CHUNK], bool centred, int size, float per_element) {
  if (!centred) return {0.0f, over_row<Sum>(off_by<FULL>(x, 0.0f, size), 0)};
  if constexpr (FULL) return moments_of_full(x);
  const float mean = over_row<Sum>(sum_of(x), 0) * per_element;
  return {mean, over_row<Sum>(off_by<false>(x, mean, size), 1)};
}

constexpr int WARPS = 2; // of a block, where one is enough for a row
// Such blocks of a multiprocessor: more would fit with fewer registers each, but then loads wait for
// each other. AMD counts warps here, and has registers enough.
constexpr int RESIDENT = WARP == 32 ? 12 : 1;

template <typename T> struct Forward {
  const T *x, *added, *added2, *weight, *bias, *weight2, *bias2;
  T *sum, *y, *y2;
  float *mean, *rstd; // no mean: RMSNorm
  int64_t rows;
  int size;
  int64_t stride;
  float per_element, epsilon; // the former: 1 / size
  bool vector;
};

// What is said of a row, by one of its threads.
template <typename T>
__device__ __forceinline__ void tell(const Forward<T> &a, int64_t row, float mean, float rstd) {
  if (threadIdx.x) return;
  a.rstd[row] = rstd;
  if (a.mean) a.mean[row] = mean;
}

template <typename T, int CHUNKS, bool ADDED, bool FULL>
__global__ void __launch_bounds__(THREADS) norm_forward(Forward<T> a) {
  const int64_t row = (int64_t)blockIdx.x * blockDim.y + threadIdx.y;
  if (row >= a.rows) return; // a row of one warp, or of the whole block
  const bool vector = a.vector;
  const int64_t first = row * a.size;
  float x[CHUNKS][CHUNK];
  Packed<T> raw[CHUNKS], one[CHUNKS], other[CHUNKS]; // all are on their way before any is needed
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) {
    raw[c] = fetch<FULL>(a.x + row * a.stride, chunk_at(c), a.size, vector);
    if constexpr (ADDED) one[c] = fetch<FULL>(a.added + first, chunk_at(c), a.size, vector);
    if (ADDED && a.added2) other[c] = fetch<FULL>(a.added2 + first, chunk_at(c), a.size, vector);
  }
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) {
    widen(x[c], raw[c]);
    if constexpr (!ADDED) continue;
    float second[CHUNK], third[CHUNK] = {};
    widen(second, one[c]);
    if (a.added2) widen(third, other[c]);
#pragma unroll
    for (int i = 0; i < CHUNK; i++) x[c][i] += second[i] + third[i];
    Packed<T> rounded; // what is normalised is what the next layer reads
    pack(rounded, x[c]);
    widen(x[c], rounded);
    store<FULL>(a.sum + first, chunk_at(c), a.size, vector, x[c]);
  }
  const Moments found = moments<FULL>(x, a.mean, a.size, a.per_element);
  const float rstd = rsqrtf(found.squares * a.per_element + a.epsilon), shift = -found.mean * rstd;
  tell(a, row, found.mean, rstd);
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) {
    const int at = chunk_at(c);
    if (!FULL && at >= a.size) continue;
    float weight[CHUNK], bias[CHUNK] = {}, y[CHUNK];
    load<FULL>(weight, a.weight, at, a.size, vector);
    if (a.bias) load<FULL>(bias, a.bias, at, a.size, vector);
#pragma unroll
    for (int i = 0; i < CHUNK; i++) {
      x[c][i] = x[c][i] * rstd + shift;
      y[i] = x[c][i] * weight[i] + bias[i];
    }
    store<FULL>(a.y + first, at, a.size, vector, y);
    if (!a.y2) continue;
    load<FULL>(weight, a.weight2, at, a.size, vector);
    if (a.bias2) load<FULL>(bias, a.bias2, at, a.size, vector);
#pragma unroll
    for (int i = 0; i < CHUNK; i++) y[i] = x[c][i] * weight[i] + bias[i];
    store<FULL>(a.y2 + first, at, a.size, vector, y);
  }
}

// A full row by one warp, with nothing added and one output; with a bias if and only if CENTRED. The
// weights are on their way together with the row: a warp has nothing else to do while it waits.
template <typename T, int CHUNKS, bool CENTRED>
__global__ void __launch_bounds__(WARPS * WARP, RESIDENT) norm_by_warp(Forward<T> a) {
  __builtin_assume(blockDim.x == WARP);
  const int64_t row = (int64_t)blockIdx.x * WARPS + threadIdx.y;
  if (row >= a.rows) return;
  Packed<T> raw[CHUNKS], weight[CHUNKS], bias[CHUNKS];
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) raw[c] = fetch<true>(a.x + row * a.stride, chunk_at(c), a.size, true);
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) {
    weight[c] = fetch<true>(a.weight, chunk_at(c), a.size, true);
    if constexpr (CENTRED) bias[c] = fetch<true>(a.bias, chunk_at(c), a.size, true);
  }
  float x[CHUNKS][CHUNK];
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) widen(x[c], raw[c]);
  const Moments found = moments<true>(x, CENTRED, a.size, a.per_element);
  const float rstd = rsqrtf(found.squares * a.per_element + a.epsilon), shift = -found.mean * rstd;
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) {
    float times[CHUNK], plus[CHUNK] = {}, y[CHUNK];
    widen(times, weight[c]);
    if constexpr (CENTRED) widen(plus, bias[c]);
#pragma unroll
    for (int i = 0; i < CHUNK; i++) y[i] = (x[c][i] * rstd + shift) * times[i] + plus[i];
    store<true>(a.y + row * a.size, chunk_at(c), a.size, true, y);
  }
  tell(a, row, found.mean, rstd);
}

// Chunks of a thread with which a row is full; 0: with none. A sum of several is best with few, one
// tensor alone with many.
int full_chunks(int64_t size, bool added) {
  constexpr int ORDER[2][4] = {{4, 3, 2, 1}, {2, 1, 3, 4}};
  for (int chunks : ORDER[added])
    if (size % (WARP * chunks * CHUNK) == 0 && size <= THREADS * chunks * CHUNK) return chunks;
  return 0;
}

template <int CHUNKS, bool ADDED, typename T>
void launch_full(const Forward<T> &a, unsigned grid, dim3 block, Stream stream) {
  if (block.x > WARP || ADDED || a.y2 || !a.mean != !a.bias)
    norm_forward<T, CHUNKS, ADDED, true><<<grid, block, 0, stream>>>(a);
  else if (a.mean) norm_by_warp<T, CHUNKS, true><<<grid, block, 0, stream>>>(a);
  else norm_by_warp<T, CHUNKS, false><<<grid, block, 0, stream>>>(a);
}

template <typename T, bool ADDED>
void launch_forward(const Forward<T> &a, Stream stream) {
  const int full = a.vector ? full_chunks(a.size, ADDED) : 0;
  const int chunks = full ? full : a.size <= WARP * CHUNK ? 1 : 4;
  const int threads = threads_for(a.size, chunks);
  const dim3 block(threads, threads == WARP ? WARPS : 1);
  const unsigned grid = (unsigned)ceil_div(a.rows, block.y);
  if (full == 1) launch_full<1, ADDED>(a, grid, block, stream);
  else if (full == 2) launch_full<2, ADDED>(a, grid, block, stream);
  else if (full == 3) launch_full<3, ADDED>(a, grid, block, stream);
  else if (full == 4) launch_full<4, ADDED>(a, grid, block, stream);
  else if (chunks == 1) norm_forward<T, 1, ADDED, false><<<grid, block, 0, stream>>>(a);
  else norm_forward<T, 4, ADDED, false><<<grid, block, 0, stream>>>(a);
}

template <typename T> int forward(const neox_tensor *t, Stream stream) {
  Rows x;
  NEOX_REQUIRE(as_rows(t[0], x), NEOX_WRONG_STRIDE);
  if (!x.count || !x.size) return NEOX_OK;
  Forward<T> a = {pointer<T>(t[0]), pointer<T>(t[1]), pointer<T>(t[2]), pointer<T>(t[3]),
                  pointer<T>(t[4]), pointer<T>(t[5]), pointer<T>(t[6]), pointer<T>(t[7]),
                  pointer<T>(t[8]), pointer<T>(t[9]), pointer<float>(t[10]), pointer<float>(t[11]),
                  x.count, (int)x.size, x.stride, 1.0f / (float)x.size, (float)number(t[12]), vectors(t[0], x.stride)};
  for (int i = 1; i < 10; i++) {
    a.vector = a.vector && vectors(t[i], x.size);
    NEOX_REQUIRE(!given(t[i]) || dense(t[i]), NEOX_WRONG_STRIDE);
    NEOX_REQUIRE(!given(t[i]) || last(t[i]) == x.size, NEOX_WRONG_SHAPE);
  }
  NEOX_REQUIRE(x.size <= LONGEST, NEOX_TOO_LONG);
  if (a.added) launch_forward<T, true>(a, stream);
  else launch_forward<T, false>(a, stream);
  return launched();
}

} // namespace

// x [..., h], added, added2, weight [h], bias, weight2, bias2 -> sum, y, y2, mean [rows], rstd [rows];
// epsilon. Without mean it is RMSNorm; added and sum, weight2 and y2 come together.
NEOX_API int neox_norm(const neox_tensor *t, int n, void *, size_t, void *stream) {
  NEOX_REQUIRE(n == 13, NEOX_WRONG_COUNT);
  for (int i = 1; i < 10; i++)
    NEOX_REQUIRE(!given(t[i]) || t[i].dtype == t[0].dtype, NEOX_WRONG_DTYPE);
  NEOX_REQUIRE(given(t[1]) == given(t[7]) && given(t[5]) == given(t[9]), NEOX_WRONG_SHAPE);
  NEOX_BY_TYPE(t[0].dtype, return forward<T>(t, (Stream)stream));
}
