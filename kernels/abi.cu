// What the library says about itself.
#include "device.h"

NEOX_API int neox_abi(void) { return NEOX_ABI; }

NEOX_API const char *neox_error(int status) {
  switch (status) {
  case NEOX_OK: return "no error";
  case NEOX_WRONG_COUNT: return "wrong number of arguments";
  case NEOX_WRONG_DTYPE: return "a dtype that this kernel does not take, or two that differ";
  case NEOX_WRONG_SHAPE: return "shapes that do not fit together";
  case NEOX_WRONG_STRIDE: return "an argument does not lie densely enough in memory";
  case NEOX_SMALL_SCRATCH: return "the scratch memory is too small";
  case NEOX_TOO_LONG: return "a row is longer than this kernel holds";
  case NEOX_WRONG_GPU: return "this GPU, or the compiler that built the library, has no such kernel";
  }
  if (status < NEOX_DEVICE) return "unknown status";
#if defined(__HIP__)
  return hipGetErrorString((hipError_t)(status - NEOX_DEVICE));
#else
  return cudaGetErrorString((cudaError_t)(status - NEOX_DEVICE));
#endif
}
