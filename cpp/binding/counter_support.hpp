#pragma once
// What the counters of both modules have in common: arguments in, dictionaries out.

#include <cstring>
#include <optional>

#include "binding/support.hpp"
#include "engine/counter.hpp"

namespace modelwatch::binding {

using GroupsArray = py::array_t<std::int32_t, py::array::c_style>;
using WeightsArray = py::array_t<std::uint32_t, py::array::c_style>;

inline py::array_t<std::uint64_t> limbs_of(std::vector<WideSum> const& sums) {
  py::array_t<std::uint64_t> out({static_cast<py::ssize_t>(sums.size()), static_cast<py::ssize_t>(kWideLimbs)});
  if (!sums.empty()) std::memcpy(out.mutable_data(), sums.data(), sums.size() * sizeof(WideSum));
  return out;
}

/// Cells and counts, in whichever types they are.
template <class Result>
void put_cells(py::dict& out, Result& r) {
  bool const narrow = !r.narrow.empty();
  out["cell"] = narrow ? py::array(to_numpy(std::move(r.narrow.cell))) : py::array(to_numpy(std::move(r.cell)));
  out["count"] = narrow ? py::array(to_numpy(std::move(r.narrow.count))) : py::array(to_numpy(std::move(r.count)));
}

inline py::dict to_dict(NumericResult&& r) {
  py::dict out;
  auto const groups = static_cast<py::ssize_t>(r.moments.size());
  py::array_t<std::uint64_t> counts(groups);
  py::array_t<double> sums({groups, py::ssize_t{4}});
  std::uint64_t* count = counts.mutable_data();
  double* sum = sums.mutable_data();
  for (Moments const& m : r.moments) {
    *count++ = m.count;
    for (double const own : {m.mean, m.m2, m.m3, m.m4}) *sum++ = own;
  }
  out["moment_count"] = counts;
  out["moments"] = sums;
  out["tail_lower"] = limbs_of(r.tail_lower);
  out["tail_upper"] = limbs_of(r.tail_upper);
  out["tail_group"] = to_numpy(std::move(r.tail_group));
  out["group"] = to_numpy(std::move(r.group));
  out["cell_begin"] = to_numpy(std::move(r.cell_begin));
  put_cells(out, r);
  out["gap_begin"] = to_numpy(std::move(r.gap_begin));
  out["gap"] = to_numpy(std::move(r.gap));
  out["gap_sum"] = to_numpy(std::move(r.gap_sum));
  out["low"] = to_numpy(std::move(r.low));
  out["high"] = to_numpy(std::move(r.high));
  out["bucket_begin"] = to_numpy(std::move(r.bucket_begin));
  out["bucket"] = to_numpy(std::move(r.bucket));
  out["bucket_count"] = to_numpy(std::move(r.bucket_count));
  out["register_group"] = to_numpy(std::move(r.register_group));
  out["registers"] = to_numpy(std::move(r.registers));
  return out;
}

inline py::list to_bytes(TextList const& values) {
  py::list out(static_cast<py::ssize_t>(values.size()));
  constexpr std::size_t kAhead = 16;  // values whose bytes are fetched while those before them are copied
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i + kAhead < values.size()) __builtin_prefetch(values[i + kAhead].data());
    PyObject* const value = PyBytes_FromStringAndSize(values[i].data(), static_cast<py::ssize_t>(values[i].size()));
    if (value == nullptr) throw py::error_already_set();
    PyList_SET_ITEM(out.ptr(), static_cast<py::ssize_t>(i), value);
  }
  return out;
}

inline py::dict to_dict(CategoryResult&& r) {
  py::dict out;
  out["unseen"] = to_bytes(r.unseen);
  out["capped"] = r.capped;
  out["group"] = to_numpy(std::move(r.group));
  out["cell_begin"] = to_numpy(std::move(r.cell_begin));
  put_cells(out, r);
  out["unseen_group"] = to_numpy(std::move(r.unseen_group));
  out["unseen_index"] = to_numpy(std::move(r.unseen_index));
  out["unseen_count"] = to_numpy(std::move(r.unseen_count));
  out["register_group"] = to_numpy(std::move(r.register_group));
  out["registers"] = to_numpy(std::move(r.registers));
  return out;
}

template <class Counter>
void add_batch(Counter& counter, py::object const& batch, py::list const& groups, int threads, py::object const& weights) {
  auto const owner = import_array(batch);
  std::vector<GroupsArray> arrays;  // held while the GIL is released
  std::vector<std::int32_t const*> pointers;
  for (auto const& item : groups) {
    if (item.is_none()) {
      pointers.push_back(nullptr);
      continue;
    }
    if (!py::isinstance<GroupsArray>(item)) throw InvalidInput("groups must be contiguous int32 arrays.");
    arrays.push_back(py::reinterpret_borrow<GroupsArray>(item));
    if (arrays.back().ndim() != 1 || arrays.back().size() != owner->array().length)
      throw InvalidInput("groups must have one entry per row of the batch.");
    pointers.push_back(arrays.back().data());
  }
  std::optional<WeightsArray> times;
  if (!weights.is_none()) {
    if (!py::isinstance<WeightsArray>(weights)) throw InvalidInput("weights must be a contiguous uint32 array.");
    times = py::reinterpret_borrow<WeightsArray>(weights);
    if (times->ndim() != 1 || times->size() != owner->array().length)
      throw InvalidInput("weights must have one entry per row of the batch.");
  }
  std::uint32_t const* const per_row = times ? times->data() : nullptr;
  py::gil_scoped_release const release;
  counter.add(owner, pointers, threads, signal_poll(), per_row);
}

/// Calls a function of the engine without the GIL.
template <class F>
auto without_gil(F f) {
  py::gil_scoped_release const release;
  return f();
}

template <class Counter>
void def_counter(py::class_<Counter>& bound) {
  bound.def("add", &add_batch<Counter>, py::arg("batch"), py::arg("groups"), py::arg("threads") = 0, py::arg("weights") = py::none());
  bound.def_property_readonly("rows", &Counter::rows);
  bound.def_property_readonly("bytes", &Counter::bytes);
}

/// What it has counted, of a counter that gives it in one width.
template <class Counter>
void def_results(py::class_<Counter>& bound) {
  bound.def("numeric", [](Counter& self, std::size_t column, std::size_t set) {
    return to_dict(without_gil([&] { return self.numeric(column, set); }));
  });
  bound.def("category", [](Counter& self, std::size_t column, std::size_t set) {
    return to_dict(without_gil([&] { return self.category(column, set); }));
  });
}

}  // namespace modelwatch::binding
