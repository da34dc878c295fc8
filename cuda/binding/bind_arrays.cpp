#include <cstring>

#include "cuda/binding/foreign_arrays.hpp"
#include "cuda/binding/support.hpp"

namespace modelwatch::cuda::binding {
namespace {

Element element_of(std::string const& name) {
  static constexpr std::pair<char const*, Storage> kOwn[kStorages] = {
      {"int8", Storage::int8},     {"int16", Storage::int16},     {"int32", Storage::int32},   {"int64", Storage::int64},
      {"uint8", Storage::uint8},   {"uint16", Storage::uint16},   {"uint32", Storage::uint32}, {"uint64", Storage::uint64},
      {"float32", Storage::float32}, {"float64", Storage::float64}};
  if (name == "float16") return {Element::Kind::float16, Storage::float32};
  if (name == "bfloat16") return {Element::Kind::bfloat16, Storage::float32};
  for (auto const& [own, storage] : kOwn)
    if (name == own) return {Element::Kind::own, storage};
  throw InvalidInput("arrays of " + name + " on a device cannot be read.");
}

std::int64_t stored_bytes(Element element) {
  return element.kind == Element::Kind::own ? static_cast<std::int64_t>(bytes_of(element.storage)) : 2;
}

/// A byte a row, as (address, stride).
using Mask = std::pair<std::uintptr_t, std::int64_t>;

/// Rows of an array of another library: where they lie if they lie side by side in a type of ours, else gathered.
DeviceMemory column(Backend const& self, py::object const& owner, std::uintptr_t first, std::string const& name, std::int64_t rows,
                    std::int64_t stride, std::optional<Mask> const& mask) {
  Element const element = element_of(name);
  std::int64_t const bytes = stored_bytes(element);
  if (rows < 0) throw InvalidInput("an array has a negative number of rows.");
  if (rows != 0 && (first % static_cast<std::uintptr_t>(bytes) != 0 || stride % bytes != 0))
    throw InvalidInput("an array on a device is not aligned to its type; copy it first.");
  DeviceMemory out{{reinterpret_cast<void const*>(first), {nullptr, 0}, rows, element.storage}, self.device, owner, nullptr, nullptr, nullptr};
  bool const in_place = element.kind == Element::Kind::own && (stride == bytes || rows < 2);
  if (in_place && !mask) return out;
  with_session(self, [&](Session& session) {
    if (!in_place) out.values = gather(session, {out.view.values, stride, rows, element});
    if (mask) out.bits = pack_mask(session, reinterpret_cast<void const*>(mask->first), mask->second, rows);
    return 0;
  });
  if (out.values) out.view.values = out.values->data();
  if (out.bits) out.view.validity = {out.bits->data(), 0};
  return out;
}

/// The numbers of one Arrow array on this device.
DeviceMemory arrow_column(Backend const& self, py::object const& schema_capsule, py::object const& array_capsule) {
  DeviceMemory out{{}, self.device, py::none(), take_arrow(self, schema_capsule, array_capsule), nullptr, nullptr};
  out.view = numeric_view(single_column(*out.arrow));
  return out;
}

/// The device of an Arrow array: its number, -1 for the host's.
std::int64_t arrow_device(py::object const& array_capsule) {
  auto const* const array = static_cast<ArrowDeviceArray const*>(PyCapsule_GetPointer(array_capsule.ptr(), "arrow_device_array"));
  if (array == nullptr) throw py::error_already_set();
  return array->device_type == kArrowCuda || array->device_type == kArrowCudaManaged ? array->device_id : -1;
}

std::string name_of(DlTensor const& tensor) {
  if (tensor.lanes == 1) {
    std::string const bits = std::to_string(tensor.bits);
    if (tensor.code == kDlInt) return "int" + bits;
    if (tensor.code == kDlUnsigned) return "uint" + bits;
    if (tensor.code == kDlFloat) return "float" + bits;
    if (tensor.code == kDlBfloat) return "bfloat" + bits;
  }
  return "DLPack's type " + std::to_string(tensor.code) + " of " + std::to_string(tensor.bits) + " bits";
}

/// (address, element, shape, strides in bytes or None, owner) of a tensor; it is given back when the owner goes.
template <class Managed>
py::tuple taken(py::object const& capsule, char const* name, char const* used) {
  auto* const managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule.ptr(), name));
  if (managed == nullptr) throw py::error_already_set();
  if constexpr (std::is_same_v<Managed, DlManagedVersioned>)
    if (managed->major > 1) throw InvalidInput("an array speaks a later version of DLPack than 1; hand it on by another protocol.");
  DlTensor const& tensor = managed->tensor;
  py::capsule const owner(managed, [](void* p) {
    auto* const own = static_cast<Managed*>(p);
    if (own->deleter != nullptr) own->deleter(own);
  });
  PyCapsule_SetName(capsule.ptr(), used);  // from here on it is ours to give back
  if (tensor.device_type != kDlCuda && tensor.device_type != kDlCudaManaged) throw InvalidInput("an array lies on no CUDA device.");
  py::list shape;
  py::list strides;
  for (int i = 0; i < tensor.dimensions; ++i) {
    shape.append(tensor.shape[i]);
    if (tensor.strides != nullptr) strides.append(tensor.strides[i] * (tensor.bits / 8));
  }
  py::object const steps = tensor.strides != nullptr ? py::object(py::tuple(strides)) : py::none();
  return py::make_tuple(reinterpret_cast<std::uintptr_t>(tensor.data) + tensor.byte_offset, name_of(tensor), py::tuple(shape), steps, owner);
}

