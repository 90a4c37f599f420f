// The gradients of norm.cu. A row's elements stay in registers, and so do the sums over the rows, unless
// a row is long.
#include "columns.h"
#include "norm.h"

namespace {

// Threads of a multiprocessor that the registers are cut for; so many blocks are launched, no more,
// because one that waits for another to end would double the time.
constexpr int resident(int chunks, int outputs, bool sums) {
  return chunks * outputs + sums == 1 ? 2 * THREADS : THREADS;
}

template <typename T> struct Backward {
  const T *dy, *dy2, *dsum, *x, *weight, *weight2;
  const float *mean, *rstd;
  T *dx;
  float *partial; // [sums, blocks, size]: of weight, bias, weight2, bias2, and with SUMS of dx
  int64_t rows;
  int size;
  int64_t stride;
  bool vector;
};

// All that the backward pass reads of one row.
template <typename T, int CHUNKS, int OUTPUTS, bool FULL> struct Row {
  Packed<T> x[CHUNKS], dy[OUTPUTS][CHUNKS], through[CHUNKS]; // the last: what reaches the sum from above
  // The mean in even lanes, rstd in odd ones. A number that all lanes load alike would become one of
  // the whole warp at once, for which NVIDIA's compiler waits, here, where nothing is to be waited for.
  float either;

  __device__ __forceinline__ float mean(const Backward<T> &a) const { return a.mean ? SHUFFLE(either, 0) : 0.0f; }
  __device__ __forceinline__ float rstd() const { return SHUFFLE(either, 1); }

  __device__ __forceinline__ void fetch_from(const Backward<T> &a, int64_t row) {
    const T *const incoming[2] = {a.dy, a.dy2};
    const int64_t first = row * a.size;
    either = (a.mean && threadIdx.x % 2 == 0 ? a.mean : a.rstd)[row];
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
      const int at = chunk_at(c);
      x[c] = fetch<FULL>(a.x + row * a.stride, at, a.size, a.vector);
#pragma unroll
      for (int o = 0; o < OUTPUTS; o++) dy[o][c] = fetch<FULL>(incoming[o] + first, at, a.size, a.vector);
      if (a.dsum) through[c] = fetch<FULL>(a.dsum + first, at, a.size, a.vector);
    }
  }
};

// Running sums over a block's rows, of this thread's columns.
template <int SUMS, int CHUNKS> struct SumsInRegisters {
  static constexpr int MOST_THREADS = THREADS;
  float sum[SUMS][CHUNKS][CHUNK] = {};

  __device__ __forceinline__ void add(int which, int c, const float (&x)[CHUNK]) {
#pragma unroll
    for (int i = 0; i < CHUNK; i++) sum[which][c][i] += x[i];
  }

  __device__ __forceinline__ void read(float (&to)[CHUNK], int which, int c) const {
#pragma unroll
    for (int i = 0; i < CHUNK; i++) to[i] = sum[which][c][i];
  }
};

#if !defined(__HIP__)
// Of long rows they do not fit there: in dynamic shared memory, each thread's own, in blocks of more
// threads with fewer registers each. The distance of two is constant, so that the compiler knows them
// apart and reads several at once.
template <int SUMS, int CHUNKS> struct SumsInShared {
  static constexpr int MOST_THREADS = CHUNKS == 1 ? 1024 : CHUNKS == 2 ? 768 : THREADS; // and the distance
  static constexpr int BYTES = SUMS * CHUNKS * CHUNK * MOST_THREADS * (int)sizeof(float);
  float4 *mine;

  __device__ __forceinline__ SumsInShared() {
    mine = static_cast<float4 *>(dynamic_shared()) + threadIdx.x;
#pragma unroll
    for (int i = 0; i < SUMS * CHUNKS * 2; i++) mine[i * MOST_THREADS] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  }

  __device__ __forceinline__ float4 &half(int which, int c, int h) const {
    return mine[((which * CHUNKS + c) * 2 + h) * MOST_THREADS];
  }

  __device__ __forceinline__ void add(int which, int c, const float (&x)[CHUNK]) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      float4 &to = half(which, c, h), sum = to;
      sum.x += x[4 * h], sum.y += x[4 * h + 1], sum.z += x[4 * h + 2], sum.w += x[4 * h + 3];
      to = sum;
    }
  }

  __device__ __forceinline__ void read(float (&to)[CHUNK], int which, int c) const {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const float4 sum = half(which, c, h);
      to[4 * h] = sum.x, to[4 * h + 1] = sum.y, to[4 * h + 2] = sum.z, to[4 * h + 3] = sum.w;
    }
  }
};
#endif

