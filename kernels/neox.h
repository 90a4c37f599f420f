// The interface of the kernel library: plain C, so that one library serves every Python and torch.
//
// Every kernel is  int neox_NAME(const neox_tensor *args, int n, void *scratch, size_t scratch_bytes,
// void *stream).  It enqueues work on `stream` and returns 0, or a number for neox_error(). It
// allocates nothing, waits for nothing and keeps nothing: the caller owns outputs and scratch, whose
// size neox_NAME_scratch() tells where one is needed.
#pragma once
#include <stddef.h>
#include <stdint.h>

#define NEOX_ABI 1
#define NEOX_DIMS 5

enum neox_dtype {
  NEOX_ABSENT = 0, // an optional argument that is not given
  NEOX_F32 = 1,
  NEOX_F16 = 2,
  NEOX_BF16 = 3,
  NEOX_I64 = 4,
  NEOX_BOOL = 5,
  NEOX_U8 = 7,
  NEOX_F64 = 8,
  NEOX_HOST = 6, // `data` points to one double in host memory, read before the call returns
};

typedef struct {
  void *data;
  int32_t dtype;
  int32_t ndim;
  int64_t size[NEOX_DIMS];
  int64_t stride[NEOX_DIMS]; // in elements
} neox_tensor;

enum neox_status {
  NEOX_OK = 0,
  NEOX_WRONG_COUNT = 1,
  NEOX_WRONG_DTYPE = 2,
  NEOX_WRONG_SHAPE = 3,
  NEOX_WRONG_STRIDE = 4,
  NEOX_SMALL_SCRATCH = 5,
  NEOX_TOO_LONG = 6,
  NEOX_WRONG_GPU = 7,
  NEOX_DEVICE = 1000, // + the runtime's own error number
};

#ifdef __cplusplus
#define NEOX_API extern "C" __attribute__((visibility("default")))
#else
#define NEOX_API
#endif

NEOX_API int neox_abi(void);
NEOX_API const char *neox_error(int status);
