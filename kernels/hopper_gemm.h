// A matrix product whose tiles are finished by warps of their own, for sm_90a, fp16 and bf16.
//
// A block multiplies tiles of 128 x 256, each of its two groups of four warps one half of the rows. It
// loads 64 of k at a time, half of the second matrix for both blocks of a cluster. A group puts its
// finished half into shared memory, narrowed, and goes on with the next tile; three warps more take it
// from there, so that what they do hides behind the next product.
#pragma once
#include "arguments.h"
#include "hopper.h"

#if defined(NEOX_HOPPER)
#include <cuda.h>
#include <dlfcn.h>

constexpr int TALL = 128, WIDE = 256, DEEP = 64; // of a tile, and of what is loaded at once
constexpr int HALF = TALL / 2, HALVES = 2, STAGES = 3, CLUSTER = 2;
constexpr int GROUP = 128, THREADS = 3 * GROUP; // two groups multiply; of the first one warp loads
constexpr int FINISHERS = GROUP / WARP - 1;     // and these finish
constexpr int LINE = 64, LINE_BYTES = 128, EIGHT_LINES = 8 * LINE_BYTES; // elements that lie together
constexpr int BOXES = WIDE / LINE, BOX_BYTES = HALF * LINE_BYTES;        // of a finished half
constexpr int A_BYTES = TALL * LINE_BYTES, B_BYTES = WIDE * LINE_BYTES, SHARE_BYTES = B_BYTES / CLUSTER;
static_assert(DEEP == LINE, "a line is what is loaded of a row");

struct Tiles {
  int m, n, k;
  int strip; // tiles of n that stand side by side before m goes on

  __device__ int high() const { return (m + CLUSTER * TALL - 1) / (CLUSTER * TALL); }
  __device__ int across() const { return (n + WIDE - 1) / WIDE; }
  __device__ int count() const { return high() * across(); } // of a cluster's
  __device__ int steps() const { return (k + DEEP - 1) / DEEP; }

  // The first row and column of this block's part of a cluster's tile.
  __device__ void place(int tile, int block, int &row, int &column) const {
    const int of_strip = strip * high(), first = tile / of_strip * strip, rest = tile % of_strip;
    const int wide = min(strip, across() - first);
    row = (rest / wide * CLUSTER + block) * TALL, column = (first + rest % wide) * WIDE;
  }
};

struct Places { // in shared memory
  unsigned char stage[STAGES][A_BYTES + B_BYTES];
  unsigned char half[HALVES][BOXES * BOX_BYTES];
  Barrier full[STAGES], empty[STAGES];
  Barrier put[HALVES], taken[HALVES];
};

#if defined(NEOX_ON_HOPPER)
struct Turn { // through the stages
  int stage = 0;
  uint32_t parity = 0;

  __device__ void next() {
    if (++stage == STAGES) stage = 0, parity ^= 1;
  }
};

// ACROSS: the second matrix is [k, n] and not [n, k].
template <bool ACROSS>
__device__ void load_tiles(const Tiles &t, Places &p, const CUtensorMap &a, const CUtensorMap &b) {
  const int block = block_of_cluster();
  Turn turn;
  for (int tile = blockIdx.x / CLUSTER; tile < t.count(); tile += gridDim.x / CLUSTER) {
    int row, column;
    t.place(tile, block, row, column);
    column += block * (WIDE / CLUSTER);
    for (int step = 0; step < t.steps(); step++, turn.next()) {
      Barrier &full = p.full[turn.stage];
      unsigned char *const to = p.stage[turn.stage], *const share = to + A_BYTES + block * SHARE_BYTES;
      p.empty[turn.stage].wait(turn.parity ^ 1);
      full.expect(A_BYTES + B_BYTES);
      copy_box(to, &a, step * DEEP, row, full);
      if constexpr (ACROSS) {
#pragma unroll
        for (int i = 0; i < WIDE / CLUSTER / LINE; i++)
          copy_box(share + i * DEEP * LINE_BYTES, &b, column + i * LINE, step * DEEP, full, (1 << CLUSTER) - 1);
      } else {
        copy_box(share, &b, step * DEEP, column, full, (1 << CLUSTER) - 1);
      }
    }
  }
}

