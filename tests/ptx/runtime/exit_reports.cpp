// What a process leaves behind on request: a text for people, and JSON lines of coverage and counters for tools.
#include <cxxabi.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "state.hpp"

namespace ptx::runtime {
namespace {

std::string quoted(std::string const& text) {
  std::string result = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + "\"";
}

std::string demangled(std::string const& name) {
  int status = 0;
  char* text = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status);
  std::string const result = status == 0 && text ? text : name;
  std::free(text);
  return result;
}

std::string identity(std::string const& kernel, Machine const& machine) {
  return "{\"kernel\": " + quoted(kernel) + ", \"name\": " + quoted(demangled(kernel)) +
         ", \"target\": " + quoted(machine.module().target);
}

std::string numbers(KernelTotals const& totals) {
  std::string text = ", \"launches\": " + std::to_string(totals.launches) +
                     ", \"blocks\": " + std::to_string(totals.blocks) +
                     ", \"threads\": " + std::to_string(totals.threads);
  for (auto& [name, member] : counterNames())
    text += std::string(", \"") + name + "\": " + std::to_string(totals.counters.*member);
  return text;
}

// Many processes may append to one file: each writes at once.
void append(std::string const& path, std::string const& text) {
  if (text.empty()) return;
  int const file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  bool written = file >= 0;
  for (size_t done = 0; written && done < text.size();) {
    ssize_t const count = ::write(file, text.data() + done, text.size() - done);
    written = count > 0;
    if (written) done += size_t(count);
  }
  if (file >= 0) ::close(file);
  if (!written) std::fprintf(stderr, "ptx runtime: cannot write to %s\n", path.c_str());
}

template <class F>
void forEachKernel(LoadedModule const& module, F&& body) {
  for (auto& machine : module.machines) {
    if (!machine) continue;
    for (Function const& f : machine->module().functions)
      if (f.isEntry) body(*machine, f);
  }
}

void print(State& state) {
  std::fprintf(stderr,
               "ptx runtime: %llu launches, %zu allocations not freed, %zu streams, events and pools not destroyed\n",
               static_cast<unsigned long long>(state.launches), state.allocationCount(), state.handleCount());
  for (auto& module : state.modules())
    forEachKernel(*module, [](Machine const& machine, Function const& f) {
      if (!machine.coverage().executions[f.begin]) return;
      auto const missed = machine.coverage().missed(f);
      std::fprintf(stderr, "  %s: %zu of %u instructions never executed\n", f.name.c_str(), missed.size(),
                   f.end - f.begin - 1);
      for (u32 pc : missed) std::fprintf(stderr, "    %s\n", describeInstruction(machine.module(), pc).c_str());
    });
}

std::string coverageOf(LoadedModule const& module) {
  std::string text;
  forEachKernel(module, [&](Machine const& machine, Function const& f) {
    text += identity(f.name, machine) + ", \"files\": {";
    std::string file, separator;
    for (auto& [where, record] : lineRecords(machine.module(), machine.coverage(), f)) {
      if (where.first != file) {
        text += (file.empty() ? "" : "}, ") + quoted(where.first) + ": {";
        file = where.first;
        separator = "";
      }
      text += separator + "\"" + std::to_string(where.second) + "\": " + std::to_string(record.executions);
      separator = ", ";
    }
    text += file.empty() ? "}}\n" : "}}}\n";
  });
  return text;
}

std::string countersOf(LoadedModule const& module) {
  std::string text;
  forEachKernel(module, [&](Machine const& machine, Function const& f) {
    auto const totals = module.totals.find({&machine, f.name});
    if (totals == module.totals.end()) return;
    text += identity(f.name, machine) + numbers(totals->second) + ", \"lines\": {";
    std::string separator;
    for (auto& [where, record] : lineRecords(machine.module(), machine.coverage(), f)) {
      Traffic const& t = record.traffic;
      if (!t.requests) continue;
      text += separator + quoted(where.first + ":" + std::to_string(where.second)) +
              ": {\"requests\": " + std::to_string(t.requests) + ", \"sectors\": " + std::to_string(t.sectors) +
              ", \"ideal_sectors\": " + std::to_string(t.idealSectors) + ", \"bytes\": " + std::to_string(t.bytes) +
              "}";
      separator = ", ";
    }
    text += "}}\n";
  });
  return text;
}

}  // namespace

void countLaunch(State& state, LoadedModule& module, Machine& machine, std::string const& kernel, u64 blocks,
                 u64 threads) {
  if (state.settings.countersPath.empty()) return;
  KernelTotals launch{machine.counters(), 1, blocks, blocks * threads};
  if (state.settings.countersOfEachLaunch) {
    append(state.settings.countersPath, identity(kernel, machine) + numbers(launch) + "}\n");
    return;
  }
  KernelTotals& totals = module.totals[{&machine, kernel}];
  totals.counters.add(launch.counters);
  totals.launches += 1;
  totals.blocks += launch.blocks;
  totals.threads += launch.threads;
}

void writeExitReports(State& state) {
  Settings const& settings = state.settings;
  if (settings.report) print(state);
  std::string coverage, counters;
  for (auto& module : state.modules()) {
    if (!settings.coveragePath.empty()) {
      // A module that nobody used has lines too.
      state.machineOf(module.get(), state.device());
      coverage += coverageOf(*module);
    }
    if (!settings.countersPath.empty() && !settings.countersOfEachLaunch) counters += countersOf(*module);
    module->totals.clear();
    for (auto& machine : module->machines)
      if (machine) machine->resetCoverage();
  }
  if (!settings.coveragePath.empty()) append(settings.coveragePath, coverage);
  if (!settings.countersPath.empty()) append(settings.countersPath, counters);
}

}  // namespace ptx::runtime
