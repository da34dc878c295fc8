#include "engine/arrow_view.hpp"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <optional>

#include "core/error.hpp"

namespace modelwatch {
namespace {

[[noreturn]] void refuse(ArrowColumn const& column, std::string const& what) {
  throw InvalidInput("column '" + column.name + "': " + what);
}

std::optional<Storage> storage_of(std::string_view format) {
  if (format.size() == 1) switch (format[0]) {
      case 'c': return Storage::int8;
      case 'C': return Storage::uint8;
      case 's': return Storage::int16;
      case 'S': return Storage::uint16;
      case 'i': return Storage::int32;
      case 'I': return Storage::uint32;
      case 'l': return Storage::int64;
      case 'L': return Storage::uint64;
      case 'f': return Storage::float32;
      case 'g': return Storage::float64;
      default: return std::nullopt;
    }
  if (format == "tdD" || format == "tts" || format == "ttm") return Storage::int32;
  if (format == "tdm" || format == "ttu" || format == "ttn") return Storage::int64;
  if (format.substr(0, 2) == "ts" || format.substr(0, 2) == "tD") return Storage::int64;
  return std::nullopt;
}

/// More rows than any memory holds; below it, no sum of offsets and no byte position overflows.
constexpr std::int64_t kMostRows = std::int64_t{1} << 56;

bool is_shape(ArrowArray const& a) { return a.length >= 0 && a.offset >= 0 && a.offset <= kMostRows - a.length; }

void check_shape(ArrowColumn const& column, std::int64_t buffers) {
  ArrowArray const& a = *column.array;
  if (!is_shape(a) || a.n_buffers != buffers || a.buffers == nullptr)
    refuse(column, "the Arrow array is malformed (length, offset or buffers).");
  if (column.rows < 0 || column.offset < 0 || column.offset > a.length - column.rows)
    refuse(column, "the Arrow array is shorter than its batch.");
}

Validity validity_of(ArrowArray const& array, std::int64_t offset) {
  if (array.null_count == 0) return {nullptr, 0};
  return {static_cast<std::uint8_t const*>(array.buffers[0]), offset};
}

/// Counted where the producer did not: a null count of -1 means that nobody has looked yet.
bool has_null_rows(ArrowArray const& batch) {
  if (batch.null_count >= 0 || batch.n_buffers < 1 || batch.buffers == nullptr) return batch.null_count > 0;
  Validity const validity = validity_of(batch, batch.offset);
  for (std::int64_t row = 0; validity.bits != nullptr && row < batch.length; ++row)
    if (!validity.valid(row)) return true;
  return false;
}

/// Arrow recommends aligned buffers and does not require them; the kernels read whole numbers where they lie.
void check_aligned(ArrowColumn const& column, void const* buffer, std::int64_t width) {
  if (reinterpret_cast<std::uintptr_t>(buffer) % static_cast<std::uintptr_t>(width) != 0)
    refuse(column, "its memory is not aligned to its type; copy the column first.");
}

NumericView numbers(ArrowColumn const& column, Storage storage) {
  static constexpr std::int64_t kWidth[kStorages] = {1, 2, 4, 8, 1, 2, 4, 8, 4, 8};
  check_shape(column, 2);
  ArrowArray const& a = *column.array;
  std::int64_t const first = a.offset + column.offset;
  if (column.rows == 0) return {nullptr, {nullptr, 0}, 0, storage};
  if (a.buffers[1] == nullptr) refuse(column, "the Arrow array has no values buffer.");
  check_aligned(column, a.buffers[1], kWidth[static_cast<int>(storage)]);
  auto const* const bytes = static_cast<std::uint8_t const*>(a.buffers[1]);
  return {bytes + first * kWidth[static_cast<int>(storage)], validity_of(a, first), column.rows, storage};
}

StringsView strings(ArrowColumn const& column) {
  std::string_view const format = column.schema->format;
  bool const wide = format == "U" || format == "Z";
  if (!wide && format != "u" && format != "z") refuse(column, "its dictionary holds values that are not text or bytes.");
  check_shape(column, 3);
  ArrowArray const& a = *column.array;
  std::int64_t const first = a.offset + column.offset;
  if (column.rows == 0) return {nullptr, nullptr, {nullptr, 0}, 0, wide};
  if (a.buffers[1] == nullptr) refuse(column, "its dictionary has no offsets buffer.");
  check_aligned(column, a.buffers[1], wide ? 8 : 4);
  auto const* const base = static_cast<std::uint8_t const*>(a.buffers[1]);
  StringsView const view{base + first * (wide ? 8 : 4), static_cast<std::uint8_t const*>(a.buffers[2]), validity_of(a, first),
                         column.rows, wide};
  auto const offset = [&](std::int64_t i) -> std::int64_t {
    if (wide) return static_cast<std::int64_t const*>(view.offsets)[i];
    return static_cast<std::int32_t const*>(view.offsets)[i];
  };
  for (std::int64_t i = 0; i < column.rows; ++i)
    if (offset(i) < 0 || offset(i + 1) < offset(i)) refuse(column, "its dictionary's offsets run backwards.");
  if (offset(column.rows) > 0 && view.bytes == nullptr) refuse(column, "its dictionary has no bytes buffer.");
  return view;
}

/// Every valid code must name a value.  As unsigned, a negative code is too large as well.
template <class Code>
void check_codes(ArrowColumn const& column, CategoryView const& view) {
  auto const* const codes = static_cast<Code const*>(view.codes.values);
  auto const size = static_cast<std::uint64_t>(view.values.size);
  // As unsigned numbers of their own width, which vectors compare fastest: a negative code is a large one.
  std::make_unsigned_t<Code> most = 0;
  for (std::int64_t row = 0; row < view.codes.rows; ++row) most = std::max(most, static_cast<std::make_unsigned_t<Code>>(codes[row]));
  if (view.codes.rows == 0 || most < size) return;
  for (std::int64_t row = 0; row < view.codes.rows; ++row)
    if (static_cast<std::uint64_t>(codes[row]) >= size && view.codes.validity.valid(row))
      refuse(column, "row " + std::to_string(row) + " of a batch has dictionary code " + std::to_string(codes[row]) +
                         ", but the dictionary has " + std::to_string(size) + " values.");
}

}  // namespace

ArrowOwner::ArrowOwner(ArrowSchema* schema, ArrowArray* array) : schema_(*schema), array_(*array) {
  schema->release = nullptr;
  array->release = nullptr;
}

ArrowOwner::~ArrowOwner() {
  if (array_.release != nullptr) array_.release(&array_);
  if (schema_.release != nullptr) schema_.release(&schema_);
}

std::string_view StringsView::at(std::int64_t i) const {
  std::int64_t begin;
  std::int64_t end;
  if (wide) {
    begin = static_cast<std::int64_t const*>(offsets)[i];
    end = static_cast<std::int64_t const*>(offsets)[i + 1];
  } else {
    begin = static_cast<std::int32_t const*>(offsets)[i];
    end = static_cast<std::int32_t const*>(offsets)[i + 1];
  }
  return {begin == end ? "" : reinterpret_cast<char const*>(bytes) + begin, static_cast<std::size_t>(end - begin)};
}

bool StringsView::same_memory(StringsView const& other) const {
  return offsets == other.offsets && bytes == other.bytes && validity.bits == other.validity.bits &&
         validity.offset == other.validity.offset && size == other.size && wide == other.wide;
}

std::int64_t rows_of(ArrowOwner const& batch) { return batch.array().length; }

std::int64_t columns_of(ArrowOwner const& batch) {
  ArrowSchema const& s = batch.schema();
  ArrowArray const& a = batch.array();
  if (s.format == nullptr || std::strcmp(s.format, "+s") != 0) throw InvalidInput("expected an Arrow record batch (a struct array).");
  if (!is_shape(a) || s.n_children != a.n_children || (a.n_children > 0 && (a.children == nullptr || s.children == nullptr)))
    throw InvalidInput("the Arrow record batch is malformed (children and schema differ).");
  if (has_null_rows(a)) throw InvalidInput("the Arrow record batch has null rows; flatten it first.");
  return a.n_children;
}

ArrowColumn column_of(ArrowOwner const& batch, std::int64_t index) {
  if (index < 0 || index >= columns_of(batch)) throw InvalidInput("the Arrow record batch has fewer columns than expected.");
  ArrowSchema const* const schema = batch.schema().children[index];
  ArrowArray const* const array = batch.array().children[index];
  if (schema == nullptr || array == nullptr || schema->format == nullptr) throw InvalidInput("the Arrow record batch lacks a column.");
  return {schema, array, batch.array().length, batch.array().offset, schema->name != nullptr ? schema->name : ""};
}

NumericView numeric_view(ArrowColumn const& column) {
  auto const storage = storage_of(column.schema->format);
  if (column.schema->dictionary != nullptr || !storage)
    refuse(column, std::string("Arrow format '") + column.schema->format + "' is not a number.");
  return numbers(column, *storage);
}

std::int64_t code_at(NumericView const& codes, std::int64_t row) {
  switch (codes.storage) {
    case Storage::int8: return static_cast<std::int8_t const*>(codes.values)[row];
    case Storage::int16: return static_cast<std::int16_t const*>(codes.values)[row];
    case Storage::int32: return static_cast<std::int32_t const*>(codes.values)[row];
    case Storage::int64: return static_cast<std::int64_t const*>(codes.values)[row];
    case Storage::uint8: return static_cast<std::uint8_t const*>(codes.values)[row];
    case Storage::uint16: return static_cast<std::uint16_t const*>(codes.values)[row];
    case Storage::uint32: return static_cast<std::uint32_t const*>(codes.values)[row];
    case Storage::uint64: return static_cast<std::int64_t>(static_cast<std::uint64_t const*>(codes.values)[row]);
    default: throw InvalidInput("dictionary codes must be integers.");
  }
}

CategoryView category_view(ArrowColumn const& column) {
  auto const storage = storage_of(column.schema->format);
  if (column.schema->dictionary == nullptr || column.array->dictionary == nullptr || !storage || *storage >= Storage::float32)
    refuse(column, "expected a dictionary-encoded column.");
  ArrowArray const& dictionary = *column.array->dictionary;
  ArrowColumn const inner{column.schema->dictionary, &dictionary, dictionary.length, 0, column.name};
  if (inner.schema->format == nullptr) refuse(column, "its dictionary has no type.");
  CategoryView const view{numbers(column, *storage), strings(inner)};
  switch (view.codes.storage) {
    case Storage::int8: check_codes<std::int8_t>(column, view); break;
    case Storage::int16: check_codes<std::int16_t>(column, view); break;
    case Storage::int32: check_codes<std::int32_t>(column, view); break;
    case Storage::int64: check_codes<std::int64_t>(column, view); break;
    case Storage::uint8: check_codes<std::uint8_t>(column, view); break;
    case Storage::uint16: check_codes<std::uint16_t>(column, view); break;
    case Storage::uint32: check_codes<std::uint32_t>(column, view); break;
    default: check_codes<std::uint64_t>(column, view); break;
  }
  return view;
}

}  // namespace modelwatch
