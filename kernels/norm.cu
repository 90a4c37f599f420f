// LayerNorm and RMSNorm over the last axis (Ba et al. 2016; Zhang and Sennrich 2019), with up to two
// tensors added to the residual before, and with two outputs for layers whose attention and feed-forward part
// normalise the same input by different weights. A row's elements stay in registers.
#include "columns.h"

namespace {

constexpr int THREADS = 512;
constexpr int64_t LONGEST = THREADS * CHUNK * 4; // elements of a row: 16,384
constexpr int64_t LONGEST_OF_TWO = THREADS * CHUNK * 2; // with two outputs, backward: 8,192

// Where this thread's c-th chunk of a row begins.
__device__ __forceinline__ int chunk_at(int c) { return (c * blockDim.x + threadIdx.x) * CHUNK; }

// Sum over this thread's elements of (x - mean)^2.
template <int CHUNKS>
__device__ __forceinline__ float off_by(const float (&x)[CHUNKS][CHUNK], float mean, int size) {
  float squares = 0.0f;
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) {
    const int left = size - chunk_at(c);
#pragma unroll
    for (int i = 0; i < CHUNK; i++)
      if (left >= CHUNK || i < left) squares += (x[c][i] - mean) * (x[c][i] - mean);
  }
  return squares;
}

// Of a row: its mean, and the sum of (x - mean)^2.
struct Moments {
  float mean, squares;
};

// Those of two halves of `count` elements each (Chan et al. 1979): no difference of large numbers.
__device__ __forceinline__ Moments both(Moments a, Moments b, float count) {
  const float apart = b.mean - a.mean;
  return {0.5f * (a.mean + b.mean), a.squares + b.squares + apart * apart * 0.5f * count};
}

// All of the row's threads hold as many elements, so one trip through the block is enough.
template <int CHUNKS> __device__ __forceinline__ Moments moments_of_full(const float (&x)[CHUNKS][CHUNK], int size) {
  float sum = 0.0f, count = CHUNKS * CHUNK;
#pragma unroll
  for (int c = 0; c < CHUNKS; c++)
#pragma unroll
    for (int i = 0; i < CHUNK; i++) sum += x[c][i];
  Moments m = {sum / count, 0.0f};
  m.squares = off_by(x, m.mean, size);
#pragma unroll
  for (int lanes = 1; lanes < WARP; lanes *= 2) {
    m = both(m, {SHUFFLE_XOR(m.mean, lanes), SHUFFLE_XOR(m.squares, lanes)}, count);
    count *= 2.0f;
  }
  if (blockDim.x == WARP) return m;
  __shared__ Moments of_warp[THREADS / WARP];
  if (threadIdx.x % WARP == 0) of_warp[threadIdx.x / WARP] = m;
  __syncthreads();
  m = of_warp[0];
  for (int warp = 1; warp < blockDim.x / WARP; warp++) { // those before, and one more
    const float apart = of_warp[warp].mean - m.mean, share = 1.0f / (float)(warp + 1);
    m.mean += apart * share;
    m.squares += of_warp[warp].squares + apart * apart * count * (float)warp * share;
  }
  return m;
}

template <int CHUNKS> __device__ __forceinline__ Moments moments(const float (&x)[CHUNKS][CHUNK], int size) {
  if (size == (int)blockDim.x * CHUNKS * CHUNK) return moments_of_full(x, size);
  float sum = 0.0f;
#pragma unroll
  for (int c = 0; c < CHUNKS; c++)
#pragma unroll
    for (int i = 0; i < CHUNK; i++) sum += x[c][i];
  const float mean = over_row<Sum>(sum, 0) / (float)size;
  return {mean, over_row<Sum>(off_by(x, mean, size), 1)};
}

template <typename T> struct Forward {
  const T *x, *added, *added2, *weight, *bias, *weight2, *bias2;
  T *sum, *y, *y2;
  float *mean, *rstd; // no mean: RMSNorm
  int64_t rows;
  int size;
  int64_t stride;
  float epsilon;
  bool vector;
};

