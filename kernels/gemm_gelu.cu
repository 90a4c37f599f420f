// The two products of a feed-forward block that meet its GELU, and the GELU while they run: forward
//   x [m, k], W [n, k] -> y = gelu(x W^T + bias) [m, n], and the slope of GELU there,
// and back, through the layer above it,
//   dy [m, k], W [k, n], slope -> da = (dy W) slope [m, n], and its sum over the rows.
// Passes of their own would read or write m n numbers three times more. The slope is kept, and not what
// it is the slope of: as many bytes, as exact, and nothing is left to compute on the way back.
#include "columns.h"
#include "hopper_gemm.h"
#include "pointwise.h"

#if defined(NEOX_HOPPER)
namespace {

template <typename T> struct Operands {
  const T *bias; // forward
  T *y, *slope;  // back: da, and the slope that is given
  float *partial; // back: [tiles of m, n], or nobody asks for sums
};

#if defined(NEOX_ON_HOPPER)
// A thread of the finishing warps: a warp takes four rows at a time, eight lanes each.
template <typename T> struct Finisher {
  static constexpr int STEP = 4 * FINISHERS, RUNS = (HALF + STEP - 1) / STEP;
  const Tiles &t;
  Places &p;
  const Operands<T> &o;
  const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP - 1;
  const int first_row = warp * 4 + lane / 8, first_column = lane % 8 * CHUNK;
  int row = 0, column = 0; // of the tile
  bool whole = false;
  int rows = 0, columns = 0; // left of the matrix from this thread's first ones in the half
  int64_t at = 0;

  __device__ Finisher(const Tiles &t, Places &p, const Operands<T> &o) : t(t), p(p), o(o) {}

  __device__ __forceinline__ void tile(int to_row, int to_column) {
    row = to_row, column = to_column, whole = row + TALL <= t.m && column + WIDE <= t.n;
  }

  __device__ __forceinline__ void look_at(int half) {
    const int top = row + half * HALF;
    rows = min(HALF, t.m - top) - first_row, columns = t.n - column - first_column;
    at = (int64_t)(top + first_row) * t.n + column + first_column;
  }

  // WHOLE: the tile is, and only the last run is not there for all warps.
  template <bool WHOLE> __device__ __forceinline__ bool there(int box, int run) const {
    return (run * STEP < rows || (WHOLE && run + 1 < RUNS)) && (WHOLE || box * LINE < columns);
  }

  __device__ __forceinline__ int64_t index(int box, int run) const { return at + box * LINE + (int64_t)run * STEP * t.n; }

  __device__ __forceinline__ Packed<T> product(int half, int box, int run) const {
    const int line = min(first_row + run * STEP, HALF - 1);
    const T *const from = reinterpret_cast<const T *>(p.half[half] + box * BOX_BYTES + line * LINE_BYTES);
    return fetch<true>(from + (lane % 8 ^ line % 8) * CHUNK, 0, CHUNK, true);
  }
};

template <typename T> __device__ __forceinline__ void put(T *to, const Packed<T> &eight) {
  store_past_cache(reinterpret_cast<uint4 *>(to), make_uint4(eight.word[0], eight.word[1], eight.word[2], eight.word[3]));
}

template <typename T, typename Curve> struct Forward : Finisher<T> {
  using Finisher<T>::Finisher, Finisher<T>::o, Finisher<T>::there, Finisher<T>::index, Finisher<T>::RUNS;
  static constexpr int SIDE_BY_SIDE = 2; // runs, to keep the arithmetic busy
  static_assert(RUNS % SIDE_BY_SIDE == 0);
  Packed<T> next = {}; // bias

  __device__ __forceinline__ void ask(int box) {
    if (o.bias && box * LINE < this->columns)
      next = fetch<true>(o.bias + this->column + this->first_column + box * LINE, 0, CHUNK, true);
  }

  __device__ __forceinline__ void ahead(int half) {
    this->look_at(half);
    ask(0);
  }
  __device__ __forceinline__ void half(int half) { this->whole ? finish<true>(half) : finish<false>(half); }
  __device__ __forceinline__ void done() {}

  template <bool WHOLE> __device__ __forceinline__ void finish(int half) {
#pragma unroll 1
    for (int box = 0; box < BOXES; box++) {
      Packed<T> product[RUNS];
#pragma unroll
      for (int run = 0; run < RUNS; run++) product[run] = this->product(half, box, run);
      float bias[CHUNK];
      widen(bias, next);
      if (box + 1 < BOXES) ask(box + 1);
#pragma unroll
      for (int run = 0; run < RUNS; run += SIDE_BY_SIDE) {
        Packed<T> y[SIDE_BY_SIDE], slope[SIDE_BY_SIDE];
#pragma unroll
        for (int i = 0; i < SIDE_BY_SIDE; i++) {
          float a[CHUNK], value[CHUNK], steep[CHUNK];
          widen(a, product[run + i]);
#pragma unroll
          for (int j = 0; j < CHUNK; j++) Curve::both(a[j] + bias[j], value[j], steep[j]);
          pack(y[i], value), pack(slope[i], steep);
        }
#pragma unroll
        for (int i = 0; i < SIDE_BY_SIDE; i++)
          if (this->template there<WHOLE>(box, run + i)) {
            put(o.y + index(box, run + i), y[i]);
            put(o.slope + index(box, run + i), slope[i]);
          }
      }
    }
  }
};

template <typename T> __device__ __forceinline__ Packed<T> times(const Packed<T> &a, const Packed<T> &b) {
  using Both = typename Two<T>::type;
  Packed<T> c;
#pragma unroll
  for (int i = 0; i < Packed<T>::WORDS; i++) {
    const Both both = __hmul2(reinterpret_cast<const Both &>(a.word[i]), reinterpret_cast<const Both &>(b.word[i]));
    c.word[i] = reinterpret_cast<const uint32_t &>(both);
  }
  return c;
}

template <typename T> struct Back : Finisher<T> {
  using Finisher<T>::Finisher, Finisher<T>::o, Finisher<T>::p, Finisher<T>::lane, Finisher<T>::index, Finisher<T>::RUNS;
  float sum[BOXES][CHUNK] = {};
  Packed<T> next[RUNS] = {}; // slopes

  template <bool WHOLE> __device__ __forceinline__ void ask(int box) {
#pragma unroll
    for (int run = 0; run < RUNS; run++)
      if (this->template there<WHOLE>(box, run)) next[run] = fetch<true>(o.slope + index(box, run), 0, CHUNK, true);
  }

  __device__ __forceinline__ void ahead(int half) {
    this->look_at(half);
    ask<false>(0);
  }
  __device__ __forceinline__ void half(int half) { this->whole ? finish<true>(half) : finish<false>(half); }

  template <bool WHOLE> __device__ __forceinline__ void finish(int half) {
#pragma unroll
    for (int box = 0; box < BOXES; box++) {
      Packed<T> slope[RUNS];
#pragma unroll
      for (int run = 0; run < RUNS; run++) slope[run] = next[run];
      if (box + 1 < BOXES) ask<WHOLE>(box + 1);
#pragma unroll
      for (int run = 0; run < RUNS; run++) {
        if (!this->template there<WHOLE>(box, run)) continue;
        const Packed<T> da = times(this->product(half, box, run), slope[run]);
        put(o.y + index(box, run), da);
        float wide[CHUNK];
        widen(wide, da);
#pragma unroll
        for (int i = 0; i < CHUNK; i++) sum[box][i] += wide[i];
      }
    }
  }

  // The sums over the tile: lanes 8 and 16 apart have the same columns, and each of them keeps two.
  __device__ __forceinline__ void done() {
    if (!o.partial || this->row >= this->t.m) return;
    const bool upper = lane & 16, odd = lane & 8;
#pragma unroll
    for (int box = 0; box < BOXES; box++) {
      float four[4], two[2];
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const float kept = upper ? sum[box][i + 4] : sum[box][i], given = upper ? sum[box][i] : sum[box][i + 4];
        four[i] = kept + SHUFFLE_XOR(given, 16);
      }
#pragma unroll
      for (int i = 0; i < 2; i++) {
        const float kept = odd ? four[i + 2] : four[i], given = odd ? four[i] : four[i + 2];
        two[i] = kept + SHUFFLE_XOR(given, 8);
      }
      float *const to = p.sum[this->warp] + box * LINE + this->first_column + (upper ? 4 : 0) + (odd ? 2 : 0);
      to[0] = two[0], to[1] = two[1];
#pragma unroll
      for (int i = 0; i < CHUNK; i++) sum[box][i] = 0.0f;
    }
    sync_warps<1, FINISHERS * WARP>();
    float *const to = o.partial + (int64_t)(this->row / TALL) * this->t.n + this->column;
    for (int i = threadIdx.x - WARP; i < WIDE && this->column + i < this->t.n; i += FINISHERS * WARP)
      to[i] = p.sum[0][i] + p.sum[1][i] + p.sum[2][i];
    sync_warps<1, FINISHERS * WARP>();
  }
};
#endif

