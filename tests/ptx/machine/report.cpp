#include "report.hpp"

#include <algorithm>

namespace ptx {

std::span<CounterName const> counterNames() {
  using C = Counters;
  static constexpr CounterName names[] = {{"warp_instructions", &C::warpInstructions},
                                                 {"thread_instructions", &C::threadInstructions},
                                                 {"global_requests", &C::globalRequests},
                                                 {"global_sectors", &C::globalSectors},
                                                 {"global_ideal_sectors", &C::globalIdealSectors},
                                                 {"shared_requests", &C::sharedRequests},
                                                 {"shared_cycles", &C::sharedCycles},
                                                 {"atomic_requests", &C::atomicRequests},
                                                 {"divergent_instructions", &C::divergentInstructions},
                                                 {"barriers", &C::barriers},
                                                 {"max_call_depth", &C::maxCallDepth},
                                                 {"load_requests", &C::loadRequests},
                                                 {"load_sectors", &C::loadSectors},
                                                 {"load_ideal_sectors", &C::loadIdealSectors},
                                                 {"load_bytes", &C::loadBytes},
                                                 {"store_bytes", &C::storeBytes}};
  return names;
}

void Counters::add(Counters const& other) {
  u64 const deepest = std::max(maxCallDepth, other.maxCallDepth);
  for (auto& [name, member] : counterNames()) this->*member += other.*member;
  maxCallDepth = deepest;
}

void Traffic::add(Traffic const& other) {
  requests += other.requests;
  sectors += other.sectors;
  idealSectors += other.idealSectors;
  bytes += other.bytes;
}

Traffic globalRequest(u64 const* addresses, LaneMask lanes, u32 bytes) {
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
  u64 const wanted = u64(std::popcount(lanes)) * bytes;
  return {1, u64(count), (wanted + 31) / 32, wanted};
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

std::map<std::pair<std::string, int>, LineRecord> lineRecords(Module const& module, Coverage const& coverage,
                                                              Function const& kernel) {
  std::map<std::pair<std::string, int>, LineRecord> records;
  auto note = [&](int file, int line, u64 executions, Traffic const& traffic) {
    auto const name = module.files.find(file);
    if (line <= 0 || name == module.files.end()) return;
    LineRecord& record = records[{name->second, line}];
    record.executions = std::max(record.executions, executions);
    record.traffic.add(traffic);
  };
  auto visit = [&](Function const& function) {
    for (u32 pc = function.begin; pc + 1 < function.end; ++pc) {  // the last one is the implied return
      SourceLine const& source = module.source[pc];
      note(source.innerFile, source.innerLine, coverage.executions[pc], coverage.traffic[pc]);
      if (source.file != source.innerFile || source.sourceLine != source.innerLine)
        note(source.file, source.sourceLine, coverage.executions[pc], {});
    }
  };
  visit(kernel);
  for (i32 callee : kernel.callees) visit(module.functions[size_t(callee)]);
  return records;
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
