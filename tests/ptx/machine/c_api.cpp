// C interface for ctypes. Errors are kept as text per thread.
#include "machine.hpp"

using namespace ptx;

namespace {

thread_local std::string g_error;

template <class F>
int guarded(F&& f) {
  try {
    f();
    return 0;
  } catch (std::exception const& e) {
    g_error = e.what();
    return 1;
  }
}

}  // namespace

extern "C" {

char const* ptx_error() { return g_error.c_str(); }

Machine* ptx_load(char const* text) {
  Machine* machine = nullptr;
  guarded([&] { machine = new Machine(parseModule(text)); });
  return machine;
}
void ptx_free(Machine* m) { delete m; }

// Makes host memory visible to kernels at its own address.
void ptx_map(Machine* m, void* host, u64 bytes, int readOnly) {
  m->memory().add({u64(host), u64(host) + bytes, static_cast<u8*>(host), readOnly != 0});
}
void ptx_unmap_all(Machine* m) { m->memory().clear(); }

void ptx_options(Machine* m, u32 seed, int randomSchedule, u32 resident, int blockOrder, int reverseWarps, int races,
                 int traffic, u32 noise, u64 limit) {
  m->options() = Options{seed,
                         randomSchedule != 0,
                         resident,
                         BlockOrder(blockOrder),
                         reverseWarps != 0,
                         (races & 1) != 0,
                         (races & 2) != 0,
                         traffic != 0,
                         noise,
                         limit};
}

int ptx_launch(Machine* m, char const* kernel, u32 const* grid, u32 const* block, u64 dynamicShared, u8 const* params,
               u64 bytes) {
  return guarded([&] {
    m->launch({kernel, {grid[0], grid[1], grid[2]}, {block[0], block[1], block[2]}, dynamicShared, {params, bytes}});
  });
}

// Fills `out` with up to `capacity` counters; returns how many there are. Their names, in the same order:
int ptx_counters(Machine* m, u64* out, int capacity) {
  auto const names = counterNames();
  for (size_t i = 0; i < names.size() && int(i) < capacity; ++i) out[i] = m->counters().*names[i].member;
  return int(names.size());
}
char const* ptx_counter_name(int index) { return counterNames()[size_t(index)].name; }

// One line of text per source line of a kernel, of all launches so far: file, line, executions, requests, sectors,
// least sectors, bytes. Returns the bytes needed, or -1.
int ptx_lines(Machine* m, char const* kernel, char* buffer, int size) {
  Function const* f = m->module().findKernel(kernel);
  if (!f) return -1;
  std::string text;
  for (auto& [where, record] : lineRecords(m->module(), m->coverage(), *f)) {
    text += where.first + "\t" + std::to_string(where.second);
    Traffic const& t = record.traffic;
    for (u64 value : {record.executions, t.requests, t.sectors, t.idealSectors, t.bytes})
      text += "\t" + std::to_string(value);
    text += "\n";
  }
  std::snprintf(buffer, size_t(size), "%s", text.c_str());
  return int(text.size()) + 1;
}
void ptx_reset_coverage(Machine* m) { m->resetCoverage(); }

// Newline-separated description of the kernel's instructions that no launch has executed; `total` gets the number of
// all.
int ptx_uncovered(Machine* m, char const* kernel, char* buffer, int size, int* total) {
  Function const* f = m->module().findKernel(kernel);
  if (!f) return -1;
  auto const missed = m->coverage().missed(*f);
  std::string text;
  for (u32 pc : missed) text += describeInstruction(m->module(), pc) + "\n";
  *total = int(f->end - f->begin) - 1;
  std::snprintf(buffer, size_t(size), "%s", text.c_str());
  return int(missed.size());
}

int ptx_warnings(Machine* m, char* buffer, int size) {
  std::string text;
  for (std::string const& warning : m->warnings()) text += warning + "\n";
  std::snprintf(buffer, size_t(size), "%s", text.c_str());
  return int(m->warnings().size());
}

// Newline-separated instructions of the module that are not supported.
int ptx_unsupported(Machine* m, char* buffer, int size) {
  std::string text;
  int count = 0;
  for (u32 pc = 0; pc < m->module().code.size(); ++pc)
    if (m->module().code[pc].op == Opcode::Unsupported) {
      text += describeInstruction(m->module(), pc) + "\n";
      ++count;
    }
  std::snprintf(buffer, size_t(size), "%s", text.c_str());
  return count;
}

// Sizes and offsets of a kernel's parameters, as pairs; returns their number or -1.
int ptx_params(Machine* m, char const* kernel, u64* out, int capacity) {
  Function const* f = m->module().findKernel(kernel);
  if (!f) return -1;
  for (int i = 0; i < int(f->params.size()) && i < capacity; ++i) {
    out[2 * i] = f->params[i].size;
    out[2 * i + 1] = f->params[i].offset;
  }
  return int(f->params.size());
}

void* ptx_variable(Machine* m, char const* name, u64* size) { return m->moduleVariable(name, *size); }

}  // extern "C"
