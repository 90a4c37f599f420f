// In hip_runtime.h of this folder.
#pragma once
