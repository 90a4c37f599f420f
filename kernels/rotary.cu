// Rotary embedding (Su et al. 2021) by halves: pair (i, i + dims / 2) of a head turns by the angle of
// its position; what lies beyond `dims` stays. Turning back is the gradient.
#include "columns.h"

namespace {

constexpr int THREADS = 128;
constexpr int LONGEST_HALF = 128; // of what turns: 32 lanes hold both
constexpr int BUNDLE = 4; // heads that a thread turns by the same angles
constexpr int RESIDENT = 6; // blocks of a multiprocessor where heads are joined

// cos and sin [1 or batch, length, half]
struct Angles {
  const float *cosine, *sine;
  int length, half;
  bool each; // a batch row has its own

  __device__ void at(float (&c)[CHUNK], float (&s)[CHUNK], int batch, int place, int first,
                     bool vector) const {
    const int64_t row = ((int64_t)(each ? batch : 0) * length + place) * half;
    load(c, cosine + row, first, half, vector);
    load(s, sine + row, first, half, vector);
  }
};

struct Heads {
  int tokens;
  int64_t stride[4]; // of batch, position, group, part
  int groups, turned;
  bool vector;
};

// A thread holds eight neighbours of what turns of a head, and gets those that they are paired with
// from the lane that holds them: so a warp reads both halves at once. Memory comes 64 bytes at a time;
// asked for one half of 32 after the other, it would come twice. Each turns some heads by its angles.
template <typename T>
__global__ void __launch_bounds__(THREADS) rotate(Heads h, Angles angles, T *x, float way) {
  const int units = (angles.half + CHUNK - 1) / CHUNK, lanes = 2 * units, heads = h.groups * h.turned;
  const int bundles = (heads + BUNDLE - 1) / BUNDLE, in_warp = WARP / lanes;
  const int lane = threadIdx.x % WARP, warp = (blockIdx.x * THREADS + threadIdx.x) / WARP;
  const int index = warp * in_warp + lane / lanes; // of tokens x bundles
  const bool active = lane < in_warp * lanes && index < h.tokens * bundles;
  const int token = active ? index / bundles : 0;
  const int batch = token / angles.length, place = token % angles.length;
  const bool second = lane % lanes >= units;
  const int unit = lane % units * CHUNK, other = !active ? lane : second ? lane - units : lane + units;
  T *const here = x + batch * h.stride[0] + place * h.stride[1] + (second ? angles.half : 0);
  int head = active ? index % bundles * BUNDLE : heads, group = head / h.turned, part = head % h.turned;
  T *of[BUNDLE]; // none: no head is left
  Packed<T> raw[BUNDLE];
#pragma unroll
  for (int i = 0; i < BUNDLE; i++, head++) {
    of[i] = head < heads ? here + group * h.stride[2] + part * h.stride[3] : nullptr;
    if (of[i]) raw[i] = fetch(of[i], unit, angles.half, h.vector);
    if (++part == h.turned) part = 0, group++;
  }
  float c[CHUNK], s[CHUNK];
  angles.at(c, s, batch, place, unit, h.vector);
  const float sign = second ? way : -way;
#pragma unroll
  for (int i = 0; i < BUNDLE; i++) {
    Packed<T> paired;
#pragma unroll
    for (int w = 0; w < Packed<T>::WORDS; w++) paired.word[w] = SHUFFLE(raw[i].word[w], other);
    if (!of[i]) continue;
    float own[CHUNK], pair[CHUNK];
    widen(own, raw[i]);
    widen(pair, paired);
#pragma unroll
    for (int k = 0; k < CHUNK; k++) own[k] = own[k] * c[k] + pair[k] * s[k] * sign;
    store(of[i], unit, angles.half, h.vector, own);
  }
}

// Gradients of query, key and value [batch, heads, length, head].
template <typename T> struct Parts {
  const T *from[3];
  int64_t stride[3][3]; // of batch, head, position
  int tokens, heads, head;
  bool vector;
  bool there; // they lie in the result: what does not turn need not be written
};

// Where a token stands; the next one of a thread is found without a division.
struct Place {
  int batch, place;

