#include <cstring>
#include <optional>

#include "binding/support.hpp"
#include "engine/counter.hpp"
#include "engine/row_hash.hpp"

namespace modelwatch::binding {
namespace {

using Slots = py::array_t<std::uint32_t, py::array::c_style | py::array::forcecast>;
using Groups = py::array_t<std::int32_t, py::array::c_style>;
using Weights = py::array_t<std::uint32_t, py::array::c_style>;

NumericPlan numeric_plan(std::shared_ptr<Grid const> grid, Slots const& to_fine, std::uint32_t fine_slots, Slots const& to_coarse,
                         std::uint32_t coarse_slots, std::uint32_t gap_shift, std::uint64_t pivot) {
  return {std::move(grid), to_vector(to_fine), to_vector(to_coarse), fine_slots, coarse_slots, gap_shift, pivot};
}

CategoryPlan category_plan(py::list const& known, Slots const& to_coarse, std::uint32_t coarse_slots, std::uint32_t unseen_cap,
                           py::object const& known_cap) {
  CategoryPlan plan;
  for (auto const& value : known) plan.known.emplace_back(std::string(py::reinterpret_borrow<py::bytes>(value)));
  plan.to_coarse = to_vector(to_coarse);
  plan.coarse_slots = coarse_slots;
  plan.unseen_cap = unseen_cap;
  if (!known_cap.is_none()) {
    auto const cap = known_cap.cast<std::pair<std::uint64_t, py::bytes>>();
    plan.known_is_capped = true;
    plan.known_hash = cap.first;
    plan.known_bytes = std::string(cap.second);
  }
  return plan;
}

py::array_t<std::uint64_t> limbs_of(std::vector<WideSum> const& sums) {
  py::array_t<std::uint64_t> out({static_cast<py::ssize_t>(sums.size()), static_cast<py::ssize_t>(kWideLimbs)});
  if (!sums.empty()) std::memcpy(out.mutable_data(), sums.data(), sums.size() * sizeof(WideSum));
  return out;
}

py::dict to_dict(NumericResult&& r) {
  py::dict out;
  auto const groups = static_cast<py::ssize_t>(r.moments.size());
  py::array_t<std::uint64_t> counts(groups);
  py::array_t<double> sums({groups, py::ssize_t{4}});
  for (py::ssize_t g = 0; g < groups; ++g) {
    Moments const& m = r.moments[static_cast<std::size_t>(g)];
    counts.mutable_at(g) = m.count;
    sums.mutable_at(g, 0) = m.mean;
    sums.mutable_at(g, 1) = m.m2;
    sums.mutable_at(g, 2) = m.m3;
    sums.mutable_at(g, 3) = m.m4;
  }
  out["moment_count"] = counts;
  out["moments"] = sums;
  out["tail_lower"] = limbs_of(r.tail_lower);
  out["tail_upper"] = limbs_of(r.tail_upper);
  out["tail_group"] = to_numpy(std::move(r.tail_group));
  out["group"] = to_numpy(std::move(r.group));
  out["cell_begin"] = to_numpy(std::move(r.cell_begin));
  out["cell"] = to_numpy(std::move(r.cell));
  out["count"] = to_numpy(std::move(r.count));
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

py::dict to_dict(CategoryResult&& r) {
  py::dict out;
  py::list unseen;
  for (auto const& value : r.unseen) unseen.append(py::bytes(value));
  out["unseen"] = unseen;
  out["capped"] = r.capped;
  out["group"] = to_numpy(std::move(r.group));
  out["cell_begin"] = to_numpy(std::move(r.cell_begin));
  out["cell"] = to_numpy(std::move(r.cell));
  out["count"] = to_numpy(std::move(r.count));
  out["unseen_group"] = to_numpy(std::move(r.unseen_group));
  out["unseen_index"] = to_numpy(std::move(r.unseen_index));
  out["unseen_count"] = to_numpy(std::move(r.unseen_count));
  out["register_group"] = to_numpy(std::move(r.register_group));
  out["registers"] = to_numpy(std::move(r.registers));
  return out;
}

void add_batch(Counter& counter, py::object const& batch, py::list const& groups, int threads, py::object const& weights) {
  auto const owner = import_array(batch);
  std::vector<Groups> arrays;  // held while the GIL is released
  std::vector<std::int32_t const*> pointers;
  for (auto const& item : groups) {
    if (item.is_none()) {
      pointers.push_back(nullptr);
      continue;
    }
    if (!py::isinstance<Groups>(item)) throw InvalidInput("groups must be contiguous int32 arrays.");
    arrays.push_back(py::reinterpret_borrow<Groups>(item));
    if (arrays.back().ndim() != 1 || arrays.back().size() != owner->array().length)
      throw InvalidInput("groups must have one entry per row of the batch.");
    pointers.push_back(arrays.back().data());
  }
  std::optional<Weights> times;
  if (!weights.is_none()) {
    if (!py::isinstance<Weights>(weights)) throw InvalidInput("weights must be a contiguous uint32 array.");
    times = py::reinterpret_borrow<Weights>(weights);
    if (times->ndim() != 1 || times->size() != owner->array().length)
      throw InvalidInput("weights must have one entry per row of the batch.");
  }
  std::uint32_t const* const per_row = times ? times->data() : nullptr;
  py::gil_scoped_release const release;
  counter.add(owner, pointers, threads, signal_poll(), per_row);
}

}  // namespace

void bind_counter(py::module_& m) {
  py::class_<SetPlan>(m, "SetPlan")
      .def(py::init([](bool coarse, bool moments, bool sketches) { return SetPlan{coarse, moments, sketches}; }), py::kw_only(),
           py::arg("coarse"), py::arg("moments"), py::arg("sketches") = false);
  py::class_<NumericPlan>(m, "NumericPlan")
      .def(py::init(&numeric_plan), py::kw_only(), py::arg("grid"), py::arg("to_fine"), py::arg("fine_slots"), py::arg("to_coarse"),
           py::arg("coarse_slots"), py::arg("gap_shift"), py::arg("pivot"));
  py::class_<CategoryPlan>(m, "CategoryPlan")
      .def(py::init(&category_plan), py::kw_only(), py::arg("known"), py::arg("to_coarse"), py::arg("coarse_slots"),
           py::arg("unseen_cap"), py::arg("known_cap"));
  m.def(
      "hash_rows",
      [](py::object const& batch) {
        auto const owner = import_array(batch);
        std::vector<std::uint64_t> hashes;
        {
          py::gil_scoped_release const release;
          hashes = hash_rows(owner);
        }
        return to_numpy(std::move(hashes));
      },
      py::arg("batch"));
  py::class_<Counter>(m, "Counter")
      .def(py::init<std::vector<ColumnPlan>, std::vector<SetPlan>>(), py::arg("columns"), py::arg("sets"))
      .def("add", &add_batch, py::arg("batch"), py::arg("groups"), py::arg("threads") = 0, py::arg("weights") = py::none())
      .def_property_readonly("rows", &Counter::rows)
      .def_property_readonly("bytes", &Counter::bytes)
      .def("numeric", [](Counter const& c, std::size_t column, std::size_t set) { return to_dict(c.numeric(column, set)); })
      .def("category", [](Counter& c, std::size_t column, std::size_t set) { return to_dict(c.category(column, set)); });
}

}  // namespace modelwatch::binding