template <typename T, typename Curve> // none on the way back
__global__ void __launch_bounds__(THREADS, 1)
    gemm_gelu(const __grid_constant__ Tiles t, const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b,
              const __grid_constant__ Operands<T> o) {
#if defined(NEOX_ON_HOPPER)
  Places &p = *static_cast<Places *>(dynamic_shared());
  if constexpr (std::is_void<Curve>::value) run_gemm<T, true>(t, a, b, p, Back<T>(t, p, o));
  else run_gemm<T, false>(t, a, b, p, Forward<T, Curve>(t, p, o));
#endif
}

template <typename T, typename Curve>
int launch(const neox_tensor &a, const neox_tensor &b, int64_t n, const Operands<T> &o, Stream stream) {
  constexpr bool BACK = std::is_void<Curve>::value;
  CUtensorMap of_a, of_b;
  const int64_t m = a.size[0], k = a.size[1];
  NEOX_REQUIRE(map_of(of_a, a, TALL) && map_of(of_b, b, BACK ? DEEP : WIDE / CLUSTER), NEOX_WRONG_STRIDE);
  const Tiles tiles = {(int)m, (int)n, (int)k, strip_of(k)};
  return launch_gemm(gemm_gelu<T, Curve>, m, n, stream, tiles, of_a, of_b, o);
}

