// How a kernel's host side reads and checks its arguments.
#pragma once
#include "device.h"

inline bool given(const neox_tensor &t) { return t.dtype != NEOX_ABSENT; }

inline double number(const neox_tensor &t) { return *static_cast<const double *>(t.data); }

inline int64_t elements(const neox_tensor &t) {
  int64_t count = 1;
  for (int i = 0; i < t.ndim; i++) count *= t.size[i];
  return count;
}

template <typename T> T *pointer(const neox_tensor &t) {
  return given(t) ? static_cast<T *>(t.data) : nullptr;
}

// A tensor [..., size] whose last axis is dense and whose other axes collapse into one.
struct Rows {
  int64_t count, size, stride;
};

inline int64_t last(const neox_tensor &t) { return t.ndim ? t.size[t.ndim - 1] : 1; }

inline bool as_rows(const neox_tensor &t, Rows &rows) {
  rows = {1, last(t), last(t)};
  if (t.ndim && t.stride[t.ndim - 1] != 1 && rows.size > 1) return false;
  bool found = false;
  int64_t expected = 0;
  for (int i = t.ndim - 2; i >= 0; i--) {
    if (t.size[i] == 1) continue;
    if (!found) rows.stride = t.stride[i], found = true;
    else if (t.stride[i] != expected) return false;
    expected = t.stride[i] * t.size[i];
    rows.count *= t.size[i];
  }
  return true;
}

inline bool dense(const neox_tensor &t) {
  int64_t expected = 1;
  for (int i = t.ndim - 1; i >= 0; i--) {
    if (t.size[i] != 1 && t.stride[i] != expected) return elements(t) == 0;
    expected *= t.size[i];
  }
  return true;
}

inline int width(const neox_tensor &t) { return t.dtype == NEOX_F32 ? 4 : 2; }

// May every row of it be read 16 bytes at a time?
inline bool vectors(const neox_tensor &t, int64_t stride) {
  if (!given(t)) return true;
  return (uintptr_t)t.data % 16 == 0 && stride * width(t) % 16 == 0;
}

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

inline bool same_shape(const neox_tensor &a, const neox_tensor &b) {
  if (a.ndim != b.ndim) return false;
  for (int i = 0; i < a.ndim; i++)
    if (a.size[i] != b.size[i]) return false;
  return true;
}

// May the kernel have so much dynamic shared memory in a block?
template <typename Kernel> bool gets_shared(Kernel kernel, int bytes) {
#if defined(__HIP__)
  return false; // 64 KiB are too few for all who ask
#else
  constexpr int OWN = 2 << 10; // of a block: its static memory, and what the hardware takes
  if (bytes > attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin) - OWN) return false;
  return cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes) == cudaSuccess;
#endif
}

#define NEOX_REQUIRE(condition, status) \
  do { \
    if (!(condition)) return status; \
  } while (0)

// Calls `...` with T as the element type.
#define NEOX_BY_TYPE(dtype, ...) \
  switch (dtype) { \
  case NEOX_F32: { using T = float; __VA_ARGS__; } break; \
  case NEOX_F16: { using T = f16; __VA_ARGS__; } break; \
  case NEOX_BF16: { using T = bf16; __VA_ARGS__; } break; \
  default: return NEOX_WRONG_DTYPE; \
  }

inline int launched() {
  int error = last_error();
  return error ? NEOX_DEVICE + error : NEOX_OK;
}
