#include "binding/counter_support.hpp"
#include "engine/counter.hpp"
#include "engine/row_hash.hpp"

namespace modelwatch::binding {
namespace {

using Slots = py::array_t<std::uint32_t, py::array::c_style | py::array::forcecast>;

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
  py::class_<Counter> counter(m, "Counter");
  counter.def(py::init<std::vector<ColumnPlan>, std::vector<SetPlan>, std::vector<SetPlan>, std::vector<std::size_t>>(), py::arg("columns"),
              py::arg("sets"), py::arg("more") = std::vector<SetPlan>{}, py::arg("counted_in_more") = std::vector<std::size_t>{});
  def_counter(counter);
  using Order = std::optional<py::array_t<std::uint32_t, py::array::c_style | py::array::forcecast>>;
  auto const span_of = [](Order const& order) { return order ? Counter::Order(order->data(), static_cast<std::size_t>(order->size())) : Counter::Order(); };
  counter.def("numeric", [span_of](Counter& self, std::size_t column, std::size_t set, bool narrow, Order const& order) {
    return to_dict(without_gil([&, own = span_of(order)] { return self.numeric(column, set, narrow, own); }));
  }, py::arg("column"), py::arg("set"), py::arg("narrow") = false, py::arg("order") = py::none());
  counter.def("category", [span_of](Counter& self, std::size_t column, std::size_t set, bool narrow, Order const& order) {
    return to_dict(without_gil([&, own = span_of(order)] { return self.category(column, set, narrow, own); }));
  }, py::arg("column"), py::arg("set"), py::arg("narrow") = false, py::arg("order") = py::none());
}

}  // namespace modelwatch::binding