bool matrix(const neox_tensor &t, int64_t rows, int64_t columns) {
  return t.ndim == 2 && t.size[0] == rows && t.size[1] == columns;
}

int check(const neox_tensor *t, int count, int64_t n) {
  NEOX_REQUIRE(t[0].dtype == NEOX_BF16 || t[0].dtype == NEOX_F16, NEOX_WRONG_DTYPE);
  for (int i = 0; i < count; i++) {
    if (!given(t[i])) continue;
    NEOX_REQUIRE(t[i].dtype == t[0].dtype, NEOX_WRONG_DTYPE);
    NEOX_REQUIRE(dense(t[i]) && (uintptr_t)t[i].data % 16 == 0, NEOX_WRONG_STRIDE);
  }
  const int64_t m = t[0].size[0], k = t[0].size[1];
  NEOX_REQUIRE(t[0].ndim == 2 && m > 0 && n > 0 && k > 0 && n % CHUNK == 0 && k % CHUNK == 0, NEOX_WRONG_SHAPE);
  NEOX_REQUIRE(m < INT32_MAX - 2 * TALL && n < INT32_MAX - WIDE && k < INT32_MAX - DEEP, NEOX_TOO_LONG);
  return NEOX_OK;
}

} // namespace
#endif

// x [m, k], weight [n, k], bias [n] (optional) -> y, slope [m, n]; curve (1: exact, 2: tanh).
NEOX_API int neox_gemm_gelu(const neox_tensor *t, int n, void *, size_t, void *stream) {
#if defined(NEOX_HOPPER)
  NEOX_REQUIRE(on_hopper(), NEOX_WRONG_GPU);
  NEOX_REQUIRE(n == 6, NEOX_WRONG_COUNT);
  const int64_t rows = t[0].size[0], deep = t[0].size[1], wide = t[1].size[0];
  if (int status = check(t, 5, wide)) return status;
  NEOX_REQUIRE(matrix(t[1], wide, deep) && matrix(t[3], rows, wide) && matrix(t[4], rows, wide), NEOX_WRONG_SHAPE);
  NEOX_REQUIRE(!given(t[2]) || elements(t[2]) == wide, NEOX_WRONG_SHAPE);
  const auto run = [&](auto type) {
    using T = decltype(type);
    const Operands<T> o = {pointer<T>(t[2]), pointer<T>(t[3]), pointer<T>(t[4]), nullptr};
    const auto with = (int)number(t[5]) == GELU_TANH ? launch<T, GeluTanh> : launch<T, GeluExact>;
    return with(t[0], t[1], wide, o, (Stream)stream);
  };
  return t[0].dtype == NEOX_BF16 ? run(bf16()) : run(f16());
#else
  return NEOX_WRONG_GPU;
#endif
}

NEOX_API int64_t neox_gemm_gelu_backward_scratch(const neox_tensor *t, int n) {
#if defined(NEOX_HOPPER)
  return n == 5 && given(t[4]) ? ceil_div(t[0].size[0], TALL) * t[1].size[1] * (int64_t)sizeof(float) : 0;
#else
  return 0;
#endif
}

// dy [m, k], weight [k, n], slope [m, n] -> da [m, n], its sum over the rows [n] (optional).
NEOX_API int neox_gemm_gelu_backward(const neox_tensor *t, int n, void *scratch, size_t bytes, void *stream) {
#if defined(NEOX_HOPPER)
  NEOX_REQUIRE(on_hopper(), NEOX_WRONG_GPU);
  NEOX_REQUIRE(n == 5, NEOX_WRONG_COUNT);
  const int64_t rows = t[0].size[0], deep = t[0].size[1], wide = t[1].size[1];
  if (int status = check(t, 5, wide)) return status;
  NEOX_REQUIRE(matrix(t[1], deep, wide) && matrix(t[2], rows, wide) && matrix(t[3], rows, wide), NEOX_WRONG_SHAPE);
  NEOX_REQUIRE(!given(t[4]) || elements(t[4]) == wide, NEOX_WRONG_SHAPE);
  NEOX_REQUIRE((int64_t)bytes >= neox_gemm_gelu_backward_scratch(t, n), NEOX_SMALL_SCRATCH);
  float *const partial = given(t[4]) ? (float *)scratch : nullptr;
  const auto run = [&](auto type) {
    using T = decltype(type);
    const Operands<T> o = {nullptr, pointer<T>(t[3]), pointer<T>(t[2]), partial};
    if (int status = launch<T, void>(t[0], t[1], wide, o, (Stream)stream)) return status;
    launch_sum_parts(partial, ceil_div(rows, TALL), wide, pointer<T>(t[4]), (Stream)stream);
    return launched();
  };
  return t[0].dtype == NEOX_BF16 ? run(bf16()) : run(f16());
#else
  return NEOX_WRONG_GPU;
#endif
}
