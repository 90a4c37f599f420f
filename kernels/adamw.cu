// AdamW (Loshchilov and Hutter 2019) over many tensors at once: fp32 weights and moments (moments in
// bf16 where asked), gradients in any format, and the copy that the model computes with. Learning
// rate, step, gradient factor and verdict stand on the device, so that a CUDA graph replays right.
#include "batch.h"

namespace {

constexpr int THREADS = 256;
constexpr int64_t PER_BLOCK = THREADS * CHUNK; // elements
constexpr int AT_ONCE = 64;                    // tensors: 4 KB of kernel arguments

struct Tensor {
  float *master;
  void *low, *m, *v;
  const void *grad;
  int64_t size;
};

struct Scalars {
  const float *rate, *step, *factor, *bad;
  float beta1, beta2, log_beta1, log_beta2, epsilon, decay;
  bool decoupled;
};

template <typename Low, typename Grad, typename Moment>
__global__ void __launch_bounds__(THREADS) adamw(const __grid_constant__ Batch<Tensor, AT_ONCE> batch, Scalars s) {
  const int which = batch.holder(blockIdx.x);
  const Tensor &t = batch.item[which];
  const int64_t base = (int64_t)(blockIdx.x - batch.first_block[which]) * PER_BLOCK;
  const int size = (int)(t.size - base < PER_BLOCK ? t.size - base : PER_BLOCK);
  float *master = t.master + base;
  Moment *first = (Moment *)t.m + base, *second = (Moment *)t.v + base;
  const Grad *grad = (const Grad *)t.grad + base;
  const uintptr_t bits = (uintptr_t)master | (uintptr_t)first | (uintptr_t)second |
                         (uintptr_t)grad | (t.low ? (uintptr_t)((Low *)t.low + base) : 0);
  const bool vector = bits % 16 == 0;
  const int at = threadIdx.x * CHUNK;
  if (at >= size) return;
  float w[CHUNK], g[CHUNK], m[CHUNK], v[CHUNK];
  load(w, master, at, size, vector);
  load(g, grad, at, size, vector);
  load(m, first, at, size, vector);
  load(v, second, at, size, vector); // all on their way before anything is asked
  if (s.bad && *s.bad > 0.0f) return; // a bad step changes nothing
  const float step = *s.step, rate = *s.rate, factor = s.factor ? *s.factor : 1.0f;
  // 1 - beta^step, exact also where beta^step is close to 1
  const float rate1 = rate / -expm1f(step * s.log_beta1);
  const float root2 = rsqrtf(-expm1f(step * s.log_beta2));
  const float keep = 1.0f - rate * s.decay;
#pragma unroll
  for (int i = 0; i < CHUNK; i++) {
    g[i] *= factor;
    if (s.decoupled) w[i] *= keep;
    else g[i] += s.decay * w[i];
    m[i] = s.beta1 * m[i] + (1.0f - s.beta1) * g[i];
    v[i] = s.beta2 * v[i] + (1.0f - s.beta2) * g[i] * g[i];
    w[i] -= rate1 * m[i] / (sqrtf(v[i]) * root2 + s.epsilon);
  }
  store(master, at, size, vector, w);
  store(first, at, size, vector, m);
  store(second, at, size, vector, v);
  if (t.low) store((Low *)t.low + base, at, size, vector, w);
}

template <typename Low, typename Grad, typename Moment>
int launch(const neox_tensor *t, int count, const Scalars &scalars, Stream stream) {
  const auto tensor = [&](int i) {
    const neox_tensor *five = t + 5 * i;
    return Tensor{pointer<float>(five[0]), pointer<void>(five[1]), pointer<void>(five[3]),
                  pointer<void>(five[4]), pointer<void>(five[2]), elements(five[0])};
  };
  return in_batches<Tensor, AT_ONCE>(count, PER_BLOCK, tensor, [&](const auto &batch, int blocks) {
    adamw<Low, Grad, Moment><<<blocks, THREADS, 0, stream>>>(batch, scalars);
  });
}

int check(const neox_tensor *five, const neox_tensor *first) {
  NEOX_REQUIRE(five[0].dtype == NEOX_F32, NEOX_WRONG_DTYPE);
  for (int i = 0; i < 5; i++) {
    NEOX_REQUIRE(five[i].dtype == first[i].dtype, NEOX_WRONG_DTYPE);
    NEOX_REQUIRE(!given(five[i]) || elements(five[i]) == elements(five[0]), NEOX_WRONG_SHAPE);
    NEOX_REQUIRE(!given(five[i]) || dense(five[i]), NEOX_WRONG_STRIDE);
  }
  NEOX_REQUIRE(five[3].dtype == five[4].dtype, NEOX_WRONG_DTYPE);
  return NEOX_OK;
}

} // namespace

// rate, step (of this update, from 1), factor (of the gradient), bad (> 0: change nothing), each one
// fp32 number on the device, the last two optional; beta1, beta2, epsilon, decay, decoupled; then
// for each parameter: weight (fp32), low (absent, or what the model computes with), gradient,
// exp_avg, exp_avg_sq, of the same dtypes for all.
NEOX_API int neox_adamw(const neox_tensor *t, int n, void *, size_t, void *stream) {
  NEOX_REQUIRE(n >= 9 && (n - 9) % 5 == 0, NEOX_WRONG_COUNT);
  for (int i = 0; i < 4; i++)
    NEOX_REQUIRE(t[i].dtype == NEOX_F32 || (i > 1 && !given(t[i])), NEOX_WRONG_DTYPE);
  const neox_tensor *first = t + 9;
  const int count = (n - 9) / 5;
  if (!count) return NEOX_OK;
  for (int i = 0; i < count; i++)
    if (int status = check(first + 5 * i, first)) return status;
  const double beta1 = number(t[4]), beta2 = number(t[5]);
  const Scalars s = {pointer<float>(t[0]), pointer<float>(t[1]), pointer<float>(t[2]),
                     pointer<float>(t[3]), (float)beta1, (float)beta2, (float)log(beta1),
                     (float)log(beta2), (float)number(t[6]), (float)number(t[7]),
                     number(t[8]) != 0.0};
  const int32_t low = first[1].dtype, grad = first[2].dtype, moment = first[3].dtype;
  const Stream on = (Stream)stream;
  // the combinations that training uses, and no more: each costs compile time
  if (moment == NEOX_F32 && low == NEOX_ABSENT && grad == NEOX_F32)
    return launch<float, float, float>(first, count, s, on);
  if (moment == NEOX_F32 && low == NEOX_BF16 && grad == NEOX_F32)
    return launch<bf16, float, float>(first, count, s, on);
  if (moment == NEOX_F32 && low == NEOX_F16 && grad == NEOX_F32)
    return launch<f16, float, float>(first, count, s, on);
  if (moment == NEOX_F32 && low == NEOX_BF16 && grad == NEOX_BF16)
    return launch<bf16, bf16, float>(first, count, s, on);
  if (moment == NEOX_F32 && low == NEOX_F16 && grad == NEOX_F16)
    return launch<f16, f16, float>(first, count, s, on);
  if (moment == NEOX_BF16 && low == NEOX_BF16 && grad == NEOX_F32)
    return launch<bf16, float, bf16>(first, count, s, on);
  if (moment == NEOX_BF16 && low == NEOX_BF16 && grad == NEOX_BF16)
    return launch<bf16, bf16, bf16>(first, count, s, on);
  return NEOX_WRONG_DTYPE;
}
