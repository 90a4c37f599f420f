// The gradient of an embedding: a row of the table gets the sum over all places where its token stood.
// The tokens come sorted. A block takes a piece of them and adds up the runs of equal tokens that begin
// there, over the piece's end if a run ends in the next one. Longer runs are shared: of these each piece
// leaves its part, and other blocks add the parts up; so the order is always the same. Others again clear
// the rows whose token stood nowhere.
#include "arguments.h"

namespace {

constexpr int PIECE = 64, AT_ONCE = 4; // tokens
constexpr int ROWS = 32;               // of the table, that a block looks for
constexpr int PARTS_AT_ONCE = 8;
constexpr int THREADS = 256;

struct Sorted {
  const int64_t *token, *place; // ascending; where it stood
  int64_t count;

  // -1 where there is none.
  __device__ int at(int64_t i) const { return i >= 0 && i < count ? (int)token[i] : -1; }

  // How many tokens are smaller, of the first of every so many.
  __device__ int64_t before(int64_t looked_for, int every = 1) const {
    int64_t low = 0, high = (count + every - 1) / every;
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if (token[middle * every] < looked_for) low = middle + 1;
      else high = middle;
    }
    return low;
  }
  __device__ bool has(int64_t looked_for) const { return at(before(looked_for)) == looked_for; }
};

template <typename T> struct Table {
  T *out;
  int64_t rows;
  int size;
  bool vector;

  __device__ void put(int64_t row, int at, const float (&from)[CHUNK]) const {
    store(out + row * size, at, size, vector, from);
  }
};

__device__ __forceinline__ int column() { return (blockIdx.y * blockDim.x + threadIdx.x) * CHUNK; }

// Of a piece: what belongs to the run before it, and the beginning of one that goes on behind it.
__device__ __forceinline__ float *part(float *parts, int64_t piece, bool beginning, int size) {
  return parts + (2 * piece + beginning) * size;
}

template <typename T> __device__ void clear_absent(const Sorted &s, const Table<T> &table, int64_t first) {
  __shared__ bool absent[ROWS];
  for (int i = threadIdx.x; i < ROWS; i += blockDim.x) absent[i] = first + i < table.rows && !s.has(first + i);
  __syncthreads();
  const int at = column();
  if (at >= table.size) return;
  const float zeros[CHUNK] = {};
#pragma unroll 1
  for (int i = 0; i < ROWS; i++)
    if (absent[i]) table.put(first + i, at, zeros);
}

// Does a run that goes from a piece into the next one begin in the one, and end in the other? `before`,
// `beyond`: the tokens just outside of both.
__device__ __forceinline__ bool within_two(int token, int before, int beyond) {
  return token != before && token != beyond;
}

// The tokens of a piece and of its neighbours, for all threads of the block.
struct Piece {
  int around[PIECE + 1 + 2 * PIECE + 1]; // from the last but one's last
  int64_t place[2 * PIECE];

  __device__ void read(const Sorted &s, int64_t first) {
    for (int i = threadIdx.x; i < 3 * PIECE + 2; i += blockDim.x) around[i] = s.at(first - PIECE - 1 + i);
    for (int i = threadIdx.x; i < 2 * PIECE; i += blockDim.x)
      if (first + i < s.count) place[i] = s.place[first + i];
    __syncthreads();
  }
  __device__ int token(int i) const { return around[PIECE + 1 + i]; }
  // Does the run of place i - 1 go on at i?
  __device__ bool goes_on(int i) const { return token(i) == token(i - 1) && token(i) >= 0; }

  // Where the runs begin that are added up here, and where they end.
  __device__ int begin() const {
    int i = 0;
    if (goes_on(0) && within_two(token(0), token(-PIECE - 1), token(PIECE)))
      while (goes_on(i)) i++;
    return i;
  }
  __device__ int end(int64_t left) const {
    if (left <= PIECE) return (int)left;
    int i = PIECE;
    if (within_two(token(i - 1), token(-1), token(2 * PIECE)))
      while (goes_on(i)) i++;
    return i;
  }
};

template <typename T> struct Flight { // of rows of the gradient
  Packed<T> row[AT_ONCE];

  __device__ __forceinline__ void ask(const Piece &piece, int from, int end, const T *dy, int at, const Table<T> &table) {
#pragma unroll
    for (int j = 0; j < AT_ONCE; j++)
      if (from + j < end) row[j] = fetch(dy + piece.place[from + j] * table.size, at, table.size, table.vector);
  }
};