template <typename T, int CHUNKS, bool ADDED>
__global__ void __launch_bounds__(THREADS) norm_forward(Forward<T> a) {
  const int64_t row = (int64_t)blockIdx.x * blockDim.y + threadIdx.y;
  if (row >= a.rows) return; // a row of one warp, or of the whole block
  const bool vector = a.vector;
  float x[CHUNKS][CHUNK];
  Packed<T> raw[CHUNKS], one[CHUNKS], other[CHUNKS]; // all are on their way before any is needed
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) {
    const int at = chunk_at(c);
    raw[c] = fetch(a.x + row * a.stride, at, a.size, vector);
    if constexpr (ADDED) one[c] = fetch(a.added + row * a.size, at, a.size, vector);
    if (ADDED && a.added2) other[c] = fetch(a.added2 + row * a.size, at, a.size, vector);
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
    store(a.sum + row * a.size, chunk_at(c), a.size, vector, x[c]);
  }
  const Moments found = a.mean ? moments(x, a.size) : Moments{0.0f, over_row<Sum>(off_by(x, 0.0f, a.size), 0)};
  const float mean = found.mean, rstd = rsqrtf(found.squares / (float)a.size + a.epsilon);
  const float shift = -mean * rstd;
  if (threadIdx.x == 0) {
    a.rstd[row] = rstd;
    if (a.mean) a.mean[row] = mean;
  }
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) {
    const int at = chunk_at(c);
    if (at >= a.size) continue;
    float weight[CHUNK], bias[CHUNK] = {}, y[CHUNK];
    load(weight, a.weight, at, a.size, vector);
    if (a.bias) load(bias, a.bias, at, a.size, vector);
#pragma unroll
    for (int i = 0; i < CHUNK; i++) y[i] = (x[c][i] * rstd + shift) * weight[i] + bias[i];
    store(a.y + row * a.size, at, a.size, vector, y);
    if (!a.y2) continue;
    load(weight, a.weight2, at, a.size, vector);
    if (a.bias2) load(bias, a.bias2, at, a.size, vector);
#pragma unroll
    for (int i = 0; i < CHUNK; i++) y[i] = (x[c][i] * rstd + shift) * weight[i] + bias[i];
    store(a.y2 + row * a.size, at, a.size, vector, y);
  }
}

// Threads of a multiprocessor that the registers are cut for; so many blocks are launched, no more,
// because one that waits for another to end would double the time.
constexpr int resident(int chunks, int outputs, bool sums) {
  return chunks * outputs + sums == 1 ? 2 * THREADS : THREADS;
}

// Rows that a block has on their way: two where they fit the registers beside the sums.
template <typename T, int CHUNKS, int OUTPUTS, bool SUMS>
constexpr int ROWS_AHEAD = CHUNKS == 1 && sizeof(T) == 2 && OUTPUTS + SUMS > 1 ? 2 : 1;

template <typename T> struct Backward {
  const T *dy, *dy2, *dsum, *x, *weight, *weight2;
  const float *mean, *rstd;
  T *dx;
  float *partial; // [outputs, {weight, bias}, blocks, size], then with SUMS of dx [blocks, size]
  int64_t rows;
  int size;
  int64_t stride;
  bool vector;
};

// All that the backward pass reads of one row.
template <typename T, int CHUNKS, int OUTPUTS> struct Row {
  Packed<T> x[CHUNKS], dy[OUTPUTS][CHUNKS], through[CHUNKS]; // the last: what reaches the sum from above
  float mean, rstd;

  __device__ __forceinline__ void fetch_from(const Backward<T> &a, int64_t row) {
    const T *const incoming[2] = {a.dy, a.dy2};
    mean = a.mean ? a.mean[row] : 0.0f, rstd = a.rstd[row];
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
      const int at = chunk_at(c);
      x[c] = fetch(a.x + row * a.stride, at, a.size, a.vector);
#pragma unroll
      for (int o = 0; o < OUTPUTS; o++)
        dy[o][c] = fetch(incoming[o] + row * a.size, at, a.size, a.vector);
      if (a.dsum) through[c] = fetch(a.dsum + row * a.size, at, a.size, a.vector);
    }
  }
};

