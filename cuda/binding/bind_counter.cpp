#include "binding/counter_support.hpp"
#include "cuda/backend/counter.hpp"
#include "cuda/binding/support.hpp"

namespace modelwatch::cuda::binding {

void bind_counter(py::module_& m, py::class_<Backend>& backend) {
  py::class_<Counter> counter(m, "Counter");
  modelwatch::binding::def_counter(counter);
  modelwatch::binding::def_results(counter);
  counter.def("set_limits", &Counter::set_limits, py::kw_only(), py::arg("bytes"), py::arg("rows"));
  backend.def(
      "Counter",
      [](Backend const& self, std::vector<ColumnPlan> columns, std::vector<SetPlan> sets) {
        return std::make_unique<Counter>(self.device, std::move(columns), std::move(sets));
      },
      py::arg("columns"), py::arg("sets"));
}

}  // namespace modelwatch::cuda::binding
