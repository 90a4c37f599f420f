// The two products of a feed-forward block that meet its GELU, and the GELU while they run: forward
//   x [m, k], W [n, k] -> y = gelu(x W^T + bias) [m, n], and the slope of GELU there,
// and back, through the layer above it,
//   dy [m, k], W [k, n], slope -> da = (dy W) slope [m, n], and its sum over the rows.
// Passes of their own would read and write m n numbers four times more. The slope is kept, and not what
// it is the slope of: as many bytes, as exact, and nothing is left to compute on the way back.
#include "columns.h"
#include "hopper_gemm.h"
#include "pointwise.h"

#if defined(NEOX_HOPPER)
namespace {

template <typename T> struct Operands {
  const T *bias;  // forward
  T *y, *slope;   // back: da, and the slope that is given
  float *partial; // back: [halves of tiles, n], or nobody asks for sums
};

#if defined(NEOX_ON_HOPPER)
// A box is finished in runs of four rows, of which a lane has eight columns of one.
constexpr int RUN = WARP * CHUNK / LINE, RUNS = HALF / RUN;

struct Lane {
  int lane = threadIdx.x % WARP, row = lane / 8, column = lane % 8 * CHUNK;
  int even = place(row), odd = place(row + RUN); // bytes from a box to this lane's part of its first two runs
  int64_t at; // this lane's first element in the matrix
  int rows;   // of the matrix from there on, or none

  __device__ Lane(const Tiles &t, const Box &box)
      : at((int64_t)(box.row() + row) * t.n + box.column() + column),
        rows(box.there() && box.column() + column < t.n ? t.m - box.row() - row : 0) {}

  __device__ static int place(int line) { return line * LINE_BYTES + (threadIdx.x % 8 ^ line) * CHUNK * 2; }

  __device__ __forceinline__ bool has(int run) const { return run * RUN < rows; }