// Each block takes every gridDim.x-th row and keeps the sums for weight and bias, and with SUMS that
// of dx, which is the gradient of a bias that stands in the residual sum. The next row is on its way
// while one is reduced.
template <typename T, int CHUNKS, int OUTPUTS, bool SUMS, bool FULL, typename Sums>
__global__ void __launch_bounds__(Sums::MOST_THREADS, Sums::MOST_THREADS > THREADS ? 1 : resident(CHUNKS, OUTPUTS, SUMS) / THREADS)
    norm_backward(Backward<T> a) {
  const bool vector = a.vector;
  const T *const weights[2] = {a.weight, a.weight2};
  constexpr bool HELD = OUTPUTS == 2; // in registers; with one output those are few, and threads many
  Packed<T> held[OUTPUTS][CHUNKS];
#pragma unroll
  for (int o = 0; o < OUTPUTS; o++)
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
      if constexpr (HELD) held[o][c] = fetch<FULL>(weights[o], chunk_at(c), a.size, vector);
  const float per_element = 1.0f / (float)a.size;
  Sums total;
  Row<T, CHUNKS, OUTPUTS, FULL> here;
  here.fetch_from(a, blockIdx.x);
  int turn = 0;
  for (int64_t row = blockIdx.x; row < a.rows; row += gridDim.x) {
    const float rstd = here.rstd(), shift = -here.mean(a) * rstd;
    float normal[CHUNKS][CHUNK], g[CHUNKS][CHUNK]; // g: gradient of the normalised row
    float sums[2] = {0.0f, 0.0f};                  // of g, of g x normal
    Packed<T> through[CHUNKS];
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
      through[c] = here.through[c];
      widen(normal[c], here.x[c]);
#pragma unroll
      for (int i = 0; i < CHUNK; i++) normal[c][i] = normal[c][i] * rstd + shift;
#pragma unroll
      for (int o = 0; o < OUTPUTS; o++) {
        float w[CHUNK], dy[CHUNK], scaled[CHUNK]; // dy is zero beyond the row's end, and all that follows
        if constexpr (HELD) widen(w, held[o][c]);
        else load<FULL>(w, weights[o], chunk_at(c), a.size, vector);
        widen(dy, here.dy[o][c]);
#pragma unroll
        for (int i = 0; i < CHUNK; i++) {
          g[c][i] = dy[i] * w[i] + (o ? g[c][i] : 0.0f);
          scaled[i] = dy[i] * normal[c][i];
        }
        total.add(2 * o, c, scaled);
        total.add(2 * o + 1, c, dy);
      }
#pragma unroll
      for (int i = 0; i < CHUNK; i++) {
        sums[0] += g[c][i];
        sums[1] += g[c][i] * normal[c][i];
      }
    }
    if (row + gridDim.x < a.rows) here.fetch_from(a, row + gridDim.x);
    over_row<Sum>(sums, turn++);
    const float mean_g = a.mean ? sums[0] * per_element : 0.0f, mean_gn = sums[1] * per_element;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
      const int at = chunk_at(c);
      if (!FULL && at >= a.size) continue;
      float dx[CHUNK];
#pragma unroll
      for (int i = 0; i < CHUNK; i++) dx[i] = g[c][i] - mean_g - normal[c][i] * mean_gn;
      if (a.dsum) {
        float above[CHUNK];
        widen(above, through[c]);
#pragma unroll
        for (int i = 0; i < CHUNK; i++) dx[i] = dx[i] * rstd + above[i];
      } else {
#pragma unroll
        for (int i = 0; i < CHUNK; i++) dx[i] *= rstd;
      }
      if constexpr (SUMS) total.add(2 * OUTPUTS, c, dx);
      store<FULL>(a.dx + row * a.size, at, a.size, vector, dx);
    }
  }
#pragma unroll
  for (int c = 0; c < CHUNKS; c++)
