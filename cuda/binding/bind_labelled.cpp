#include "binding/bins_arguments.hpp"  // Groups
#include "cuda/backend/labelled.hpp"
#include "cuda/binding/support.hpp"

namespace modelwatch::cuda::binding {
namespace {

using namespace modelwatch::binding;

/// Columns with whatever keeps them.
struct Imported {
  std::vector<ImportedColumn> owners;
  std::vector<ColumnInput> inputs;

  explicit Imported(py::list const& columns) {
    for (auto const& column : columns) {
      owners.push_back(import_column(py::reinterpret_borrow<py::object>(column)));
      inputs.push_back(owners.back().input);
    }
  }
};

DeviceMemory column_of(ErrorColumns const& rows, SharedBytes const& values) {
  return {{values->data(), {nullptr, 0}, rows.rows, Storage::float64}, rows.device, py::none(), nullptr, values, nullptr};
}

}  // namespace

void bind_labelled(py::module_& m, py::class_<Backend>& backend) {
  py::class_<ErrorColumns>(m, "ErrorColumns")
      .def_readonly("rows", &ErrorColumns::rows)
      .def_readonly("pivot", &ErrorColumns::pivot)
      .def_property_readonly("errors", [](ErrorColumns const& self) { return column_of(self, self.errors); })
      .def_property_readonly("labels", [](ErrorColumns const& self) { return column_of(self, self.labels); })
      .def_property_readonly("predictions", [](ErrorColumns const& self) { return column_of(self, self.predictions); });
  backend.def(
      "errors_beside",
      [](Backend const& self, py::object const& labels, py::object const& predictions, int domain) {
        auto const y = import_column(labels);
        auto const z = import_column(predictions);
        return with_session(self, [&](Session& session) { return errors_beside(session, y.input, z.input, domain_of(domain), signal_poll()); });
      },
      py::arg("labels"), py::arg("predictions"), py::arg("domain"));
  backend.def(
      "error_terms",
      [](Backend const& self, ErrorColumns const& rows, int term, double pivot, double q) {
        if (term < 0 || term >= kErrorTerms) throw InvalidInput("there is no such term.");
        if (rows.device != self.device) throw InvalidInput("the errors lie on another device than the one that is to read them.");
        auto const values = with_session(self, [&](Session& session) { return error_terms(session, rows, static_cast<ErrorTerm>(term), pivot, q); });
        return column_of(rows, values);
      },
      py::arg("rows"), py::arg("term"), py::arg("pivot"), py::arg("q") = 0.5);
  backend.def(
      "only_rows",
      [](Backend const& self, py::list const& columns, DeviceGroups const* groups) {
        Imported const imported(columns);
        return with_session(self, [&](Session& session) { return only_rows(session, imported.inputs, groups, signal_poll()); });
      },
      py::arg("columns"), py::arg("groups") = py::none());
  backend.def(
      "upload_groups",
      [](Backend const& self, Groups const& groups, std::int32_t count) {
        auto const of_row = row_groups(groups, count);
        return with_session(self, [&](Session& session) { return upload_groups(session, of_row.of_row, of_row.rows, count); });
      },
      py::arg("groups"), py::arg("count"));
  backend.def(
      "crossed",
      [](Backend const& self, DeviceGroups const& a, DeviceGroups const& b) {
        return with_session(self, [&](Session& session) { return crossed(session, a, b); });
      },
      py::arg("a"), py::arg("b"));
  backend.def(
      "renumbered",
      [](Backend const& self, DeviceGroups const& groups, std::vector<std::int32_t> const& to, std::int32_t count) {
        return with_session(self, [&](Session& session) { return renumbered(session, groups, to, count); });
      },
      py::arg("groups"), py::arg("to"), py::arg("count"));
  backend.def(
      "place_numbers",
      [](Backend const& self, py::list const& scores, DeviceGroups const& groups, std::vector<std::uint32_t> const& class_of_group) {
        Imported const imported(scores);
        return with_session(
            self, [&](Session& session) { return place_numbers(session, imported.inputs, groups, class_of_group, signal_poll()); });
      },
      py::arg("scores"), py::arg("groups"), py::arg("class_of_group"));
  backend.def(
      "places_of_labels",
      [](Backend const& self, py::list const& scores, DeviceGroups const& groups, std::vector<std::uint32_t> const& class_of_group) {
        Imported const imported(scores);
        return to_numpy(with_session(self, [&](Session& session) {
          return places_of_labels(session, imported.inputs, groups, class_of_group, signal_poll());
        }));
      },
      py::arg("scores"), py::arg("groups"), py::arg("class_of_group"));
  backend.def(
      "weighted_keys",
      [](Backend const& self, py::object const& values, int domain, py::object const& weights, DeviceGroups const* groups, std::int32_t group) {
        auto const column = import_column(values);
        auto const beside = import_column(weights);
        auto found = with_session(
            self, [&](Session& session) { return weighted_keys(session, column.input, domain_of(domain), beside.input, groups, group, signal_poll()); });
        py::dict out;
        out["keys"] = to_numpy(std::move(found.keys));
        out["sums"] = to_numpy(std::move(found.sums));
        out["rows"] = found.rows;
        return out;
      },
      py::arg("values"), py::arg("domain"), py::arg("weights"), py::arg("groups") = py::none(), py::arg("group") = -1);
  backend.def(
      "weights_of_groups",
      [](Backend const& self, DeviceGroups const& groups, py::object const& weights) {
        auto const beside = import_column(weights);
        return to_numpy(with_session(self, [&](Session& session) { return weights_of_groups(session, groups, beside.input, signal_poll()); }));
      },
      py::arg("groups"), py::arg("weights"));
  backend.def(
      "ranked_rows",
      [](Backend const& self, py::object const& labels, py::object const& scores, py::object const& queries) {
        auto const y = import_column(labels);
        auto const s = import_column(scores);
        auto const q = import_column(queries);
        auto found = with_session(self, [&](Session& session) { return ranked_rows(session, y.input, s.input, q.input, signal_poll()); });
        return py::make_tuple(to_numpy(std::move(found.relevance)), to_numpy(std::move(found.heads)));
      },
      py::arg("labels"), py::arg("scores"), py::arg("queries"));
}

}  // namespace modelwatch::cuda::binding
