// The sum of the squares of many tensors, in fp64 and always in the same order. Of eight neighbours it is
// added up in fp32, unless they leave its range.
#include "batch.h"

namespace {

constexpr int THREADS = 256, CHUNKS = 8; // of a thread
constexpr int PER_BLOCK = THREADS * CHUNKS * CHUNK;
constexpr int AT_ONCE = 128; // tensors: 2.5 KB of kernel arguments
constexpr int LAST_THREADS = 1024;

struct Tensor {
  const void *data;
  int64_t size;
};

template <typename T> __device__ __forceinline__ double squares(const Packed<T> &raw) {
  constexpr float LEAST = 1e-25f, MOST = 1e37f; // outside squares overflow, or lose digits
  float x[CHUNK], sum = 0.0f, largest = 0.0f;
  widen(x, raw);
#pragma unroll
  for (int i = 0; i < CHUNK; i++) sum += x[i] * x[i], largest = fmaxf(largest, fabsf(x[i]));
  if ((sum >= LEAST && sum <= MOST) || largest == 0.0f) return sum;
  double exact = 0.0;
#pragma unroll 1
  for (int i = 0; i < CHUNK; i++) exact += (double)x[i] * x[i];
  return exact;
}

// By halves of the block, the lower of two first.
template <int N> __device__ __forceinline__ double over_block(double mine) {
  __shared__ double kept[N];
  kept[threadIdx.x] = mine;
  for (int half = N / 2; half > 0; half /= 2) {
    __syncthreads();
    if ((int)threadIdx.x < half) kept[threadIdx.x] += kept[threadIdx.x + half];
  }
  return kept[0]; // to the first thread
}

template <typename T>
__global__ void __launch_bounds__(THREADS) add_squares(const __grid_constant__ Batch<Tensor, AT_ONCE> batch, double *partial) {
  const int which = batch.holder(blockIdx.x);
  const int64_t base = (int64_t)(blockIdx.x - batch.first_block[which]) * PER_BLOCK;
  const T *const from = (const T *)batch.item[which].data + base;
  const int size = (int)(batch.item[which].size - base < PER_BLOCK ? batch.item[which].size - base : PER_BLOCK);
  const bool vector = (uintptr_t)from % 16 == 0;
  Packed<T> raw[CHUNKS];
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) {
    const int at = (c * THREADS + threadIdx.x) * CHUNK;
    raw[c] = at < size ? fetch(from, at, size, vector) : Packed<T>();
  }
  double sum = 0.0;
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) sum += squares(raw[c]);
  sum = over_block<THREADS>(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

template <int N> __global__ void __launch_bounds__(N) add_partial(const double *partial, int64_t count, double *out) {
  double sum = 0.0;
#pragma unroll 8
  for (int64_t i = threadIdx.x; i < count; i += N) sum += partial[i];
  sum = over_block<N>(sum);
  if (threadIdx.x == 0) *out = sum;
}

template <typename T> int launch(const neox_tensor *t, int count, double *partial, Stream stream) {
  const auto tensor = [&](int i) { return Tensor{t[i].data, elements(t[i])}; };
  return in_batches<Tensor, AT_ONCE>(count, PER_BLOCK, tensor, [&](const auto &batch, int blocks) {
    add_squares<T><<<blocks, THREADS, 0, stream>>>(batch, partial);
    partial += blocks;
  });
}

int64_t blocks_of(const neox_tensor *t, int n) {
  int64_t blocks = 0;
  for (int i = 1; i < n; i++) blocks += ceil_div(elements(t[i]), PER_BLOCK);
  return blocks;
}

} // namespace

NEOX_API int64_t neox_squared_norm_scratch(const neox_tensor *t, int n) { return blocks_of(t, n) * (int64_t)sizeof(double); }

// out (one fp64), tensors of one format.
NEOX_API int neox_squared_norm(const neox_tensor *t, int n, void *scratch, size_t bytes, void *stream) {
  NEOX_REQUIRE(n > 1, NEOX_WRONG_COUNT);
  NEOX_REQUIRE(t[0].dtype == NEOX_F64, NEOX_WRONG_DTYPE);
  for (int i = 1; i < n; i++) {
    NEOX_REQUIRE(t[i].dtype == t[1].dtype, NEOX_WRONG_DTYPE);
    NEOX_REQUIRE(dense(t[i]), NEOX_WRONG_STRIDE);
  }
  NEOX_REQUIRE((int64_t)bytes >= neox_squared_norm_scratch(t, n), NEOX_SMALL_SCRATCH);
  const Stream on = (Stream)stream;
  double *const partial = (double *)scratch;
  int status = NEOX_OK;
  NEOX_BY_TYPE(t[1].dtype, status = launch<T>(t + 1, n - 1, partial, on));
  if (status) return status;
  add_partial<LAST_THREADS><<<1, LAST_THREADS, 0, on>>>(partial, blocks_of(t, n), (double *)t[0].data);
  return launched();
}
