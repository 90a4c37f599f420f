// Bias and GELU; SwiGLU, GeGLU and ReGLU (Shazeer 2020) of rows [up, gate]: up x curve(gate); bias,
// dropout and residual. Each forward and backward; the bias' gradient is summed on the way.
#include "columns.h"
#include "pointwise.h"

namespace {

constexpr int THREADS = 256;

// Blocks of a multiprocessor that the registers are cut for: of what reads one tensor more than of
// what reads several and sums.
constexpr int RESIDENT = 8, RESIDENT_BACK = 4, RESIDENT_MASK_BACK = 6;

// A block takes a strip of columns; its threads go down the rows.
struct Grid {
  int64_t rows;
  int size;
  bool vector;
  dim3 block, grid;

  __device__ int column() const { return (blockIdx.x * blockDim.x + threadIdx.x) * CHUNK; }
  __device__ int64_t first_row() const { return (int64_t)blockIdx.y * blockDim.y + threadIdx.y; }
  __device__ int64_t row_step() const { return (int64_t)gridDim.y * blockDim.y; }
};

// A thread that sums leaves one partial sum a column: then as many blocks as run at once, each with
// many rows. Others are many times as many, so that a multiprocessor that is done early takes more.
constexpr int WAVES = 16;

Grid grid_of(int64_t rows, int64_t size, int resident, bool sums) {
  Grid g = {};
  g.rows = rows;
  g.size = (int)size;
  const int64_t chunks = ceil_div(size, CHUNK);
  int wide = 1;
  while (wide < chunks && wide < THREADS) wide *= 2;
  const int64_t strips = ceil_div(chunks, wide), tall = THREADS / wide;
  int64_t down = ceil_div(rows, tall);
  const int64_t most = (int64_t)multiprocessors() * resident * (sums ? 1 : WAVES) / strips;
  if (down > most) down = most > 0 ? most : 1;
  g.block = dim3(wide, (unsigned)tall);
  g.grid = dim3((unsigned)strips, (unsigned)down);
  return g;
}

int64_t parts_of(const Grid &g) { return (int64_t)g.grid.y * g.block.y; }

__device__ __forceinline__ void keep_part(const Grid &g, float *partial, const float (&sum)[CHUNK]) {
  if (partial)
    store(partial + g.first_row() * g.size, g.column(), g.size, g.size % 4 == 0, sum);
}

// Which of eight neighbours survive: each with a probability of kept / 65536.
struct Mask {
  uint64_t seed, offset;
  uint32_t kept;
  float scale;
  int chunks; // of a row

  __device__ Mask(const int64_t *key, uint32_t kept, int size)
      : seed(key[0]), offset(key[1]), kept(kept), scale(kept ? 65536.0f / (float)kept : 0.0f),
        chunks((size + CHUNK - 1) / CHUNK) {}