// Each block takes every gridDim.x-th row and keeps the sums for weight and bias in registers, and
// with SUMS that of dx, which is the gradient of a bias that stands in the residual sum. Rows are on
// their way while others are reduced, so that memory does not wait for arithmetic.
template <typename T, int CHUNKS, int OUTPUTS, bool SUMS>
__global__ void __launch_bounds__(THREADS, resident(CHUNKS, OUTPUTS, SUMS) / THREADS)
    norm_backward(Backward<T> a) {
  float dweight[OUTPUTS][CHUNKS][CHUNK] = {}, dbias[OUTPUTS][CHUNKS][CHUNK] = {}, down[CHUNKS][CHUNK] = {};
  const bool vector = a.vector;
  const T *const weights[2] = {a.weight, a.weight2}; // of every row, so they come from the cache
  const float per_element = 1.0f / (float)a.size;
  constexpr int AHEAD = ROWS_AHEAD<T, CHUNKS, OUTPUTS, SUMS>;
  Row<T, CHUNKS, OUTPUTS> ahead[AHEAD];
  int turn = 0;
  auto reduce = [&](Row<T, CHUNKS, OUTPUTS> &here, int64_t row) {
    const float mean = here.mean, rstd = here.rstd;
    float normal[CHUNKS][CHUNK], g[CHUNKS][CHUNK] = {}; // g: gradient of the normalised row
    float sums[2] = {0.0f, 0.0f};                       // of g, of g x normal
    Packed<T> through[CHUNKS];
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
      through[c] = here.through[c];
      widen(normal[c], here.x[c]);
#pragma unroll
      for (int i = 0; i < CHUNK; i++) normal[c][i] = normal[c][i] * rstd - mean * rstd;
#pragma unroll
      for (int o = 0; o < OUTPUTS; o++) {
        float w[CHUNK], dy[CHUNK]; // dy is zero beyond the row's end, and all that follows
        load(w, weights[o], chunk_at(c), a.size, vector);
        widen(dy, here.dy[o][c]);
#pragma unroll
        for (int i = 0; i < CHUNK; i++) {
          g[c][i] += dy[i] * w[i];
          dweight[o][c][i] += dy[i] * normal[c][i];
          dbias[o][c][i] += dy[i];
        }
      }
#pragma unroll
      for (int i = 0; i < CHUNK; i++) {
        sums[0] += g[c][i];
        sums[1] += g[c][i] * normal[c][i];
      }
    }
    const int64_t later = row + (int64_t)AHEAD * gridDim.x;
    if (later < a.rows) here.fetch_from(a, later);
    over_row<Sum>(sums, turn++);
    const float mean_g = a.mean ? sums[0] * per_element : 0.0f, mean_gn = sums[1] * per_element;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
      const int at = chunk_at(c);
      if (at >= a.size) continue;
      float dx[CHUNK], above[CHUNK] = {};
      if (a.dsum) widen(above, through[c]);
#pragma unroll
      for (int i = 0; i < CHUNK; i++) {
        dx[i] = (g[c][i] - mean_g - normal[c][i] * mean_gn) * rstd + above[i];
        if constexpr (SUMS) down[c][i] += dx[i];
      }
      store(a.dx + row * a.size, at, a.size, vector, dx);
    }
  };
#pragma unroll
  for (int i = 0; i < AHEAD; i++) {
    const int64_t row = blockIdx.x + (int64_t)i * gridDim.x;
    if (row < a.rows) ahead[i].fetch_from(a, row);
  }
  for (int64_t first = blockIdx.x; first < a.rows; first += (int64_t)AHEAD * gridDim.x)