  __device__ Place(int token, int length) : batch(token / length), place(token % length) {}

  __device__ void advance(const Place &step, int length) {
    batch += step.batch, place += step.place;
    if (place >= length) place -= length, batch++;
  }
};

__device__ __forceinline__ void turn(float (&first)[CHUNK], float (&second)[CHUNK],
                                     const float (&c)[CHUNK], const float (&s)[CHUNK], float way) {
#pragma unroll
  for (int i = 0; i < CHUNK; i++) {
    const float a = first[i], b = second[i];
    first[i] = a * c[i] - b * s[i] * way;
    second[i] = b * c[i] + a * s[i] * way;
  }
}

// A thread keeps to two chunks of columns and goes down the tokens, so that it can sum them. Of what
// turns they are the two halves of eight pairs; of the rest, any two.
struct Columns {
  int first, second, end; // of a head; those at `end` and beyond are nobody's
  bool turns;
};

__device__ __forceinline__ Columns columns_of(int item, bool turned, int half, int head) {
  const int pairs = turned ? (half + CHUNK - 1) / CHUNK : 0;
  if (item < pairs) return {item * CHUNK, item * CHUNK, half, true};
  const int base = turned ? 2 * half : 0, chunks = (head - base + CHUNK - 1) / CHUNK;
  const int apart = (chunks + 1) / 2;
  if (item - pairs >= apart) return {head, head, head, false};
  return {base + (item - pairs) * CHUNK, base + (item - pairs + apart) * CHUNK, head, false};
}

template <typename T>
__global__ void __launch_bounds__(THREADS, RESIDENT)
    join(const __grid_constant__ Parts<T> p, Angles angles, T *mixed, float *partial, int items) {
  const int index = blockIdx.x * THREADS + threadIdx.x;
  if (index >= p.heads * 3 * items) return;
  const int part = index / items % 3, head = index / items / 3;
  const Columns mine = columns_of(index % items, part < 2, angles.half, p.head);
  if (mine.first >= mine.end) return;
  const bool turns = mine.turns;
  const int other = turns ? angles.half : 0; // the second half begins there
  const bool two = turns || mine.second < mine.end;
  const T *from = p.from[part] + head * p.stride[part][1];
  const int64_t by_batch = p.stride[part][0], by_place = p.stride[part][2];
  const int width = p.heads * 3 * p.head, column = (head * 3 + part) * p.head;
  const Place step(gridDim.y, angles.length);
  Place here(blockIdx.y, angles.length);
  float sum[2][CHUNK] = {};
  for (int token = blockIdx.y; token < p.tokens; token += gridDim.y, here.advance(step, angles.length)) {
    const T *x = from + here.batch * by_batch + here.place * by_place;
    const Packed<T> raw = fetch(x, mine.first, mine.end, p.vector);
    Packed<T> raw2 = {};
    if (two) raw2 = fetch(x + other, mine.second, mine.end, p.vector);
    float c[CHUNK], s[CHUNK];
    if (turns) angles.at(c, s, here.batch, here.place, mine.first, p.vector);
    float first[CHUNK], second[CHUNK];
    widen(first, raw);
    widen(second, raw2);
    if (turns) turn(first, second, c, s, -1.0f);
    if (turns || !p.there) {
      T *to = mixed + (int64_t)token * width + column;
      store(to, mine.first, mine.end, p.vector, first);
      if (two) store(to + other, mine.second, mine.end, p.vector, second);
    }
#pragma unroll
    for (int i = 0; i < CHUNK; i++) sum[0][i] += first[i], sum[1][i] += second[i];
  }
  if (!partial) return;
  partial += (int64_t)blockIdx.y * width + column;
  store(partial, mine.first, mine.end, p.vector, sum[0]);
  if (two) store(partial + other, mine.second, mine.end, p.vector, sum[1]);
}

int angles_of(const neox_tensor *t, int64_t batch, int64_t length, Angles &a) {
  a.length = (int)length;
  if (!given(t[0])) return NEOX_OK; // nothing turns
  NEOX_REQUIRE(t[0].dtype == NEOX_F32 && t[1].dtype == NEOX_F32, NEOX_WRONG_DTYPE);
  NEOX_REQUIRE(t[0].ndim == 3 && same_shape(t[0], t[1]), NEOX_WRONG_SHAPE);
  NEOX_REQUIRE(t[0].size[1] == length, NEOX_WRONG_SHAPE);
  NEOX_REQUIRE(t[0].size[0] == 1 || t[0].size[0] == batch, NEOX_WRONG_SHAPE);
  NEOX_REQUIRE(dense(t[0]) && dense(t[1]), NEOX_WRONG_STRIDE);
  a.cosine = pointer<float>(t[0]);
  a.sine = pointer<float>(t[1]);
  a.half = (int)t[0].size[2];
  a.each = t[0].size[0] != 1;
  return NEOX_OK;
}

bool angles_vector(const neox_tensor *t, const Angles &a) {
  return a.half % CHUNK == 0 && vectors(t[0], a.half) && vectors(t[1], a.half);
}

int items_of(int half, int head) {
  const int rest = (int)ceil_div(head - 2 * half, CHUNK), plain = (int)ceil_div(head, CHUNK);
  const int turned = (int)ceil_div(half, CHUNK) + (rest + 1) / 2;
  return turned > (plain + 1) / 2 ? turned : (plain + 1) / 2;
}

int64_t strips(const neox_tensor &mixed) {
  const int64_t tokens = mixed.size[0] * mixed.size[1];
  const int64_t items = mixed.size[2] * 3 * ceil_div(ceil_div(mixed.size[4], CHUNK), 2);
  const int64_t fit = (int64_t)multiprocessors() * RESIDENT / ceil_div(items, THREADS);
  const int64_t most = fit > 0 ? fit : 1;
  return tokens < most ? tokens : most;
}

// Is this the part of `mixed` [b, s, heads, 3, head] that becomes its gradient?
bool part_of(const neox_tensor &mixed, const neox_tensor &gradient, int part) {
  const char *const there = (const char *)mixed.data + part * mixed.stride[3] * width(mixed);
  return gradient.data == there && gradient.stride[0] == mixed.stride[0] &&
         gradient.stride[1] == mixed.stride[2] && gradient.stride[2] == mixed.stride[1];
}

template <typename T>
int launch_join(const neox_tensor *t, const Angles &angles, bool vector, float *partial, Stream stream) {
  const neox_tensor &mixed = t[5];
  Parts<T> p = {};
  p.tokens = (int)(mixed.size[0] * mixed.size[1]);
  p.heads = (int)mixed.size[2];
  p.head = (int)mixed.size[4];
  p.vector = vector && p.head % CHUNK == 0 && vectors(mixed, p.head);
  p.there = true;
  for (int part = 0; part < 3; part++) {
    p.from[part] = pointer<T>(t[part]);
    for (int i = 0; i < 3; i++) {
      p.stride[part][i] = t[part].stride[i];
      p.vector = p.vector && vectors(t[part], t[part].stride[i]);
    }
    p.there = p.there && part_of(mixed, t[part], part);
  }
  const int items = items_of(angles.half, p.head);
  const int64_t down = strips(mixed), width = (int64_t)p.heads * 3 * p.head;
  join<T><<<dim3((unsigned)ceil_div(p.heads * 3 * items, THREADS), (unsigned)down), THREADS, 0, stream>>>(
      p, angles, pointer<T>(mixed), partial, items);
  launch_sum_parts(partial, down, width, pointer<T>(t[6]), stream);
  return launched();
}

} // namespace