  __device__ void apply(float (&v)[CHUNK], int64_t row, int at) const {
    const Philox random(seed, offset, (uint64_t)row * chunks + at / CHUNK);
#pragma unroll
    for (int i = 0; i < CHUNK; i++) v[i] = random.half_word(i) < kept ? v[i] * scale : 0.0f;
  }
};

template <typename T>
__global__ void __launch_bounds__(THREADS, RESIDENT)
    bias_gelu(Grid g, const T *x, const T *bias, T *y, int curve) {
  const int at = g.column();
  if (at >= g.size) return;
  float b[CHUNK] = {};
  if (bias) load(b, bias, at, g.size, g.vector);
  for (int64_t row = g.first_row(); row < g.rows; row += g.row_step()) {
    float v[CHUNK];
    load(v, x + row * g.size, at, g.size, g.vector);
    by_curve(curve, [&](auto c) {
#pragma unroll
      for (int i = 0; i < CHUNK; i++) v[i] = c.value(v[i] + b[i]);
    });
    store(y + row * g.size, at, g.size, g.vector, v);
  }
}

template <typename T>
__global__ void __launch_bounds__(THREADS, RESIDENT_BACK)
    bias_gelu_backward(Grid g, const T *dy, const T *x, const T *bias, T *dx, float *partial,
                       int curve) {
  const int at = g.column();
  if (at >= g.size) return;
  float b[CHUNK] = {}, sum[CHUNK] = {};
  if (bias) load(b, bias, at, g.size, g.vector);
  for (int64_t row = g.first_row(); row < g.rows; row += g.row_step()) {
    float v[CHUNK], d[CHUNK];
    load(v, x + row * g.size, at, g.size, g.vector);
    load(d, dy + row * g.size, at, g.size, g.vector);
    by_curve(curve, [&](auto c) {
#pragma unroll
      for (int i = 0; i < CHUNK; i++) d[i] *= c.slope(v[i] + b[i]);
    });
#pragma unroll
    for (int i = 0; i < CHUNK; i++) sum[i] += d[i];
    store(dx + row * g.size, at, g.size, g.vector, d);
  }
  keep_part(g, partial, sum);
}

template <typename T>
__global__ void __launch_bounds__(THREADS, RESIDENT) glu(Grid g, const T *x, T *y, int curve) {
  const int at = g.column();
  if (at >= g.size) return;
  for (int64_t row = g.first_row(); row < g.rows; row += g.row_step()) {
    const T *from = x + row * 2 * g.size;
    float up[CHUNK], gate[CHUNK];
    load(up, from, at, g.size, g.vector);
    load(gate, from + g.size, at, g.size, g.vector);
    by_curve(curve, [&](auto c) {
#pragma unroll
      for (int i = 0; i < CHUNK; i++) up[i] *= c.value(gate[i]);
    });
    store(y + row * g.size, at, g.size, g.vector, up);
  }
}

template <typename T>
__global__ void __launch_bounds__(THREADS, RESIDENT_BACK)
    glu_backward(Grid g, const T *dy, const T *x, T *dx, int curve) {
  const int at = g.column();
  if (at >= g.size) return;
  for (int64_t row = g.first_row(); row < g.rows; row += g.row_step()) {
    const T *from = x + row * 2 * g.size;
    float up[CHUNK], gate[CHUNK], d[CHUNK];
    load(up, from, at, g.size, g.vector);
    load(gate, from + g.size, at, g.size, g.vector);
    load(d, dy + row * g.size, at, g.size, g.vector);
    by_curve(curve, [&](auto c) {
#pragma unroll
      for (int i = 0; i < CHUNK; i++) {
        const float slope = c.slope(gate[i]), value = c.value(gate[i]);
        gate[i] = d[i] * up[i] * slope;
        up[i] = d[i] * value;
      }
    });
    T *to = dx + row * 2 * g.size;
    store(to, at, g.size, g.vector, up);
    store(to + g.size, at, g.size, g.vector, gate);
  }
}

template <typename T>
__global__ void __launch_bounds__(THREADS, RESIDENT)
    dropout_add(Grid g, const T *x, const T *bias, const T *residual, const int64_t *key, T *y,
                uint32_t kept) {
  const int at = g.column();
  if (at >= g.size) return;
  const Mask mask(key, kept, g.size);
  float b[CHUNK] = {};
  if (bias) load(b, bias, at, g.size, g.vector);
  for (int64_t row = g.first_row(); row < g.rows; row += g.row_step()) {
    float v[CHUNK], r[CHUNK];
    load(v, x + row * g.size, at, g.size, g.vector);
    load(r, residual + row * g.size, at, g.size, g.vector);
#pragma unroll
    for (int i = 0; i < CHUNK; i++) v[i] += b[i];
    mask.apply(v, row, at);
#pragma unroll
    for (int i = 0; i < CHUNK; i++) v[i] += r[i];
    store(y + row * g.size, at, g.size, g.vector, v);
  }
}

template <typename T>
__global__ void __launch_bounds__(THREADS, RESIDENT_MASK_BACK)
    dropout_add_backward(Grid g, const T *dy, const int64_t *key, T *dx, float *partial,
                         uint32_t kept) {
  const int at = g.column();
  if (at >= g.size) return;
  const Mask mask(key, kept, g.size);
  float sum[CHUNK] = {};
  for (int64_t row = g.first_row(); row < g.rows; row += g.row_step()) {
    float d[CHUNK];
    load(d, dy + row * g.size, at, g.size, g.vector);
    mask.apply(d, row, at);
#pragma unroll
    for (int i = 0; i < CHUNK; i++) sum[i] += d[i];
    store(dx + row * g.size, at, g.size, g.vector, d);
  }
  keep_part(g, partial, sum);
}

// Matrices t[i] of [rows, size] and vectors of [size], all dense and of one dtype.
int check(const neox_tensor *t, const int *which, int count, int64_t size) {
  for (int i = 0; i < count; i++) {
    const neox_tensor &one = t[which[i]];
    if (!given(one)) continue;
    NEOX_REQUIRE(one.dtype == t[0].dtype, NEOX_WRONG_DTYPE);
    NEOX_REQUIRE(dense(one), NEOX_WRONG_STRIDE);
    NEOX_REQUIRE(last(one) == size, NEOX_WRONG_SHAPE);
  }
  NEOX_REQUIRE(size < INT32_MAX / 2, NEOX_TOO_LONG);
  return NEOX_OK;
}

bool aligned(const neox_tensor *t, const int *which, int count, int64_t size) {
  bool all = true;
  for (int i = 0; i < count; i++) all = all && vectors(t[which[i]], size);
  return all;
}

int64_t rows_of(const neox_tensor &t) { return last(t) ? elements(t) / last(t) : 0; }

int64_t scratch_of(const neox_tensor &matrix, int resident, bool bias) {
  if (!bias) return 0;
  return parts_of(grid_of(rows_of(matrix), last(matrix), resident, true)) * last(matrix) * (int64_t)sizeof(float);
}

uint32_t kept_of(const neox_tensor &probability) {
  return (uint32_t)lrint((1.0 - number(probability)) * 65536.0);
}

} // namespace

