#pragma once

#include <cstdint>

namespace modelwatch {

/// 2^64 divided by the golden ratio, made odd: the upper bits of a number times this tell near numbers apart (Knuth, The
/// Art of Computer Programming 3, section 6.4).
inline constexpr std::uint64_t kGoldenRatio = 0x9e3779b97f4a7c15u;

}  // namespace modelwatch
