#include <string_view>

#include "cuda/backend/text.hpp"
#include "cuda/binding/support.hpp"

namespace modelwatch::cuda::binding {
namespace {

/// A column of text in device memory, and the Arrow array that keeps it there.
struct DeviceText {
  TextRows rows;
  int device;
  std::shared_ptr<ArrowOwner const> arrow;
};

/// Text behind offsets.  Nothing of it is read here, so offsets are taken at their word, as a device's arrays are.
DeviceText text_of(ArrowSchema const& schema, ArrowArray const& array, int device, std::shared_ptr<ArrowOwner const> owner) {
  std::string_view const format = schema.format;
  bool const wide = format == "U" || format == "Z";
  if (!wide && format != "u" && format != "z")
    throw InvalidInput("Arrow format '" + std::string(format) + "' is not text or bytes behind offsets; cast it on the device.");
  if (array.n_buffers != 3 || array.length < 0 || array.offset < 0) throw InvalidInput("the Arrow array is malformed.");
  auto const* const bits = array.null_count == 0 ? nullptr : static_cast<std::uint8_t const*>(array.buffers[0]);
  auto const* const offsets = static_cast<std::uint8_t const*>(array.buffers[1]);
  if (array.length != 0 && offsets == nullptr) throw InvalidInput("the Arrow array has no offsets buffer.");
  return {{offsets == nullptr ? nullptr : offsets + array.offset * (wide ? 8 : 4), static_cast<std::uint8_t const*>(array.buffers[2]),
           {bits, bits == nullptr ? 0 : array.offset}, array.length, 0, wide},
          device,
          std::move(owner)};
}

DeviceText arrow_text(Backend const& self, py::object const& schema, py::object const& array) {
  auto const owner = take_arrow(self, schema, array);
  return text_of(owner->schema(), owner->array(), self.device, owner);
}

/// (codes, values) of an Arrow dictionary array.
py::tuple arrow_dictionary(Backend const& self, py::object const& schema_capsule, py::object const& array_capsule) {
  auto const owner = take_arrow(self, schema_capsule, array_capsule);
  ArrowSchema codes = owner->schema();  // as numbers: the owner keeps what is named here
  ArrowArray const& array = owner->array();
  if (codes.dictionary == nullptr || array.dictionary == nullptr) throw InvalidInput("the Arrow array has no dictionary.");
  codes.dictionary = nullptr;
  ArrowColumn const as_numbers{&codes, &array, array.length, 0, ""};
  DeviceMemory const places{numeric_view(as_numbers), self.device, py::none(), owner, nullptr, nullptr};
  return py::make_tuple(places, text_of(*owner->schema().dictionary, *array.dictionary, self.device, owner));
}

}  // namespace

void bind_text(py::module_& m, py::class_<Backend>& backend) {
  py::class_<DeviceText>(m, "DeviceText")
      .def_property_readonly("rows", [](DeviceText const& self) { return self.rows.rows; })
      .def_property_readonly("wide", [](DeviceText const& self) { return self.rows.wide; })
      .def_property_readonly("offsets", [](DeviceText const& self) { return reinterpret_cast<std::uintptr_t>(self.rows.offsets); })
      .def_property_readonly("bytes", [](DeviceText const& self) { return reinterpret_cast<std::uintptr_t>(self.rows.bytes); })
      .def_property_readonly("validity", [](DeviceText const& self) {
        return py::make_tuple(reinterpret_cast<std::uintptr_t>(self.rows.validity.bits), self.rows.validity.offset);
      })
      .def_readonly("device", &DeviceText::device);
  backend.def("arrow_text", &arrow_text);
  backend.def("arrow_dictionary", &arrow_dictionary);
  backend.def("null_rows", [](Backend const& self, DeviceText const& of) {
    return with_session(self, [&](Session& session) { return null_rows(session, of.rows.validity, of.rows.rows); });
  });
  // (values, counts, nulls)
  backend.def("count_text", [](Backend const& self, DeviceText const& of) {
    auto found = with_session(self, [&](Session& session) { return count_text(session, of.rows, signal_poll()); });
    py::list values;
    for (auto const& value : found.values) values.append(py::bytes(value));
    return py::make_tuple(values, to_numpy(std::move(found.counts)), found.nulls);
  });
}

}  // namespace modelwatch::cuda::binding