// x [..., h], bias [h] (optional) -> y; curve (1: exact, 2: tanh).
NEOX_API int neox_bias_gelu(const neox_tensor *t, int n, void *, size_t, void *stream) {
  NEOX_REQUIRE(n == 4, NEOX_WRONG_COUNT);
  const int which[] = {0, 1, 2};
  if (int status = check(t, which, 3, last(t[0]))) return status;
  Grid g = grid_of(rows_of(t[0]), last(t[0]), RESIDENT, false);
  g.vector = aligned(t, which, 3, g.size);
  if (!g.rows) return NEOX_OK;
  NEOX_BY_TYPE(t[0].dtype, bias_gelu<T><<<g.grid, g.block, 0, (Stream)stream>>>(
                               g, pointer<T>(t[0]), pointer<T>(t[1]), pointer<T>(t[2]), (int)number(t[3])));
  return launched();
}

NEOX_API int64_t neox_bias_gelu_backward_scratch(const neox_tensor *t, int n) {
  return n == 6 ? scratch_of(t[0], RESIDENT_BACK, given(t[4])) : 0;
}

// dy, x, bias -> dx, dbias (optional); curve.
NEOX_API int neox_bias_gelu_backward(const neox_tensor *t, int n, void *scratch, size_t bytes, void *stream) {
  NEOX_REQUIRE(n == 6, NEOX_WRONG_COUNT);
  const int which[] = {0, 1, 2, 3, 4};
  if (int status = check(t, which, 5, last(t[0]))) return status;
  NEOX_REQUIRE((int64_t)bytes >= neox_bias_gelu_backward_scratch(t, n), NEOX_SMALL_SCRATCH);
  Grid g = grid_of(rows_of(t[0]), last(t[0]), RESIDENT_BACK, given(t[4]));
  g.vector = aligned(t, which, 5, g.size);
  if (!g.rows) return NEOX_OK;
  float *partial = given(t[4]) ? (float *)scratch : nullptr;
  NEOX_BY_TYPE(t[0].dtype,
               bias_gelu_backward<T><<<g.grid, g.block, 0, (Stream)stream>>>(
                   g, pointer<T>(t[0]), pointer<T>(t[1]), pointer<T>(t[2]), pointer<T>(t[3]), partial, (int)number(t[5]));
               launch_sum_parts(partial, parts_of(g), g.size, pointer<T>(t[4]), (Stream)stream));
  return launched();
}

// x [..., 2 f] -> y [..., f]; curve of the second half (0: SiLU, 1: GELU, 2: its tanh form, 3: ReLU).
NEOX_API int neox_glu(const neox_tensor *t, int n, void *, size_t, void *stream) {
  NEOX_REQUIRE(n == 3, NEOX_WRONG_COUNT);
  const int packed[] = {0}, half[] = {1};
  const int64_t size = last(t[1]);
  if (int status = check(t, packed, 1, 2 * size)) return status;
  if (int status = check(t, half, 1, size)) return status;
  Grid g = grid_of(rows_of(t[1]), size, RESIDENT, false);
  g.vector = aligned(t, packed, 1, size) && aligned(t, half, 1, size);
  if (!g.rows) return NEOX_OK;
  NEOX_BY_TYPE(t[0].dtype, glu<T><<<g.grid, g.block, 0, (Stream)stream>>>(
                               g, pointer<T>(t[0]), pointer<T>(t[1]), (int)number(t[2])));
  return launched();
}

