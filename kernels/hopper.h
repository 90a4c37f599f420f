// What sm_90a alone has: copies by a tensor map into the shared memory of a block or of a cluster,
// barriers that count their bytes, and products of four warps (PTX ISA 8.0: cp.async.bulk.tensor,
// mbarrier, wgmma.mma_async).
#pragma once
#include "device.h"
#include <type_traits>

#if !defined(__HIP__) && CUDART_VERSION >= 12000
#define NEOX_HOPPER 1 // the compiler knows it; of the GPU's code only that for sm_90a has it
#endif
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define NEOX_ON_HOPPER 1
#elif defined(NEOX_HOPPER) && defined(__CUDA_ARCH__) && __CUDA_ARCH__ == 900
#error "code for sm_90 is to be compiled as sm_90a"
#endif

#if defined(NEOX_HOPPER)
struct Barrier {
  uint64_t word;

#if defined(NEOX_ON_HOPPER)
  __device__ uint32_t place() const { return (uint32_t)__cvta_generic_to_shared(this); }

  __device__ void make(int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(place()), "r"(arrivals));
  }
  __device__ void arrive() { asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(place()) : "memory"); }

  // At the barrier of the same place in a block of the cluster.
  __device__ void arrive_in(int block) {
    asm volatile("{\n .reg .b32 there;\n mapa.shared::cluster.u32 there, %0, %1;\n"
                 " mbarrier.arrive.shared::cluster.b64 _, [there];\n}" ::"r"(place()),
                 "r"(block)
                 : "memory");
  }
  // One arrival, and so many bytes that copies bring.
  __device__ void expect(int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(place()), "r"(bytes) : "memory");
  }
  // Until the phase of this parity is over; before the first one is that of parity 1.
  __device__ void wait(uint32_t parity) {
    asm volatile("{\n .reg .pred over;\n"
                 "again:\n mbarrier.try_wait.parity.shared::cta.b64 over, [%0], %1;\n"
                 " @!over bra again;\n}" ::"r"(place()),
                 "r"(parity)
                 : "memory");
  }
#endif
};
#endif

#if defined(NEOX_ON_HOPPER)
__device__ __forceinline__ uint32_t shared_place(const void *p) { return (uint32_t)__cvta_generic_to_shared(p); }

__device__ __forceinline__ void barriers_are_made() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }

__device__ __forceinline__ int block_of_cluster() {
  int rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

__device__ __forceinline__ void sync_cluster() {
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}

// --- copies ----------------------------------------------------------------------------------------

__device__ __forceinline__ void prefetch_map(const void *map) { asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory"); }

// The map's box at (column, row); `done` counts its bytes.
__device__ __forceinline__ void copy_box(void *to, const void *map, int column, int row, Barrier &done) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::"r"(
          shared_place(to)),
      "l"(map), "r"(done.place()), "r"(column), "r"(row)
      : "memory");
}

// To the same place, with the barrier of the same place, in each block of the cluster whose bit is set.
__device__ __forceinline__ void copy_box(void *to, const void *map, int column, int row, Barrier &done, uint16_t blocks) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster"
               " [%0], [%1, {%3, %4}], [%2], %5;" ::"r"(shared_place(to)),
               "l"(map), "r"(done.place()), "r"(column), "r"(row), "h"(blocks)
               : "memory");
}

// --- products --------------------------------------------------------------------------------------

// A matrix in shared memory in lines of 128 bytes, swizzled as a map's boxes are: eight lines follow each
// other, the next eight lie `eights` bytes on. Where lines run along m or n and not along k, the next 64
// of these lie `across` bytes on.
__device__ __forceinline__ uint64_t matrix_at(const void *p, int eights, int across) {
  return (uint64_t)((shared_place(p) & 0x3ffff) >> 4) | (uint64_t)(across >> 4) << 16 | (uint64_t)(eights >> 4) << 32 |
         1ull << 62;
}

__device__ __forceinline__ void products_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void products_end() {
  asm volatile("wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;" ::: "memory");
}

#define NEOX_4(d, i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define NEOX_16(d, i) NEOX_4(d, i), NEOX_4(d, i + 4), NEOX_4(d, i + 8), NEOX_4(d, i + 12)
#define NEOX_64(d, i) NEOX_16(d, i), NEOX_16(d, i + 16), NEOX_16(d, i + 32), NEOX_16(d, i + 48)
#define NEOX_MULTIPLY(type) \
  asm volatile( \
      "{\n .reg .pred add;\n setp.ne.b32 add, %130, 0;\n" \
      " wgmma.mma_async.sync.aligned.m64n256k16.f32." type "." type \
      " {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15," \
      " %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31," \
      " %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47," \
      " %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63," \
      " %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79," \
      " %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95," \
      " %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111," \
      " %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127}," \
      " %128, %129, add, 1, 1, 0, %131;\n}" \
      : NEOX_64(sum, 0), NEOX_64(sum, 64) \
      : "l"(a), "l"(b), "r"((int)add), "n"((int)ACROSS))

// sum [64, 256] (+)= a [64, 16] b [16, 256], for the four warps of a group; ACROSS: the lines of b run
// along its 256. A lane holds rows lane / 4 and 8 more of its warp's 16, and of each eight columns two.
template <typename T, bool ACROSS>
__device__ __forceinline__ void multiply(float (&sum)[128], uint64_t a, uint64_t b, bool add) {
  if constexpr (std::is_same<T, bf16>::value) NEOX_MULTIPLY("bf16");
  else NEOX_MULTIPLY("f16");
}

// Four 8 x 8 matrices of 16-bit numbers from a warp's registers; each lane names the place of a row.
__device__ __forceinline__ void store_matrices(uint32_t to, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(a), "r"(b), "r"(c), "r"(d)
               : "memory");
}
#endif