  template <typename T> __device__ __forceinline__ Packed<T> product(const unsigned char *box, int run) const {
    const unsigned char *const from = box + (run % 2 ? odd : even) + run / 2 * EIGHT_LINES;
    return fetch<true>(reinterpret_cast<const T *>(from), 0, CHUNK, true);
  }
};
static_assert(2 * RUN * LINE_BYTES == EIGHT_LINES);

// Past the cache, and without a branch.
template <typename T> __device__ __forceinline__ void put_if(bool there, T *to, const Packed<T> &eight) {
  asm volatile("{\n .reg .pred there;\n setp.ne.b32 there, %0, 0;\n"
               " @there st.global.cs.v4.b32 [%1], {%2, %3, %4, %5};\n}" ::"r"((int)there),
               "l"(to), "r"(eight.word[0]), "r"(eight.word[1]), "r"(eight.word[2]), "r"(eight.word[3])
               : "memory");
}

// Quotients and exponentials come late, and a warp has little company on its scheduler: those of the next
// run are asked for before this run's are needed. Each instruction counts, too: what finishes a tile is
// not hidden from the product (docs/log.md).
template <typename T, typename Curve> struct Begun {
  float x[CHUNK];
  typename Curve::Begun begun[CHUNK];

  __device__ __forceinline__ Begun(const Packed<T> &product, const float (&bias)[CHUNK]) {
    widen(x, product);
#pragma unroll
    for (int i = 0; i < CHUNK; i++) x[i] += bias[i], begun[i] = Curve::begin(x[i]);
  }
  __device__ __forceinline__ void end(Packed<T> &y, Packed<T> &slope) const {
    float value[CHUNK], steep[CHUNK];
#pragma unroll
    for (int i = 0; i < CHUNK; i++) Curve::both(x[i], begun[i], value[i], steep[i]);
    pack(y, value), pack(slope, steep);
  }
};

template <typename T, typename Curve> __device__ void forward(const Tiles &t, Places &p, const Operands<T> &o, int warp) {
  const auto bias_of = [&](const Box &box) {
    const int column = box.column() + threadIdx.x % 8 * CHUNK;
    return o.bias && box.there() && column < t.n ? fetch<true>(o.bias + column, 0, CHUNK, true) : Packed<T>();
  };
  const int64_t step = (int64_t)RUN * t.n;
  Box box(t, warp);
  Packed<T> next_bias = bias_of(box);
  while (box.there()) {
    const Lane my(t, box);
    const unsigned char *const product = box.product(p);
    const int half = box.half();
    float bias[CHUNK];
    widen(bias, next_bias);
    p.put[half].wait(box.parity);
    box.next();
    next_bias = bias_of(box);
    T *y = o.y + my.at, *slope = o.slope + my.at;
    Begun<T, Curve> next(my.product<T>(product, 0), bias);
#pragma unroll 8
    for (int run = 0; run < RUNS; run++, y += step, slope += step) {
      const Begun<T, Curve> now = next;
      if (run + 1 < RUNS) next = Begun<T, Curve>(my.product<T>(product, run + 1), bias);
      Packed<T> values, slopes;
      now.end(values, slopes);
      put_if(my.has(run), y, values), put_if(my.has(run), slope, slopes);
    }
    __syncwarp();
    if (my.lane == 0) p.taken[half].arrive();
  }
}

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

template <typename T> __device__ void back(const Tiles &t, Places &p, const Operands<T> &o, int warp) {
  constexpr int AT_ONCE = 4; // products
  const int64_t step = (int64_t)RUN * t.n;
  Packed<T> slope[RUNS] = {}; // each on its way since that of the box before was used
  const auto ask = [&](const Lane &my, int run, const T *from) {
    if (my.has(run)) slope[run] = fetch<true>(from, 0, CHUNK, true);
  };
  Box box(t, warp);
  Lane my(t, box);
  const T *from = o.slope + my.at;
#pragma unroll
  for (int run = 0; run < RUNS; run++, from += step) ask(my, run, from);
  while (box.there()) {
    const unsigned char *const product = box.product(p);
    const int row = box.row(), half = box.half(), column = box.column() + my.column;
    T *to = o.y + my.at;
    float sum[CHUNK] = {};
    p.put[half].wait(box.parity);
    box.next();
    const Lane next(t, box);
    from = o.slope + next.at;
#pragma unroll
    for (int first = 0; first < RUNS; first += AT_ONCE) {
      Packed<T> da[AT_ONCE];
#pragma unroll
      for (int i = 0; i < AT_ONCE; i++) da[i] = times(my.product<T>(product, first + i), slope[first + i]);
#pragma unroll
      for (int i = 0; i < AT_ONCE; i++, from += step) ask(next, first + i, from);
#pragma unroll
      for (int i = 0; i < AT_ONCE; i++, to += step) {
        put_if(my.has(first + i), to, da[i]);
        float wide[CHUNK]; // zeros beyond the last row
        widen(wide, da[i]);
#pragma unroll
        for (int j = 0; j < CHUNK; j++) sum[j] += wide[j];
      }
    }
    __syncwarp();
    if (my.lane == 0) p.taken[half].arrive();
    my = next;
    if (!o.partial || row >= t.m) continue;
#pragma unroll
    for (int j = 0; j < CHUNK; j++) sum[j] += SHUFFLE_XOR(sum[j], 8), sum[j] += SHUFFLE_XOR(sum[j], 16);
    if (my.row == 0 && column < t.n) store<true>(o.partial + (int64_t)(row / HALF) * t.n + column, 0, CHUNK, true, sum);
  }
}
#endif

template <typename T, typename Curve> // none on the way back
__global__ void __launch_bounds__(THREADS, 1)
    gemm_gelu(const __grid_constant__ Tiles t, const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b,
              const __grid_constant__ Operands<T> o) {
#if defined(NEOX_ON_HOPPER)
  Places &p = *static_cast<Places *>(dynamic_shared());
  constexpr bool BACK = std::is_void<Curve>::value;
  run_gemm<T, BACK>(t, a, b, p, [&](int warp) {
    if constexpr (BACK) back<T>(t, p, o, warp);
    else forward<T, Curve>(t, p, o, warp);
  });
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
  return n == 5 && given(t[4]) ? ceil_div(t[0].size[0], HALF) * t[1].size[1] * (int64_t)sizeof(float) : 0;
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
    launch_sum_parts(partial, ceil_div(rows, HALF), wide, pointer<T>(t[4]), (Stream)stream);
    return launched();
  };
  return t[0].dtype == NEOX_BF16 ? run(bf16()) : run(f16());
#else
  return NEOX_WRONG_GPU;
#endif
}