#pragma unroll
    for (int i = 0; i < AHEAD; i++) {
      const int64_t row = first + (int64_t)i * gridDim.x;
      if (row < a.rows) reduce(ahead[i], row);
    }
#pragma unroll
  for (int c = 0; c < CHUNKS; c++)
#pragma unroll
    for (int i = 0; i < CHUNK; i++) {
      const int at = chunk_at(c) + i;
      if (at >= a.size) continue;
      const int64_t part = (int64_t)gridDim.x * a.size, mine = (int64_t)blockIdx.x * a.size + at;
#pragma unroll
      for (int o = 0; o < OUTPUTS; o++) {
        a.partial[2 * o * part + mine] = dweight[o][c][i];
        a.partial[(2 * o + 1) * part + mine] = dbias[o][c][i];
      }
      if constexpr (SUMS) a.partial[2 * OUTPUTS * part + mine] = down[c][i];
    }
}

int threads_for(int64_t size, int chunks) {
  return (int)(ceil_div(ceil_div(size, (int64_t)CHUNK * chunks), WARP) * WARP);
}

int backward_chunks(int64_t size) {
  const int64_t chunks = ceil_div(size, CHUNK);
  return chunks <= THREADS ? 1 : chunks <= 2 * THREADS ? 2 : 4;
}

int64_t backward_blocks(int64_t rows, int64_t size, int outputs, bool sums) {
  const int chunks = backward_chunks(size), threads = threads_for(size, chunks);
  const int64_t blocks = (int64_t)multiprocessors() * (resident(chunks, outputs, sums) / threads);
  return rows < blocks ? rows : blocks;
}

template <typename T, bool ADDED>
void launch_forward(const Forward<T> &a, int chunks, unsigned grid, dim3 block, Stream stream) {
  if (chunks == 1) norm_forward<T, 1, ADDED><<<grid, block, 0, stream>>>(a);
  else if (chunks == 3) norm_forward<T, 3, ADDED><<<grid, block, 0, stream>>>(a);
  else norm_forward<T, 4, ADDED><<<grid, block, 0, stream>>>(a);
}

template <typename T> int forward(const neox_tensor *t, Stream stream) {
  Rows x;
  NEOX_REQUIRE(as_rows(t[0], x), NEOX_WRONG_STRIDE);
  if (!x.count || !x.size) return NEOX_OK;
  Forward<T> a = {pointer<T>(t[0]), pointer<T>(t[1]), pointer<T>(t[2]), pointer<T>(t[3]),
                  pointer<T>(t[4]), pointer<T>(t[5]), pointer<T>(t[6]), pointer<T>(t[7]),
                  pointer<T>(t[8]), pointer<T>(t[9]), pointer<float>(t[10]), pointer<float>(t[11]),
                  x.count, (int)x.size, x.stride, (float)number(t[12]), vectors(t[0], x.stride)};
  for (int i = 1; i < 10; i++) {
    a.vector = a.vector && vectors(t[i], x.size);
    NEOX_REQUIRE(!given(t[i]) || dense(t[i]), NEOX_WRONG_STRIDE);
    NEOX_REQUIRE(!given(t[i]) || last(t[i]) == x.size, NEOX_WRONG_SHAPE);
  }
  NEOX_REQUIRE(x.size <= LONGEST, NEOX_TOO_LONG);
  const int chunks = x.size <= WARP * CHUNK ? 1 : x.size <= WARP * CHUNK * 3 ? 3 : 4;
  const int threads = threads_for(x.size, chunks);
  const dim3 block(threads, threads == WARP ? 4 : 1);
  const unsigned grid = (unsigned)ceil_div(x.count, block.y);
  if (a.added) launch_forward<T, true>(a, chunks, grid, block, stream);
  else launch_forward<T, false>(a, chunks, grid, block, stream);
  return launched();
}

