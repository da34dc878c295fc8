// Finds PTX inside the fat binary that nvcc embeds in host objects.
#include <fatbinary_section.h>

#include <cstdlib>

#include "state.hpp"

namespace ptx::runtime {
namespace {

constexpr u16 kPtxEntry = 1;

template <class T>
T read(char const* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// The number after ".target sm_", 0 if there is none.
int targetOf(std::string const& text) {
  size_t const at = text.find(".target sm_");
  return at == std::string::npos ? 0 : std::atoi(text.c_str() + at + 11);
}

}  // namespace

// Container: magic u32, version u16, header bytes u16, payload bytes u64; then entries of
// kind u16, version u16, header bytes u32, payload bytes u64, ...
std::string selectPtx(void const* fatbin, int computeCapability, std::string& problem) {
  char const* container = reinterpret_cast<char const*>(static_cast<__fatBinC_Wrapper_t const*>(fatbin)->data);
  char const* entry = container + read<u16>(container + 6);
  char const* end = entry + read<u64>(container + 8);
  std::string best;
  bool compressed = false, tooNew = false;
  while (entry + 16 <= end) {
    u64 const header = read<u32>(entry + 4), bytes = read<u64>(entry + 8);
    if (read<u16>(entry) == kPtxEntry) {
      std::string text(entry + header, bytes);
      if (size_t const zero = text.find('\0'); zero != std::string::npos && text.find(".version") < zero)
        text.resize(zero);
      if (text.find(".version") == std::string::npos)
        compressed = true;
      else if (targetOf(text) > computeCapability)
        tooNew = true;
      else if (best.empty() || targetOf(text) > targetOf(best))
        best = text;
    }
    entry += header + bytes;
  }
  if (best.empty())
    problem = compressed ? "the embedded PTX is compressed: compile with --compress-mode=none"
              : tooNew   ? "the embedded PTX needs a newer device (see PTX_DEVICE)"
                         : "no PTX is embedded: compile with -gencode arch=compute_XX,code=compute_XX";
  return best;
}

}  // namespace ptx::runtime