#pragma unroll
    for (int which = 0; which < 2 * OUTPUTS + SUMS; which++) {
      float sum[CHUNK];
      total.read(sum, which, c);
      store(a.partial + ((int64_t)which * gridDim.x + blockIdx.x) * a.size, chunk_at(c), a.size, a.size % 4 == 0, sum);
    }
}

// With sums in registers.
int backward_chunks(int64_t size) {
  const int64_t chunks = ceil_div(size, CHUNK);
  return chunks <= THREADS ? 1 : chunks <= 2 * THREADS ? 2 : 4;
}

int64_t backward_blocks(int64_t rows, int64_t size, int outputs, bool sums) {
  const int chunks = backward_chunks(size), threads = threads_for(size, chunks);
  const int64_t blocks = (int64_t)multiprocessors() * (resident(chunks, outputs, sums) / threads);
  return rows < blocks ? rows : blocks;
}

template <typename T> bool is_full(const Backward<T> &a, int threads, int chunks) {
  return a.vector && a.size == (int64_t)threads * chunks * CHUNK;
}

#if !defined(__HIP__)
// Long rows, full: true if they are launched.
template <typename T, int CHUNKS, int OUTPUTS, bool SUMS>
bool launch_shared(const Backward<T> &a, unsigned blocks, Stream stream) {
  using Sums = SumsInShared<2 * OUTPUTS + SUMS, CHUNKS>;
  const auto kernel = norm_backward<T, CHUNKS, OUTPUTS, SUMS, true, Sums>;
  const int threads = threads_for(a.size, CHUNKS);
  if (threads > Sums::MOST_THREADS || !is_full(a, threads, CHUNKS) || !gets_shared(kernel, Sums::BYTES)) return false;
  kernel<<<blocks, threads, Sums::BYTES, stream>>>(a);
  return true;
}
#endif

template <typename T, int CHUNKS, int OUTPUTS, bool SUMS>
void launch_kept(const Backward<T> &a, unsigned blocks, Stream stream) {
  using Sums = SumsInRegisters<2 * OUTPUTS + SUMS, CHUNKS>;
  const int threads = threads_for(a.size, CHUNKS);
#if defined(__HIP__)
  constexpr bool FULL_TOO = true;
#else
  constexpr bool FULL_TOO = CHUNKS == 1; // longer rows, if full, keep them in shared memory
#endif
  if constexpr (FULL_TOO)
    if (is_full(a, threads, CHUNKS)) {
      norm_backward<T, CHUNKS, OUTPUTS, SUMS, true, Sums><<<blocks, threads, 0, stream>>>(a);
      return;
    }
  norm_backward<T, CHUNKS, OUTPUTS, SUMS, false, Sums><<<blocks, threads, 0, stream>>>(a);
}

template <typename T, int OUTPUTS, bool SUMS>
void launch_backward(const Backward<T> &a, unsigned blocks, Stream stream) {
  const int chunks = backward_chunks(a.size);
#if !defined(__HIP__)
  if (chunks == 2 && launch_shared<T, 1, OUTPUTS, SUMS>(a, blocks, stream)) return;
  if (chunks == 4 && launch_shared<T, 2, 1, SUMS>(a, blocks, stream)) return;
  if (chunks == 4 && launch_shared<T, 4, 1, SUMS>(a, blocks, stream)) return;
#endif
  if (chunks == 1) launch_kept<T, 1, OUTPUTS, SUMS>(a, blocks, stream);
  else if (chunks == 2) launch_kept<T, 2, OUTPUTS, SUMS>(a, blocks, stream);
  else launch_kept<T, 4, 1, SUMS>(a, blocks, stream); // two do not fit
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
  if (two && sums_dx) launch_backward<T, 2, true>(a, (unsigned)blocks, stream);
  else if (two) launch_backward<T, 2, false>(a, (unsigned)blocks, stream);
  else if (sums_dx) launch_backward<T, 1, true>(a, (unsigned)blocks, stream);
  else launch_backward<T, 1, false>(a, (unsigned)blocks, stream);
  // dweight, dbias, then dweight2, dbias2 of two, then the sum of dx
  Sums<T> sums = {{pointer<T>(t[9]), pointer<T>(t[10]), pointer<T>(two ? t[11] : t[13]), pointer<T>(t[12]), pointer<T>(t[13])}};
  launch_sum_parts(partial, blocks, x.size, sums, (two ? 4 : 2) + sums_dx, stream);
  return launched();
}

} // namespace

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