template <typename T> __device__ __forceinline__ uint32_t narrowed(float low, float high) {
  typename Two<T>::type two;
  if constexpr (std::is_same<T, bf16>::value) two = __floats2bfloat162_rn(low, high);
  else two = __floats2half2_rn(low, high);
  return reinterpret_cast<const uint32_t &>(two);
}

// A warp's 16 rows, as `multiply` leaves them.
template <typename T> __device__ __forceinline__ void put_rows(unsigned char *half, const float (&sum)[128]) {
  const int lane = threadIdx.x % WARP, row = 16 * (threadIdx.x % GROUP / WARP) + lane % 16;
  const uint32_t line = shared_place(half) + row * LINE_BYTES;
#pragma unroll
  for (int i = 0; i < WIDE / 16; i++) {
    const int eight = 2 * i + lane / 16; // columns that this lane names the place of
    const float *const s = sum + 8 * i;
    store_matrices(line + eight / 8 * BOX_BYTES + (eight % 8 ^ row % 8) * 16, narrowed<T>(s[0], s[1]),
                   narrowed<T>(s[2], s[3]), narrowed<T>(s[4], s[5]), narrowed<T>(s[6], s[7]));
  }
}

template <typename T, bool ACROSS> __device__ void multiply_tiles(const Tiles &t, Places &p, int half) {
  constexpr int AT_ONCE = 16, BYTES = AT_ONCE * 2; // of k, and along a line
  constexpr int NEXT_A = BYTES >> 4, NEXT_B = (ACROSS ? AT_ONCE * LINE_BYTES : BYTES) >> 4;
  float sum[128];
  Turn turn;
  uint32_t parity = 0;
  for (int tile = blockIdx.x / CLUSTER; tile < t.count(); tile += gridDim.x / CLUSTER, parity ^= 1) {
    for (int step = 0; step < t.steps(); step++, turn.next()) {
      const unsigned char *const stage = p.stage[turn.stage];
      const uint64_t a = matrix_at(stage + half * HALF * LINE_BYTES, EIGHT_LINES, 0);
      const uint64_t b = matrix_at(stage + A_BYTES, EIGHT_LINES, ACROSS ? DEEP * LINE_BYTES : 0);
      p.full[turn.stage].wait(turn.parity);
      products_begin();
#pragma unroll
      for (int i = 0; i < DEEP / AT_ONCE; i++) multiply<T, ACROSS>(sum, a + i * NEXT_A, b + i * NEXT_B, step + i > 0);
      products_end(); // the other group keeps the tensor cores busy meanwhile
      if (threadIdx.x % GROUP == 0)
#pragma unroll
        for (int block = 0; block < CLUSTER; block++) p.empty[turn.stage].arrive_in(block);
    }
    p.taken[half].wait(parity ^ 1);
    put_rows<T>(p.half[half], sum);
    p.put[half].arrive();
  }
}

// What a finishing warp takes at a time: 64 rows and columns of a tile. It takes every third of its
// block's, in the order in which they are put.
class Box {
  static constexpr int OF_TILE = HALVES * BOXES;
  const Tiles &t;
  int tile, number, top = 0, left = 0;

  __device__ void place() { t.place(tile, block_of_cluster(), top, left); }

public:
  uint32_t parity = 0; // of the tile

  __device__ Box(const Tiles &t, int warp) : t(t), tile(blockIdx.x / CLUSTER), number(warp) { place(); }

