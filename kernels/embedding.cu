// The gradient of an embedding: a row of the table gets the sum over all places where its token stood.
// The tokens come sorted. A block takes a piece of them, adds up its runs of equal tokens, and writes
// those that lie within; of runs that go on in another piece it leaves its part, and the block in which
// such a run begins adds the parts up. So the order is always the same, and a token that stands in a
// twentieth of all places keeps nobody waiting. Other blocks look for rows whose token stood nowhere.
#include "arguments.h"

namespace {

constexpr int PIECE = 32, AT_ONCE = 8; // tokens
constexpr int ROWS = 128;               // of the table, that a block looks for
constexpr int THREADS = 256;

struct Sorted {
  const int64_t *token, *place; // ascending; where it stood
  int64_t count;

  __device__ int64_t end(int64_t first) const { return first + PIECE < count ? first + PIECE : count; }
  __device__ bool has(int64_t looked_for) const {
    int64_t low = 0, high = count;
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if (token[middle] < looked_for) low = middle + 1;
      else high = middle;
    }
    return low < count && token[low] == looked_for;
  }
  // Does the run of place i - 1 go on at i?
  __device__ bool goes_on(int64_t i) const { return i > 0 && i < count && token[i - 1] == token[i]; }
};

__device__ __forceinline__ int column() { return (blockIdx.y * blockDim.x + threadIdx.x) * CHUNK; }

// Of a piece: what belongs to the run before it, and the beginning of one that goes on behind it.
__device__ __forceinline__ float *part(float *parts, int64_t piece, bool beginning, int size) {
  return parts + (2 * piece + beginning) * size;
}

template <typename T> struct Table {
  T *out;
  int64_t rows;
  int size;
  bool vector;
};

