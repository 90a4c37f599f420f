// Numbers of eight bits for matrix products (Micikevicius et al. 2022): the largest magnitude of a
// tensor, and the tensor scaled by it, once as it lies and once transposed, because a product in fp8
// reads both its factors along the axis that it sums over. Not for HIP: gfx90a multiplies no fp8.
#if !defined(__HIP__)
#include "arguments.h"
#include <cuda_fp8.h>

namespace {

constexpr int THREADS = 256;
constexpr int AHEAD = 4; // chunks that a thread has on their way

template <typename T>
__global__ void __launch_bounds__(THREADS)
    largest_magnitude(const T *x, int64_t size, bool vector, int *largest) {
  __shared__ float of_warp[THREADS / WARP];
  const int64_t stride = (int64_t)gridDim.x * THREADS * CHUNK * AHEAD;
  float found = 0.0f;
  for (int64_t base = (int64_t)blockIdx.x * THREADS * CHUNK * AHEAD; base < size; base += stride) {
    const int left = (int)(size - base < THREADS * CHUNK * AHEAD ? size - base : THREADS * CHUNK * AHEAD);
    Packed<T> raw[AHEAD];
#pragma unroll
    for (int a = 0; a < AHEAD; a++)
      raw[a] = fetch(x + base, (a * THREADS + (int)threadIdx.x) * CHUNK, left, vector);
#pragma unroll
    for (int a = 0; a < AHEAD; a++) {
      float wide[CHUNK];
      widen(wide, raw[a]);
#pragma unroll
      for (int i = 0; i < CHUNK; i++) found = fmaxf(found, fabsf(wide[i]));
    }
  }
#pragma unroll
  for (int lanes = WARP / 2; lanes; lanes /= 2) found = fmaxf(found, SHUFFLE_XOR(found, lanes));
  if (threadIdx.x % WARP == 0) of_warp[threadIdx.x / WARP] = found;
  __syncthreads();
  if (threadIdx.x) return;
  for (int w = 0; w < THREADS / WARP; w++) found = fmaxf(found, of_warp[w]);
  atomicMax(largest, __float_as_int(found)); // not negative, so their bits are ordered alike
}

constexpr int TILE = 128; // rows and columns of a block
constexpr int WORDS = TILE / 4;

// Where word `word` of a row lies in shared memory: both the rows that are written and the columns
// that are read meet every bank once.
__device__ __forceinline__ int place(int row, int word) {
  return row * WORDS + (word ^ ((row >> 4 & 7) << 2));
}

__device__ __forceinline__ uint32_t four(const float *x, float scale, __nv_fp8_interpretation_t kind) {
  const uint32_t low = __nv_cvt_float2_to_fp8x2(make_float2(x[0] * scale, x[1] * scale), __NV_SATFINITE, kind);
  const uint32_t high = __nv_cvt_float2_to_fp8x2(make_float2(x[2] * scale, x[3] * scale), __NV_SATFINITE, kind);
  return low | high << 16;
}

// Four rows of four bytes become four columns.
__device__ __forceinline__ void turn_bytes(const uint32_t (&row)[4], uint32_t (&column)[4]) {
  const uint32_t a = __byte_perm(row[0], row[1], 0x5140), b = __byte_perm(row[0], row[1], 0x7362);
  const uint32_t c = __byte_perm(row[2], row[3], 0x5140), d = __byte_perm(row[2], row[3], 0x7362);
  column[0] = __byte_perm(a, c, 0x5410), column[1] = __byte_perm(a, c, 0x7632);
  column[2] = __byte_perm(b, d, 0x5410), column[3] = __byte_perm(b, d, 0x7632);
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    cast(const T *x, int64_t rows, int64_t columns, bool vector, const float *largest, float top,
         __nv_fp8_interpretation_t kind, uint8_t *as_is, uint8_t *turned, float *inverse) {
  __shared__ uint32_t tile[TILE * WORDS];
  const float most = *largest, scale = most > 0.0f ? top / most : 1.0f;
  if (threadIdx.x == 0 && blockIdx.x == 0 && blockIdx.y == 0) *inverse = 1.0f / scale;
  const int64_t row0 = (int64_t)blockIdx.y * TILE, column0 = (int64_t)blockIdx.x * TILE;
  constexpr int CHUNKS = TILE / CHUNK, EACH = TILE * CHUNKS / THREADS; // of a row; of a thread
  Packed<T> raw[EACH];
#pragma unroll
  for (int e = 0; e < EACH; e++) {
    const int item = e * THREADS + threadIdx.x;
    const int64_t row = row0 + item / CHUNKS, column = column0 + item % CHUNKS * CHUNK;
    raw[e] = {};
    if (row < rows && column < columns)
      raw[e] = fetch(x + row * columns, (int)column, (int)columns, vector);
  }
#pragma unroll
  for (int e = 0; e < EACH; e++) {
    const int item = e * THREADS + threadIdx.x, row = item / CHUNKS, at = item % CHUNKS;
    float wide[CHUNK];
    widen(wide, raw[e]);
    const uint2 eight = make_uint2(four(wide, scale, kind), four(wide + 4, scale, kind));
    if (as_is && row0 + row < rows && column0 + at * CHUNK < columns)
      *reinterpret_cast<uint2 *>(as_is + (row0 + row) * columns + column0 + at * CHUNK) = eight;
    if (turned) *reinterpret_cast<uint2 *>(&tile[place(row, 2 * at)]) = eight;
  }
  if (!turned) return;
  __syncthreads();
  // a thread turns four columns of sixteen rows; eight lanes write 128 bytes of a column
  const int lane = threadIdx.x % 32, word = threadIdx.x / 32 * 4 + lane % 4, from = lane / 4 * 16;
  uint32_t sixteen[4][4]; // of each column
#pragma unroll
  for (int part = 0; part < 4; part++) {
    uint32_t row[4], column[4];
#pragma unroll
    for (int i = 0; i < 4; i++) row[i] = tile[place(from + part * 4 + i, word)];
    turn_bytes(row, column);
#pragma unroll
    for (int c = 0; c < 4; c++) sixteen[c][part] = column[c];
  }
  if (row0 + from >= rows) return;
#pragma unroll
  for (int c = 0; c < 4; c++) {
    const int64_t column = column0 + word * 4 + c;
    if (column < columns)
      *reinterpret_cast<uint4 *>(turned + column * rows + row0 + from) =
          make_uint4(sixteen[c][0], sixteen[c][1], sixteen[c][2], sixteen[c][3]);
  }
}

} // namespace

// x (any format, dense), largest [1] fp32: raised to the largest magnitude of x
NEOX_API int neox_largest_magnitude(const neox_tensor *args, int n, void *, size_t, void *stream) {
  NEOX_REQUIRE(n == 2, NEOX_WRONG_COUNT);
  const neox_tensor &x = args[0], &largest = args[1];
  NEOX_REQUIRE(largest.dtype == NEOX_F32, NEOX_WRONG_DTYPE);
  NEOX_REQUIRE(dense(x), NEOX_WRONG_STRIDE);
  const int64_t size = elements(x), blocks = ceil_div(size, (int64_t)THREADS * CHUNK * AHEAD);
  if (!size) return NEOX_OK;
  const int64_t most = (int64_t)multiprocessors() * 8;
  NEOX_BY_TYPE(x.dtype, largest_magnitude<T><<<(unsigned)(blocks < most ? blocks : most), THREADS, 0,
                                               (Stream)stream>>>(
                            pointer<T>(x), size, vectors(x, CHUNK), pointer<int>(largest)))
  return launched();
}

// x [rows, columns] (any format, dense), largest [1] fp32, as it lies [rows, columns] and transposed
// [columns, rows] (bytes; either may be absent), inverse of the scale [1] fp32, the format's largest
// number, and 1 for e5m2 or 0 for e4m3. Rows and columns are multiples of 16.
NEOX_API int neox_fp8_cast(const neox_tensor *args, int n, void *, size_t, void *stream) {
  NEOX_REQUIRE(n == 7, NEOX_WRONG_COUNT);
  const neox_tensor &x = args[0], &largest = args[1], &as_is = args[2], &turned = args[3],
                    &inverse = args[4];
  NEOX_REQUIRE(largest.dtype == NEOX_F32 && inverse.dtype == NEOX_F32, NEOX_WRONG_DTYPE);
  NEOX_REQUIRE(x.ndim == 2 && x.size[0] % 16 == 0 && x.size[1] % 16 == 0, NEOX_WRONG_SHAPE);
  NEOX_REQUIRE(dense(x) && dense(as_is) && dense(turned), NEOX_WRONG_STRIDE);
  const int64_t rows = x.size[0], columns = x.size[1];
  NEOX_REQUIRE(columns < INT32_MAX && ceil_div(rows, TILE) <= 65535, NEOX_TOO_LONG);
  if (!rows || !columns) return NEOX_OK;
  const dim3 blocks((unsigned)ceil_div(columns, TILE), (unsigned)ceil_div(rows, TILE));
  const auto kind = number(args[6]) > 0 ? __NV_E5M2 : __NV_E4M3;
  NEOX_BY_TYPE(x.dtype, cast<T><<<blocks, THREADS, 0, (Stream)stream>>>(
                            pointer<T>(x), rows, columns, vectors(x, columns), pointer<float>(largest),
                            (float)number(args[5]), kind, pointer<uint8_t>(as_is),
                            pointer<uint8_t>(turned), pointer<float>(inverse)))
  return launched();
}
#endif