// dy [..., f], x [..., 2 f] -> dx [..., 2 f]; curve.
NEOX_API int neox_glu_backward(const neox_tensor *t, int n, void *, size_t, void *stream) {
  NEOX_REQUIRE(n == 4, NEOX_WRONG_COUNT);
  const int half[] = {0}, packed[] = {1, 2};
  const int64_t size = last(t[0]);
  if (int status = check(t, packed, 2, 2 * size)) return status;
  if (int status = check(t, half, 1, size)) return status;
  Grid g = grid_of(rows_of(t[0]), size, RESIDENT_BACK, false);
  g.vector = aligned(t, packed, 2, size) && aligned(t, half, 1, size);
  if (!g.rows) return NEOX_OK;
  NEOX_BY_TYPE(t[0].dtype, glu_backward<T><<<g.grid, g.block, 0, (Stream)stream>>>(
                               g, pointer<T>(t[0]), pointer<T>(t[1]), pointer<T>(t[2]), (int)number(t[3])));
  return launched();
}

// x [..., h], bias [h] (optional), residual, key [2] (seed, offset) -> y = residual + dropout(x +
// bias); probability, rounded to 1 / 65536.
NEOX_API int neox_dropout_add(const neox_tensor *t, int n, void *, size_t, void *stream) {
  NEOX_REQUIRE(n == 6, NEOX_WRONG_COUNT);
  const int which[] = {0, 1, 2, 4};
  if (int status = check(t, which, 4, last(t[0]))) return status;
  NEOX_REQUIRE(t[3].dtype == NEOX_I64 && elements(t[3]) == 2, NEOX_WRONG_DTYPE);
  Grid g = grid_of(rows_of(t[0]), last(t[0]), RESIDENT, false);
  g.vector = aligned(t, which, 4, g.size);
  if (!g.rows) return NEOX_OK;
  NEOX_BY_TYPE(t[0].dtype, dropout_add<T><<<g.grid, g.block, 0, (Stream)stream>>>(
                               g, pointer<T>(t[0]), pointer<T>(t[1]), pointer<T>(t[2]), pointer<int64_t>(t[3]), pointer<T>(t[4]), kept_of(t[5])));
  return launched();
}

NEOX_API int64_t neox_dropout_add_backward_scratch(const neox_tensor *t, int n) {
  return n == 5 ? scratch_of(t[0], RESIDENT_MASK_BACK, given(t[3])) : 0;
}

// dy, key -> dx, dbias (optional); probability. The residual's gradient is dy itself.
NEOX_API int neox_dropout_add_backward(const neox_tensor *t, int n, void *scratch, size_t bytes, void *stream) {
  NEOX_REQUIRE(n == 5, NEOX_WRONG_COUNT);
  const int which[] = {0, 2, 3};
  if (int status = check(t, which, 3, last(t[0]))) return status;
  NEOX_REQUIRE(t[1].dtype == NEOX_I64 && elements(t[1]) == 2, NEOX_WRONG_DTYPE);
  NEOX_REQUIRE((int64_t)bytes >= neox_dropout_add_backward_scratch(t, n), NEOX_SMALL_SCRATCH);
  Grid g = grid_of(rows_of(t[0]), last(t[0]), RESIDENT_MASK_BACK, given(t[3]));
  g.vector = aligned(t, which, 3, g.size);
  if (!g.rows) return NEOX_OK;
  float *partial = given(t[3]) ? (float *)scratch : nullptr;
  NEOX_BY_TYPE(t[0].dtype,
               dropout_add_backward<T><<<g.grid, g.block, 0, (Stream)stream>>>(
                   g, pointer<T>(t[0]), pointer<int64_t>(t[1]), pointer<T>(t[2]), partial, kept_of(t[4]));
               launch_sum_parts(partial, parts_of(g), g.size, pointer<T>(t[3]), (Stream)stream));
  return launched();
}
