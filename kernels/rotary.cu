// Rotary embedding (Su et al. 2021) by halves: pair (i, i + dims / 2) of a head turns by the angle of
// its position; what lies beyond `dims` stays. Of each group's parts only the leading ones turn, so
// that a packed [head, {q, k, v}, head_dim] goes through at once. Output and input may be the same
// memory. Turning back is the gradient.
#include "arguments.h"

namespace {

struct Heads {
  int length, groups, parts, turned, head, half;
  int64_t from_stride[4], to_stride[4]; // of batch, position, group, part
  int64_t table;                        // positions that it holds
  bool vector, same;
  float direction; // -1 turns back
};

// One block a token; a thread takes eight pairs, or eight elements that stay.
template <typename T>
__global__ void rotary(Heads h, const T *from, T *to, const float *cosines, const float *sines,
                       const int64_t *positions) {
  const int64_t batch = blockIdx.x / h.length;
  const int place = blockIdx.x % h.length;
  const int64_t position = positions ? positions[blockIdx.x] : place;
  const bool known = position >= 0 && position < h.table; // beyond the table: NaN, not a wrong angle
  const float *cosine = cosines + (known ? position : 0) * h.half;
  const float *sine = sines + (known ? position : 0) * h.half;
  const int pairs = (h.half + CHUNK - 1) / CHUNK;
  const int rest = (h.head - 2 * h.half + CHUNK - 1) / CHUNK;
  const int plain = (h.head + CHUNK - 1) / CHUNK; // of a part that does not turn
  const int units = pairs + rest > plain ? pairs + rest : plain;
  for (int item = threadIdx.x; item < h.groups * h.parts * units; item += blockDim.x) {
    const int unit = item % units, part = item / units % h.parts, group = item / units / h.parts;
    const T *x = from + batch * h.from_stride[0] + place * h.from_stride[1] +
                 group * h.from_stride[2] + part * h.from_stride[3];
    T *y = to + batch * h.to_stride[0] + place * h.to_stride[1] + group * h.to_stride[2] +
           part * h.to_stride[3];
    if (part < h.turned && unit < pairs) {
      float first[CHUNK], second[CHUNK], c[CHUNK], s[CHUNK];
      load(first, x, unit * CHUNK, h.half, h.vector);
      load(second, x + h.half, unit * CHUNK, h.half, h.vector);
      load(c, cosine, unit * CHUNK, h.half, h.vector);
      load(s, sine, unit * CHUNK, h.half, h.vector);
#pragma unroll
      for (int i = 0; i < CHUNK; i++) {
        const float a = first[i], b = second[i], turn = s[i] * h.direction;
        first[i] = known ? a * c[i] - b * turn : NAN;
        second[i] = known ? b * c[i] + a * turn : NAN;
      }
      store(y, unit * CHUNK, h.half, h.vector, first);
      store(y + h.half, unit * CHUNK, h.half, h.vector, second);
    } else if (!h.same) {
      const int skipped = part < h.turned ? 2 * h.half : 0;
      const int at = (unit - (part < h.turned ? pairs : 0)) * CHUNK;
      if (at >= h.head - skipped) continue;
      float kept[CHUNK];
      load(kept, x + skipped, at, h.head - skipped, h.vector);
      store(y + skipped, at, h.head - skipped, h.vector, kept);
    }
  }
}

} // namespace

// x [b, s, groups, parts, head_dim] (its last axis dense), cos and sin [positions, dims / 2] (fp32),
// positions [b, s] (optional) -> y; how many leading parts turn, direction (1, or -1: back).
NEOX_API int neox_rotary(const neox_tensor *t, int n, void *, size_t, void *stream) {
  NEOX_REQUIRE(n == 7, NEOX_WRONG_COUNT);
  const neox_tensor &x = t[0], &y = t[4];
  NEOX_REQUIRE(x.dtype == y.dtype, NEOX_WRONG_DTYPE);
  NEOX_REQUIRE(t[1].dtype == NEOX_F32 && t[2].dtype == NEOX_F32, NEOX_WRONG_DTYPE);
  NEOX_REQUIRE(!given(t[3]) || t[3].dtype == NEOX_I64, NEOX_WRONG_DTYPE);
  NEOX_REQUIRE(x.ndim == 5 && same_shape(x, y), NEOX_WRONG_SHAPE);
  NEOX_REQUIRE(t[1].ndim == 2 && same_shape(t[1], t[2]), NEOX_WRONG_SHAPE);
  NEOX_REQUIRE(2 * t[1].size[1] <= x.size[4], NEOX_WRONG_SHAPE);
  NEOX_REQUIRE(!given(t[3]) || elements(t[3]) == x.size[0] * x.size[1], NEOX_WRONG_SHAPE);
  NEOX_REQUIRE(dense(t[1]) && dense(t[2]) && dense(t[3]), NEOX_WRONG_STRIDE);
  NEOX_REQUIRE(x.stride[4] == 1 && y.stride[4] == 1, NEOX_WRONG_STRIDE);
  NEOX_REQUIRE(x.size[2] * x.size[3] * x.size[4] < INT32_MAX, NEOX_TOO_LONG);
  Heads h = {(int)x.size[1], (int)x.size[2], (int)x.size[3], (int)number(t[5]), (int)x.size[4],
             (int)t[1].size[1]};
  h.table = t[1].size[0];
  h.same = x.data == y.data;
  h.direction = (float)number(t[6]);
  h.vector = h.half % CHUNK == 0 && vectors(t[1], h.half) && vectors(t[2], h.half);
  for (int i = 0; i < 4; i++) {
    h.from_stride[i] = x.stride[i];
    h.to_stride[i] = y.stride[i];
    h.vector = h.vector && vectors(x, x.stride[i]) && vectors(y, y.stride[i]);
  }
  const int64_t tokens = x.size[0] * x.size[1];
  const int64_t items = x.size[2] * x.size[3] * (ceil_div(x.size[4], CHUNK) + 2);
  if (!tokens || !items) return NEOX_OK;
  const unsigned threads = (unsigned)(items < 512 ? ceil_div(items, WARP) * WARP : 256);
  NEOX_BY_TYPE(x.dtype, rotary<T><<<(unsigned)tokens, threads, 0, (Stream)stream>>>(
                            h, pointer<T>(x), pointer<T>(y), pointer<float>(t[1]),
                            pointer<float>(t[2]), pointer<int64_t>(t[3])));
  return launched();
}