template <typename T>
__device__ void add_piece(const Sorted &s, const T *dy, const Table<T> &table, float *parts, int64_t number) {
  __shared__ Piece piece;
  const int64_t first = number * PIECE;
  piece.read(s, first);
  const int at = column(), size = table.size, begin = piece.begin(), end = piece.end(s.count - first);
  if (at >= size) return;
  bool from_before = piece.goes_on(begin);
  float sum[CHUNK] = {};
  Flight<T> next;
  next.ask(piece, begin, end, dy, at, table);
#pragma unroll 1
  for (int i = begin; i < end; i += AT_ONCE) {
    const Flight<T> now = next;
    next.ask(piece, i + AT_ONCE, end, dy, at, table);
#pragma unroll
    for (int j = 0; j < AT_ONCE; j++) {
      const int here = i + j;
      if (here >= end) continue;
      float wide[CHUNK];
      widen(wide, now.row[j]);
#pragma unroll
      for (int k = 0; k < CHUNK; k++) sum[k] += wide[k];
      const bool goes_on = piece.goes_on(here + 1);
      if (goes_on && here + 1 < end) continue;
      if (from_before || goes_on) store(part(parts, number, !from_before, size), at, size, size % 4 == 0, sum);
      else table.put(piece.token(here), at, sum);
      from_before = false;
#pragma unroll
      for (int k = 0; k < CHUNK; k++) sum[k] = 0.0f;
    }
  }
}

// Some of the blocks that clear stand among those that add, which wait more and move less; the others
// fill the end, when fewer and fewer still add.
template <typename T>
__global__ void __launch_bounds__(THREADS)
    add_runs(Sorted s, const T *dy, Table<T> table, float *parts, int64_t clearing) {
  const int64_t adding = gridDim.x - clearing, among = clearing / 4, mixed = adding + among;
  const int64_t block = blockIdx.x, before = block < mixed ? block * among / mixed : block - adding;
  const bool clears = block >= mixed || (block + 1) * among / mixed > before;
  if (clears) clear_absent(s, table, before * ROWS);
  else add_piece(s, dy, table, parts, block - before);
}

template <typename T>
__global__ void __launch_bounds__(THREADS) add_parts(Sorted s, float *parts, Table<T> table) {
  const int at = column(), size = table.size;
  const int64_t first = (int64_t)blockIdx.x * PIECE, next = first + PIECE;
  const int token = s.at(next), last_here = s.at(next - 1), before = s.at(first - 1), beyond = s.at(next + PIECE);
  if (at >= size || token < 0 || last_here != token || before == token || beyond != token) return;
  const int64_t last = s.before(token + 1, PIECE) - 1;
  float sum[CHUNK];
  load(sum, part(parts, blockIdx.x, true, size), at, size, size % 4 == 0);
  for (int64_t i = (int64_t)blockIdx.x + 1; i <= last; i += PARTS_AT_ONCE) {
    Packed<float> more[PARTS_AT_ONCE];
#pragma unroll
    for (int j = 0; j < PARTS_AT_ONCE; j++)
      if (i + j <= last) more[j] = fetch(part(parts, i + j, false, size), at, size, size % 4 == 0);
#pragma unroll
    for (int j = 0; j < PARTS_AT_ONCE; j++) {
      if (i + j > last) continue;
      float wide[CHUNK];
      widen(wide, more[j]);
#pragma unroll
      for (int k = 0; k < CHUNK; k++) sum[k] += wide[k];
    }
  }
  table.put(token, at, sum);
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
  NEOX_REQUIRE(size < INT32_MAX - THREADS * CHUNK && pieces + t[3].size[0] < INT32_MAX, NEOX_TOO_LONG);
  if (!elements(t[3])) return NEOX_OK;
  const Sorted s = {pointer<int64_t>(t[1]), pointer<int64_t>(t[2]), t[0].size[0]};
  const bool vector = vectors(t[0], size) && vectors(t[3], size);
  const int threads = (int)(chunks < THREADS ? ceil_div(chunks, WARP) * WARP : THREADS);
  const unsigned across = (unsigned)ceil_div(chunks, threads);
  const int64_t clearing = ceil_div(t[3].size[0], ROWS);
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
