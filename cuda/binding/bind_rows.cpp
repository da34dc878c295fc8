#include "cuda/backend/distance.hpp"
#include "cuda/backend/rows.hpp"
#include "cuda/binding/support.hpp"

namespace modelwatch::cuda::binding {
namespace {

using modelwatch::binding::domain_of;
using modelwatch::binding::to_vector;

/// The domain that a column of one of the types that are sorted has of its own.
Domain sorted_domain(Storage storage) {
  switch (storage) {
    case Storage::float32: return Domain::float32;
    case Storage::float64: return Domain::float64;
    case Storage::uint64: return Domain::uint64;
    default: return Domain::int64;
  }
}

SortedDistance distance_between(Backend const& self, ImportedColumn const& a, ImportedColumn const& b, Domain domain) {
  py::gil_scoped_release const release;
  Use const session(self.device);
  return sorted_distance(*session, a.input, b.input, domain, signal_poll());
}

}  // namespace

void bind_rows(py::class_<Backend>& backend) {
  backend.def(
      "sup_distance",
      [](Backend const& self, py::object const& a, py::object const& b) {
        auto const one = import_column(a);
        auto const other = import_column(b);
        check_sorted_sides(one.input.view, other.input.view);
        return distance_between(self, one, other, sorted_domain(one.input.view.storage)).most;
      },
      py::arg("a"), py::arg("b"));
  backend.def(
      "sorted_distance",
      [](Backend const& self, py::object const& a, py::object const& b, int domain) {
        auto const found = distance_between(self, import_column(a), import_column(b), domain_of(domain));
        return py::make_tuple(found.most, found.n, found.m);
      },
      py::arg("a"), py::arg("b"), py::arg("domain"));
  backend.def(
      "interval_of",
      [](Backend const& self, py::object const& values,
         py::array_t<std::int64_t, py::array::c_style | py::array::forcecast> const& boundaries) {
        auto const edges = to_vector(boundaries);
        auto out = of_column(self, values, [&](Session& session, ColumnInput const& column) {
          return interval_of(session, column, edges, signal_poll());
        });
        return py::make_tuple(to_numpy(std::move(out.of_row)), to_numpy(std::move(out.rows)));
      },
      py::arg("values"), py::arg("boundaries"));
  backend.def(
      "hash_rows",
      [](Backend const& self, py::object const& batch) {
        auto const owner = import_array(batch);
        std::vector<std::uint64_t> hashes;
        {
          py::gil_scoped_release const release;
          Use const session(self.device);
          hashes = hash_rows(*session, owner, signal_poll());
        }
        return to_numpy(std::move(hashes));
      },
      py::arg("batch"));
  // Tables are the host's, and what adds them up is the engine.
  backend.def("merge_rows", [](Backend const&, py::args const& arguments, py::kwargs const& named) {
    return py::module_::import("modelwatch_gpu._core").attr("merge_rows")(*arguments, **named);
  });
}

}  // namespace modelwatch::cuda::binding