template <typename T> __device__ void clear_absent(const Sorted &s, const Table<T> &table, int64_t first) {
  __shared__ bool absent[ROWS];
  for (int i = threadIdx.x; i < ROWS; i += blockDim.x) absent[i] = first + i < table.rows && !s.has(first + i);
  __syncthreads();
  const int at = column();
  if (at >= table.size) return;
  const float zeros[CHUNK] = {};
#pragma unroll 1
  for (int i = 0; i < ROWS; i++)
    if (absent[i]) store(table.out + (first + i) * table.size, at, table.size, table.vector, zeros);
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    add_runs(Sorted s, const T *dy, Table<T> table, float *parts, int clearing) {
  if ((int)blockIdx.x < clearing) { // the first, because they take longest
    clear_absent(s, table, (int64_t)blockIdx.x * ROWS);
    return;
  }
  const int at = column(), size = table.size;
  const bool vector = table.vector;
  if (at >= size) return;
  const int64_t first = (int64_t)(blockIdx.x - clearing) * PIECE, end = s.end(first);
  float sum[CHUNK] = {};
  bool from_before = s.goes_on(first);
  for (int64_t i = first; i < end; i += AT_ONCE) {
    Packed<T> row[AT_ONCE];
#pragma unroll
    for (int j = 0; j < AT_ONCE; j++)
      if (i + j < end) row[j] = fetch(dy + s.place[i + j] * size, at, size, vector);
#pragma unroll
    for (int j = 0; j < AT_ONCE; j++) {
      const int64_t here = i + j;
      if (here >= end) break;
      float wide[CHUNK];
      widen(wide, row[j]);
#pragma unroll
      for (int k = 0; k < CHUNK; k++) sum[k] += wide[k];
      const bool goes_on = s.goes_on(here + 1);
      if (goes_on && here + 1 < end) continue;
      if (from_before || goes_on)
        store(part(parts, first / PIECE, !from_before, size), at, size, size % 4 == 0, sum);
      else store(table.out + s.token[here] * size, at, size, vector, sum);
      from_before = false;
#pragma unroll
      for (int k = 0; k < CHUNK; k++) sum[k] = 0.0f;
    }
  }
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    add_parts(Sorted s, float *parts, Table<T> table) {
  const int at = column(), size = table.size;
  const int64_t first = (int64_t)blockIdx.x * PIECE, token = s.token[s.end(first) - 1];
  if (at >= size || !s.goes_on(s.end(first))) return;
  if (s.token[first] == token && s.goes_on(first)) return; // it began before
  float sum[CHUNK];
  load(sum, part(parts, first / PIECE, true, size), at, size, size % 4 == 0);
  for (int64_t next = first + PIECE; s.goes_on(next) && s.token[next] == token; next += PIECE) {
    float more[CHUNK];
    load(more, part(parts, next / PIECE, false, size), at, size, size % 4 == 0);
#pragma unroll
    for (int k = 0; k < CHUNK; k++) sum[k] += more[k];
  }
  store(table.out + token * size, at, size, table.vector, sum);
}

int64_t pieces_of(const neox_tensor &tokens) { return ceil_div(tokens.size[0], PIECE); }

} // namespace

NEOX_API int64_t neox_embedding_backward_scratch(const neox_tensor *t, int n) {
  return n == 4 ? 2 * pieces_of(t[1]) * last(t[0]) * (int64_t)sizeof(float) : 0;
}

// dy [n, h], its tokens ascending [n], where each stood [n] -> out [vocabulary, h].
NEOX_API int neox_embedding_backward(const neox_tensor *t, int n, void *scratch, size_t bytes, void *stream) {
  NEOX_REQUIRE(n == 4, NEOX_WRONG_COUNT);
  NEOX_REQUIRE(t[0].dtype == t[3].dtype && t[1].dtype == NEOX_I64 && t[2].dtype == NEOX_I64, NEOX_WRONG_DTYPE);
  NEOX_REQUIRE(t[0].ndim == 2 && t[3].ndim == 2 && t[0].size[1] == t[3].size[1], NEOX_WRONG_SHAPE);
  for (int i = 0; i < n; i++) NEOX_REQUIRE(dense(t[i]), NEOX_WRONG_STRIDE);
  for (int i = 1; i < 3; i++) NEOX_REQUIRE(t[i].ndim == 1 && t[i].size[0] == t[0].size[0], NEOX_WRONG_SHAPE);
  NEOX_REQUIRE((int64_t)bytes >= neox_embedding_backward_scratch(t, n), NEOX_SMALL_SCRATCH);
  const int64_t size = last(t[0]), chunks = ceil_div(size, CHUNK), pieces = pieces_of(t[1]);
  NEOX_REQUIRE(size < INT32_MAX - THREADS * CHUNK && t[3].size[0] < INT32_MAX, NEOX_TOO_LONG);
  NEOX_REQUIRE(pieces + t[3].size[0] < INT32_MAX, NEOX_TOO_LONG);
  if (!elements(t[3])) return NEOX_OK;
  const Sorted s = {pointer<int64_t>(t[1]), pointer<int64_t>(t[2]), t[0].size[0]};
  const bool vector = vectors(t[0], size) && vectors(t[3], size);
  const int threads = (int)(chunks < THREADS ? ceil_div(chunks, WARP) * WARP : THREADS);
  const unsigned across = (unsigned)ceil_div(chunks, threads);
  const int clearing = (int)ceil_div(t[3].size[0], ROWS);
  const dim3 grid((unsigned)(clearing + pieces), across), of_pieces((unsigned)pieces, across);
  float *const parts = (float *)scratch;
  const auto run = [&](auto type) {
    using T = decltype(type);
    const Table<T> table = {pointer<T>(t[3]), t[3].size[0], (int)size, vector};
    add_runs<T><<<grid, threads, 0, (Stream)stream>>>(s, pointer<T>(t[0]), table, parts, clearing);
    if (pieces) add_parts<T><<<of_pieces, threads, 0, (Stream)stream>>>(s, parts, table);
  };
  NEOX_BY_TYPE(t[0].dtype, run(T()));
  return launched();
}
