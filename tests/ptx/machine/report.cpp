#include "report.hpp"

#include <algorithm>

namespace ptx {

void countGlobalRequest(Counters& counters, u64 const* addresses, LaneMask lanes, u32 bytes) {
  // Lanes mostly touch ascending sectors, so compare with the last one and the greatest one before searching.
  u64 sectors[2 * kWarpSize];
  int count = 0;
  u64 last = ~u64{0}, greatest = 0;
  forEachLane(lanes, [&](int lane) {
    for (u64 sector = addresses[lane] / 32; sector <= (addresses[lane] + bytes - 1) / 32; ++sector) {
      if (sector == last) continue;
      last = sector;
      if (count && sector <= greatest && std::find(sectors, sectors + count, sector) != sectors + count) continue;
      sectors[count++] = sector;
      greatest = std::max(greatest, sector);
    }
  });
  counters.globalRequests += 1;
  counters.globalSectors += count;
  counters.globalIdealSectors += (u64(std::popcount(lanes)) * bytes + 31) / 32;
}

void countSharedRequest(Counters& counters, u64 const* addresses, LaneMask lanes, u32 bytes) {
  // Lanes that read the same 4-byte word are served together; each further word in a bank costs a cycle.
  constexpr int kBanks = 32;
  u32 words[kBanks][kWarpSize];
  u8 used[kBanks] = {};
  int cycles = 0;
  u32 last = ~0u;
  forEachLane(lanes, [&](int lane) {
    u32 const address = u32(addresses[lane]);
    for (u32 word = address / 4; word <= (address + bytes - 1) / 4; ++word) {
      if (word == last) continue;
      last = word;
      u32 const bank = word % kBanks;
      if (std::find(words[bank], words[bank] + used[bank], word) != words[bank] + used[bank]) continue;
      if (used[bank] < kWarpSize) words[bank][used[bank]++] = word;
      cycles = std::max<int>(cycles, used[bank]);
    }
  });
  counters.sharedRequests += 1;
  counters.sharedCycles += cycles;
}

std::vector<u32> Coverage::missed(Function const& function) const {
  std::vector<u32> pcs;
  for (u32 pc = function.begin; pc + 1 < function.end; ++pc)  // the last one is the implied return
    if (!executions[pc]) pcs.push_back(pc);
  return pcs;
}

std::string describeInstruction(Module const& module, u32 pc) {
  SourceLine const& source = module.source[pc];
  std::string text = "PTX line " + std::to_string(source.line) + " `" + source.text + "`";
  if (source.file)
    if (auto file = module.files.find(source.file); file != module.files.end())
      text += " (" + file->second + ":" + std::to_string(source.sourceLine) + ")";
  return text;
}

}  // namespace ptx