  __device__ bool there() const { return tile < t.count(); }
  __device__ void next() {
    number += FINISHERS;
    if (number < OF_TILE) return;
    number -= OF_TILE, tile += gridDim.x / CLUSTER, parity ^= 1;
    if (there()) place();
  }
  __device__ int half() const { return number / BOXES; }
  __device__ int row() const { return top + half() * HALF; }
  __device__ int column() const { return left + number % BOXES * LINE; }
  __device__ const unsigned char *product(const Places &p) const { return p.half[half()] + number % BOXES * BOX_BYTES; }
};

// All of a block's work. `finish(warp)` is called in the finishing warps, and takes all boxes.
template <typename T, bool ACROSS, typename Finish>
__device__ __forceinline__ void run_gemm(const Tiles &t, const CUtensorMap &a, const CUtensorMap &b, Places &p, Finish finish) {
  const int group = threadIdx.x / GROUP, warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  if (threadIdx.x == 0) {
    for (int i = 0; i < STAGES; i++) p.full[i].make(1), p.empty[i].make(HALVES * CLUSTER);
    for (int i = 0; i < HALVES; i++) p.put[i].make(GROUP), p.taken[i].make(BOXES);
    barriers_are_made();
    prefetch_map(&a), prefetch_map(&b);
  }
  if (shared_place(&p) % EIGHT_LINES) __trap(); // the swizzle counts from there
  sync_cluster();
  if (group) multiply_tiles<T, ACROSS>(t, p, group - 1);
  else if (warp) finish(warp - 1);
  else if (lane == 0) load_tiles<ACROSS>(t, p, a, b);
  __syncwarp();
  sync_cluster(); // nobody leaves while the other block still writes here
}
#endif

// --- the host's side -------------------------------------------------------------------------------

constexpr int64_t STRIP_BYTES = 16 << 20; // of the second matrix, to stay in the L2 cache

inline int strip_of(int64_t k) {
  const int64_t tiles = STRIP_BYTES / (WIDE * k * 2);
  return (int)(tiles > 1 ? tiles : 1);
}

// The driver is in the process already: torch uses it.
inline auto tensor_map_encoder() {
  static const auto found = [] {
    void *const driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
    return driver ? (decltype(&cuTensorMapEncodeTiled))dlsym(driver, "cuTensorMapEncodeTiled") : nullptr;
  }();
  return found;
}

inline bool on_hopper() {
  return attribute(cudaDevAttrComputeCapabilityMajor) == 9 && tensor_map_encoder();
}

// A dense matrix of 16-bit numbers, in boxes of one line of each of `rows` rows.
inline bool map_of(CUtensorMap &map, const neox_tensor &t, int rows) {
  const cuuint64_t size[] = {(cuuint64_t)t.size[1], (cuuint64_t)t.size[0]}, stride[] = {(cuuint64_t)t.size[1] * 2};
  const cuuint32_t box[] = {LINE, (cuuint32_t)rows}, step[] = {1, 1};
  const auto type = t.dtype == NEOX_BF16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
  return tensor_map_encoder()(&map, type, 2, t.data, size, stride, box, step, CU_TENSOR_MAP_INTERLEAVE_NONE,
                              CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                              CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

// A cluster for each two multiprocessors; a product of fewer tiles takes fewer.
template <typename... Arguments>
int launch_gemm(void (*kernel)(Arguments...), int64_t m, int64_t n, Stream stream, const Arguments &...arguments) {
  NEOX_REQUIRE(gets_shared(kernel, sizeof(Places)), NEOX_WRONG_GPU);
  const int64_t tiles = ceil_div(m, CLUSTER * TALL) * ceil_div(n, WIDE), most = multiprocessors() / CLUSTER;
  cudaLaunchAttribute cluster = {};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {CLUSTER, 1, 1};
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3((unsigned)(CLUSTER * (tiles < most ? tiles : most)));
  config.blockDim = dim3(THREADS);
  config.dynamicSmemBytes = sizeof(Places);
  config.stream = stream;
  config.attrs = &cluster, config.numAttrs = 1;
  (void)cudaLaunchKernelEx(&config, kernel, arguments...);
  return launched();
}
#endif