// x [b, s, groups, parts, head] (its last axis dense; becomes the result), cos and sin [1 or b, s,
// dims / 2] (fp32); how many leading parts of each group turn (of packed [head, {q, k, v}]: 2; of
// grouped queries: all but the value), and which way (1; -1: back).
NEOX_API int neox_rotary(const neox_tensor *t, int n, void *, size_t, void *stream) {
  NEOX_REQUIRE(n == 5, NEOX_WRONG_COUNT);
  const neox_tensor &x = t[0];
  NEOX_REQUIRE(x.ndim == 5, NEOX_WRONG_SHAPE);
  NEOX_REQUIRE(x.stride[4] == 1, NEOX_WRONG_STRIDE);
  Angles angles = {};
  if (int status = angles_of(t + 1, x.size[0], x.size[1], angles)) return status;
  const int turned = (int)number(t[3]);
  NEOX_REQUIRE(2 * angles.half <= x.size[4] && turned <= x.size[3], NEOX_WRONG_SHAPE);
  NEOX_REQUIRE(x.size[0] * x.size[1] < INT32_MAX, NEOX_TOO_LONG);
  Heads h = {(int)(x.size[0] * x.size[1]), {}, (int)x.size[2], turned, angles_vector(t + 1, angles)};
  for (int i = 0; i < 4; i++) {
    h.stride[i] = x.stride[i];
    h.vector = h.vector && vectors(x, x.stride[i]);
  }
  NEOX_REQUIRE(angles.half <= LONGEST_HALF, NEOX_TOO_LONG);
  const int64_t bundles = h.tokens * ceil_div(x.size[2] * turned, BUNDLE);
  NEOX_REQUIRE(bundles < INT32_MAX / WARP, NEOX_TOO_LONG);
  if (!bundles || !angles.half) return NEOX_OK;
  const int64_t warps = ceil_div(bundles, WARP / (2 * ceil_div(angles.half, CHUNK)));
  const unsigned grid = (unsigned)ceil_div(warps * WARP, THREADS);
  NEOX_BY_TYPE(x.dtype, rotate<T><<<grid, THREADS, 0, (Stream)stream>>>(h, angles, pointer<T>(x),
                                                                        (float)number(t[4])));
  return launched();
}