template <typename T, int OUTPUTS, bool SUMS>
void launch_backward(const Backward<T> &a, int64_t blocks, Stream stream) {
  const int chunks = backward_chunks(a.size), threads = threads_for(a.size, chunks);
  const unsigned grid = (unsigned)blocks;
  if (chunks == 1) norm_backward<T, 1, OUTPUTS, SUMS><<<grid, threads, 0, stream>>>(a);
  else if (chunks == 2) norm_backward<T, 2, OUTPUTS, SUMS><<<grid, threads, 0, stream>>>(a);
  else norm_backward<T, 4, 1, SUMS><<<grid, threads, 0, stream>>>(a); // two do not fit
}

template <typename T>
int backward(const neox_tensor *t, float *partial, int64_t blocks, Stream stream) {
  Rows x;
  as_rows(t[3], x);
  Backward<T> a = {pointer<T>(t[0]), pointer<T>(t[1]), pointer<T>(t[2]), pointer<T>(t[3]),
                   pointer<T>(t[4]), pointer<T>(t[5]), pointer<float>(t[6]), pointer<float>(t[7]),
                   pointer<T>(t[8]), partial, x.count, (int)x.size, x.stride, vectors(t[3], x.stride)};
  for (int i : {0, 1, 2, 4, 5, 8}) {
    a.vector = a.vector && vectors(t[i], x.size);
    NEOX_REQUIRE(!given(t[i]) || dense(t[i]), NEOX_WRONG_STRIDE);
    NEOX_REQUIRE(!given(t[i]) || last(t[i]) == x.size, NEOX_WRONG_SHAPE);
  }
  const bool two = given(t[1]), sums_dx = given(t[13]);
  if (two && sums_dx) launch_backward<T, 2, true>(a, blocks, stream);
  else if (two) launch_backward<T, 2, false>(a, blocks, stream);
  else if (sums_dx) launch_backward<T, 1, true>(a, blocks, stream);
  else launch_backward<T, 1, false>(a, blocks, stream);
  // dweight, dbias, then dweight2, dbias2 of two, then the sum of dx
  Sums<T> sums = {{pointer<T>(t[9]), pointer<T>(t[10]), pointer<T>(two ? t[11] : t[13]), pointer<T>(t[12]), pointer<T>(t[13])}};
  launch_sum_parts(partial, blocks, x.size, sums, (two ? 4 : 2) + sums_dx, stream);
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

NEOX_API int64_t neox_norm_backward_scratch(const neox_tensor *t, int n) {
  Rows x;
  if (n != 14 || !as_rows(t[3], x)) return 0;
  return ((given(t[1]) ? 4 : 2) + given(t[13])) * backward_blocks(x.count, x.size, given(t[1]) ? 2 : 1, given(t[13])) * x.size * (int64_t)sizeof(float);
}

// dy, dy2, dsum, x (the sum), weight, weight2, mean, rstd -> dx, dweight, dbias, dweight2, dbias2, and
// the sum of dx over the rows (optional).
NEOX_API int neox_norm_backward(const neox_tensor *t, int n, void *scratch, size_t bytes,
                                void *stream) {
  NEOX_REQUIRE(n == 14, NEOX_WRONG_COUNT);
  for (int i : {1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13})
    NEOX_REQUIRE(!given(t[i]) || t[i].dtype == t[0].dtype, NEOX_WRONG_DTYPE);
  Rows x;
  NEOX_REQUIRE(as_rows(t[3], x), NEOX_WRONG_STRIDE);
  NEOX_REQUIRE(x.size <= LONGEST, NEOX_TOO_LONG);
  NEOX_REQUIRE(!given(t[1]) || x.size <= LONGEST_OF_TWO, NEOX_TOO_LONG);
  NEOX_REQUIRE((int64_t)bytes >= neox_norm_backward_scratch(t, n), NEOX_SMALL_SCRATCH);
  if (!x.count || !x.size) return NEOX_OK;
  const int64_t blocks = backward_blocks(x.count, x.size, given(t[1]) ? 2 : 1, given(t[13]));
  NEOX_BY_TYPE(t[0].dtype, return backward<T>(t, (float *)scratch, blocks, (Stream)stream));
}