py::tuple take_dlpack(py::object const& capsule) {
  if (PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned") != 0)
    return taken<DlManagedVersioned>(capsule, "dltensor_versioned", "used_dltensor_versioned");
  return taken<DlManaged>(capsule, "dltensor", "used_dltensor");
}

Storage wanted(std::string const& name) {
  if (name != "float64" && name != "int64") throw InvalidInput("columns on a device are converted to float64 or int64 only.");
  return element_of(name).storage;
}

}  // namespace

std::shared_ptr<ArrowOwner const> take_arrow(Backend const& self, py::object const& schema_capsule, py::object const& array_capsule) {
  auto* const schema = static_cast<ArrowSchema*>(PyCapsule_GetPointer(schema_capsule.ptr(), "arrow_schema"));
  if (schema == nullptr) throw py::error_already_set();
  auto* const array = static_cast<ArrowDeviceArray*>(PyCapsule_GetPointer(array_capsule.ptr(), "arrow_device_array"));
  if (array == nullptr) throw py::error_already_set();
  if (schema->release == nullptr || array->array.release == nullptr) throw InvalidInput("the Arrow array was already consumed.");
  if (array->device_id != self.device) throw InvalidInput("an Arrow array lies on another device than the one that is to read it.");
  // For CUDA it points to the event, which is the producer's, and there until the array is released.
  void* const event = array->sync_event != nullptr ? *static_cast<void**>(array->sync_event) : nullptr;
  auto out = std::make_shared<ArrowOwner const>(schema, &array->array);
  if (event != nullptr) with_session(self, [&](Session& session) {
      order_after_event(session, event);
      return 0;
    });
  return out;
}

void bind_arrays(py::module_& m, py::class_<Backend>& backend) {
  m.def("device_of", [](std::uintptr_t memory) { return device_of(reinterpret_cast<void const*>(memory)); });
  m.def("arrow_device", &arrow_device);
  m.def("take_dlpack", &take_dlpack);
  py::class_<DeviceMemory>(m, "DeviceMemory")
      .def_property_readonly("pointer", [](DeviceMemory const& self) { return reinterpret_cast<std::uintptr_t>(self.view.values); })
      .def_property_readonly("validity", [](DeviceMemory const& self) {
        return py::make_tuple(reinterpret_cast<std::uintptr_t>(self.view.validity.bits), self.view.validity.offset);
      })
      .def_property_readonly("rows", [](DeviceMemory const& self) { return self.view.rows; })
      .def_readonly("device", &DeviceMemory::device);
  backend.def_property_readonly("stream", [](Backend const& self) {
    return with_session(self, [](Session& session) { return reinterpret_cast<std::uintptr_t>(session.stream()); });
  });
  backend.def("order_after", [](Backend const& self, std::uintptr_t stream) {
    with_session(self, [&](Session& session) {
      order_after(session, stream);
      return 0;
    });
  });
  backend.def("column", &column, py::arg("owner"), py::arg("pointer"), py::arg("element"), py::arg("rows"), py::arg("stride"),
              py::arg("mask") = py::none());
  backend.def("arrow_column", &arrow_column);
  backend.def(
      "converted",
      [](Backend const& self, DeviceMemory const& from, std::string const& element, std::string const& otherwise) {
        DeviceMemory out = from;
        out.view.storage = wanted(element);
        out.values = with_session(self, [&](Session& session) { return convert(session, from.view, out.view.storage, otherwise); });
        out.view.values = out.values->data();
        return out;
      },
      py::arg("memory"), py::arg("element"), py::arg("otherwise"));
  backend.def("null_rows", [](Backend const& self, DeviceMemory const& of) {
    return with_session(self, [&](Session& session) { return null_rows(session, of.view.validity, of.view.rows); });
  });
  backend.def("download", [](Backend const& self, std::uintptr_t pointer, std::size_t bytes) {
    py::array_t<std::uint8_t> out(static_cast<py::ssize_t>(bytes));
    auto* const to = out.mutable_data();
    with_session(self, [&](Session& session) {
      download(session, reinterpret_cast<void const*>(pointer), bytes, to);
      return 0;
    });
    return out;
  });
}

}  // namespace modelwatch::cuda::binding