NEOX_API int64_t neox_join_heads_scratch(const neox_tensor *t, int n) {
  if (n != 7 || !given(t[6]) || t[5].ndim != 5) return 0;
  return strips(t[5]) * t[5].size[2] * 3 * t[5].size[4] * (int64_t)sizeof(float);
}

// Gradients of query, key, value [b, heads, s, head] (the last axis dense; elsewhere, or all three as
// the parts of mixed), cos and sin (optional) -> mixed [b, s, heads, 3, head], query and key turned
// back; its sum over b and s (optional).
NEOX_API int neox_join_heads(const neox_tensor *t, int n, void *scratch, size_t bytes, void *stream) {
  NEOX_REQUIRE(n == 7, NEOX_WRONG_COUNT);
  const neox_tensor &mixed = t[5];
  NEOX_REQUIRE(mixed.ndim == 5 && mixed.size[3] == 3, NEOX_WRONG_SHAPE);
  NEOX_REQUIRE(dense(mixed), NEOX_WRONG_STRIDE);
  for (int i = 0; i < 3; i++) {
    NEOX_REQUIRE(t[i].dtype == mixed.dtype, NEOX_WRONG_DTYPE);
    NEOX_REQUIRE(t[i].ndim == 4 && t[i].size[0] == mixed.size[0] && t[i].size[1] == mixed.size[2] &&
                     t[i].size[2] == mixed.size[1] && t[i].size[3] == mixed.size[4], NEOX_WRONG_SHAPE);
    NEOX_REQUIRE(t[i].stride[3] == 1, NEOX_WRONG_STRIDE);
  }
  NEOX_REQUIRE(!given(t[6]) || t[6].dtype == mixed.dtype, NEOX_WRONG_DTYPE);
  Angles angles = {};
  if (int status = angles_of(t + 3, mixed.size[0], mixed.size[1], angles)) return status;
  NEOX_REQUIRE(2 * angles.half <= mixed.size[4], NEOX_WRONG_SHAPE);
  NEOX_REQUIRE((int64_t)bytes >= neox_join_heads_scratch(t, n), NEOX_SMALL_SCRATCH);
  NEOX_REQUIRE(mixed.size[0] * mixed.size[1] < INT32_MAX / 2, NEOX_TOO_LONG);
  if (!elements(mixed)) return NEOX_OK;
  float *partial = given(t[6]) ? (float *)scratch : nullptr;
  const bool vector = angles_vector(t + 3, angles);
  NEOX_BY_TYPE(mixed.dtype, return launch_join<T>(t, angles, vector, partial, (Stream)stream));
}
