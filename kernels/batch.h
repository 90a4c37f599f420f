// Many tensors by one launch: as many as fit the arguments of a kernel, each with blocks of its own.
#pragma once
#include "arguments.h"

// `Item` tells a tensor; it has its `size`, in elements.
template <typename Item, int MOST> struct Batch {
  Item item[MOST];
  int first_block[MOST + 1];
  int count;

  // Which one a block works on.
  __device__ __forceinline__ int holder(int block) const {
    int low = 0, high = count; // first_block[low] <= block < first_block[high]
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      if (first_block[middle] <= block) low = middle;
      else high = middle;
    }
    return low;
  }
};

// Calls run(batch, blocks) for all of `count` items, of which item(i) tells one.
template <typename Item, int MOST, typename Tell, typename Run>
int in_batches(int count, int64_t per_block, Tell item, Run run) {
  for (int from = 0; from < count; from += MOST) {
    Batch<Item, MOST> batch = {};
    int blocks = 0;
    for (int i = from; i < count && i < from + MOST; i++) {
      batch.item[batch.count] = item(i);
      batch.first_block[batch.count] = blocks;
      blocks += (int)ceil_div(batch.item[batch.count++].size, per_block);
    }
    batch.first_block[batch.count] = blocks;
    if (!blocks) continue;
    run(batch, blocks);
    if (int status = launched()) return status;
  }
  return NEOX_OK;
}
