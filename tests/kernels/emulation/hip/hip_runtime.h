// As much of HIP as the kernels use, on a CPU and slowly: each thread of a block is a coroutine that
// goes on until it has to wait for the others. A warp has 64 lanes, as AMD's do.
#pragma once
#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

#define __device__
#define __global__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(...)

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

struct uint4 {
  uint32_t x, y, z, w;
};

struct uint2 {
  uint32_t x, y;
};

inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) { return {x, y, z, w}; }

inline thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;

// --- coroutines ----------------------------------------------------------------------------------

namespace emulated {

constexpr int LANES = 64, MOST = 1024;
constexpr size_t STACK = 64 << 10;

struct Barrier {
  int waiting = 0, members = 0, round = 0;

  void leave() {
    members--;
    open_if_full();
  }
  void open_if_full() {
    if (members > 0 && waiting == members) waiting = 0, round++;
  }
};

// Where a coroutine goes on. By the compiler, because a sanitizer looks at every jump of the C library.
using Place = void *[5];

__attribute__((noinline, noreturn, no_sanitize_address)) inline void jump(Place &to) { __builtin_longjmp(to, 1); }

// Contexts begin a coroutine, once; after that jumps go to and fro, which needs no system call.
struct Block {
  ucontext_t of_start[MOST];
  Place scheduler, of_thread[MOST];
  bool begun[MOST] = {}, done[MOST];
  Barrier all, of_warp[MOST / LANES];
  float shared_lane[MOST];
  std::vector<char> stacks = std::vector<char>(MOST * STACK);
  std::function<void()> body;
  int current = 0;

  static Block &it() {
    static Block block;
    return block;
  }

  void wait(Barrier &barrier) {
    const int round = barrier.round;
    barrier.waiting++;
    barrier.open_if_full();
    while (barrier.round == round) give_way();
  }

  void give_way() {
    if (__builtin_setjmp(of_thread[current]) == 0) jump(scheduler);
  }

  static void live() { // of a coroutine: one thread of every block
    Block &block = it();
    for (;;) {
      block.body();
      block.done[block.current] = true;
      block.all.leave();
      block.of_warp[block.current / LANES].leave();
      block.give_way();
    }
  }

  void resume() {
    if (__builtin_setjmp(scheduler)) return;
    if (begun[current]) jump(of_thread[current]);
    begun[current] = true;
    getcontext(&of_start[current]);
    of_start[current].uc_stack.ss_sp = &stacks[current * STACK];
    of_start[current].uc_stack.ss_size = STACK;
    makecontext(&of_start[current], live, 0);
    setcontext(&of_start[current]);
  }

  void run(int threads) {
    all = {0, threads, 0};
    for (int warp = 0; warp * LANES < threads; warp++) {
      const int left = threads - warp * LANES;
      of_warp[warp] = {0, left < LANES ? left : LANES, 0};
    }
    for (int i = 0; i < threads; i++) done[i] = false;
    for (bool again = true; again;) {
      again = false;
      for (current = 0; current < threads; current++) {
        if (done[current]) continue;
        again = true;
        threadIdx = dim3(current % blockDim.x, current / blockDim.x);
        resume();
      }
    }
  }
};

// What kernel<<<grid, block>>>(...) is rewritten to.
template <typename Body> void launch(dim3 grid, dim3 block, Body body) {
  if (block.x * block.y > MOST) abort();
  gridDim = grid, blockDim = block;
  Block::it().body = body;
  for (unsigned y = 0; y < grid.y; y++)
    for (unsigned x = 0; x < grid.x; x++) {
      blockIdx = dim3(x, y);
      Block::it().run(block.x * block.y);
    }
}

} // namespace emulated

inline void __syncthreads() { emulated::Block::it().wait(emulated::Block::it().all); }

inline float emulated_lane(float value, int lane) {
  emulated::Block &block = emulated::Block::it();
  const int mine = block.current, first = mine / emulated::LANES * emulated::LANES;
  emulated::Barrier &barrier = block.of_warp[mine / emulated::LANES];
  block.shared_lane[mine] = value;
  block.wait(barrier);
  const float other = block.shared_lane[first + lane];
  block.wait(barrier);
  return other;
}

inline int emulated_my_lane() { return emulated::Block::it().current % emulated::LANES; }
inline float __shfl_xor(float value, int lanes) { return emulated_lane(value, emulated_my_lane() ^ lanes); }
inline float __shfl(float value, int lane) { return emulated_lane(value, lane); }

// --- numbers -------------------------------------------------------------------------------------

template <typename To, typename From> To emulated_cast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof(to));
  return to;
}

struct __half {
  _Float16 value;
};

struct __half2 {
  __half low, high;
};

// By their bits; of 64 their halves.
inline uint32_t __shfl(uint32_t value, int lane) {
  return emulated_cast<uint32_t>(__shfl(emulated_cast<float>(value), lane));
}

inline int64_t __shfl(int64_t value, int lane) {
  const uint32_t low = __shfl((uint32_t)value, lane), high = __shfl((uint32_t)(value >> 32), lane);
  return (int64_t)high << 32 | low;
}

inline float __uint_as_float(uint32_t bits) { return emulated_cast<float>(bits); }
inline uint32_t __float_as_uint(float x) { return emulated_cast<uint32_t>(x); }
inline float __half2float(__half x) { return (float)x.value; }
inline __half __float2half_rn(float x) { return {(_Float16)x}; }
inline __half2 __floats2half2_rn(float low, float high) {
  return {__float2half_rn(low), __float2half_rn(high)};
}
inline __half __ushort_as_half(unsigned short bits) { return emulated_cast<__half>(bits); }
template <typename T> void __builtin_nontemporal_store(T value, T *to) { *to = value; }
inline float __builtin_amdgcn_rcpf(float x) { return 1.0f / x; }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
#define __builtin_assume(it) ((it) ? (void)0 : abort())
inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
inline uint32_t __umulhi(uint32_t a, uint32_t b) { return (uint32_t)(((uint64_t)a * b) >> 32); }

// --- the runtime ---------------------------------------------------------------------------------

using hipStream_t = void *;
enum hipError_t { hipSuccess = 0 };
enum hipDeviceAttribute_t { hipDeviceAttributeMultiprocessorCount };

inline hipError_t hipGetLastError() { return hipSuccess; }
inline hipError_t hipGetDevice(int *device) { return *device = 0, hipSuccess; }
inline const char *hipGetErrorString(hipError_t) { return "an error of the device"; }
inline hipError_t hipDeviceGetAttribute(int *value, hipDeviceAttribute_t, int) {
  *value = 3;
  return hipSuccess;
}
