#include "engine/arrow_view.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <type_traits>

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

void check_shape(ArrowColumn const& column, std::int64_t least_buffers, std::int64_t most_buffers) {
  ArrowArray const& a = *column.array;
  if (!is_shape(a) || a.n_buffers < least_buffers || a.n_buffers > most_buffers || a.buffers == nullptr)
    refuse(column, "the Arrow array is malformed (length, offset or buffers).");
  if (column.rows < 0 || column.offset < 0 || column.offset > a.length - column.rows)
    refuse(column, "the Arrow array is shorter than its batch.");
}

void check_shape(ArrowColumn const& column, std::int64_t buffers) { check_shape(column, buffers, buffers); }

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

std::optional<StringLayout> layout_of(std::string_view format) {
  if (format == "u" || format == "z") return StringLayout::offsets32;
  if (format == "U" || format == "Z") return StringLayout::offsets64;
  if (format == "vu" || format == "vz") return StringLayout::views;
  return std::nullopt;
}

/// What a view says of its value; one of more than kInline bytes lies in a buffer.
struct StringRef {
  static constexpr std::int64_t kBytes = 16;
  static constexpr std::int32_t kInline = 12;

  std::int32_t size;
  std::int32_t prefix;
  std::int32_t buffer;
  std::int32_t offset;

  static StringRef at(void const* views, std::int64_t i) {
    StringRef ref;
    std::memcpy(&ref, static_cast<std::uint8_t const*>(views) + kBytes * i, sizeof(ref));
    return ref;
  }
};
static_assert(sizeof(StringRef) == StringRef::kBytes);

StringsView views(ArrowColumn const& column, std::string const& whose) {
  check_shape(column, 3, kMostRows);
  ArrowArray const& a = *column.array;
  std::int64_t const first = a.offset + column.offset;
  StringsView const none{nullptr, nullptr, {nullptr, 0}, column.rows, StringLayout::views, a.buffers + 2};
  if (column.rows == 0) return none;
  if (a.buffers[1] == nullptr) refuse(column, whose + " has no views buffer.");
  StringsView view = none;
  view.offsets = static_cast<std::uint8_t const*>(a.buffers[1]) + StringRef::kBytes * first;
  view.validity = validity_of(a, first);
  std::int64_t const buffers = a.n_buffers - 3;
  auto const* const sizes = static_cast<std::uint8_t const*>(a.buffers[a.n_buffers - 1]);
  for (std::int64_t i = 0; i < column.rows; ++i) {
    StringRef const ref = StringRef::at(view.offsets, i);
    if (ref.size >= 0 && ref.size <= StringRef::kInline) continue;
    if (!view.validity.valid(i)) continue;
    bool inside = ref.size >= 0 && ref.buffer >= 0 && ref.buffer < buffers && sizes != nullptr && ref.offset >= 0;
    if (inside) {
      std::int64_t held;
      std::memcpy(&held, sizes + 8 * static_cast<std::int64_t>(ref.buffer), sizeof(held));
      inside = std::int64_t{ref.offset} + ref.size <= held && view.buffers[ref.buffer] != nullptr;
    }
    if (!inside) refuse(column, "a view of " + whose + " leads out of its buffers.");
  }
  return view;
}

template <class Offset>
void check_offsets(ArrowColumn const& column, void const* buffer, std::string const& whose) {
  auto const* const offsets = static_cast<Offset const*>(buffer);
  // Without a branch for each row: lengths as unsigned numbers, so that a negative one is the longest.
  using Length = std::make_unsigned_t<Offset>;
  Length longest = 0;
  Offset signs = offsets[0];
  for (std::int64_t i = 0; i < column.rows; ++i) {
    longest = std::max(longest, static_cast<Length>(static_cast<Length>(offsets[i + 1]) - static_cast<Length>(offsets[i])));
    signs |= offsets[i + 1];
  }
  if (signs < 0 || longest > static_cast<Length>(std::numeric_limits<Offset>::max())) refuse(column, whose + "'s offsets run backwards.");
  if (static_cast<std::uint64_t>(longest) > static_cast<std::uint64_t>(StringsView::kMostBytes))
    refuse(column, "a value is longer than 4 GiB, which cannot be counted.");
}

/// `whose`: the subject of what is said where it is refused.
StringsView strings(ArrowColumn const& column, StringLayout layout, std::string const& whose) {
  if (layout == StringLayout::views) return views(column, whose);
  bool const wide = layout == StringLayout::offsets64;
  check_shape(column, 3);
  ArrowArray const& a = *column.array;
  std::int64_t const first = a.offset + column.offset;
  if (column.rows == 0) return {nullptr, nullptr, {nullptr, 0}, 0, layout, nullptr};
  if (a.buffers[1] == nullptr) refuse(column, whose + " has no offsets buffer.");
  check_aligned(column, a.buffers[1], wide ? 8 : 4);
  auto const* const base = static_cast<std::uint8_t const*>(a.buffers[1]);
  StringsView const view{base + first * (wide ? 8 : 4), static_cast<std::uint8_t const*>(a.buffers[2]), validity_of(a, first),
                         column.rows, layout, nullptr};
  std::int64_t end;
  if (wide) {
    check_offsets<std::int64_t>(column, view.offsets, whose);
    end = static_cast<std::int64_t const*>(view.offsets)[column.rows];
  } else {
    check_offsets<std::int32_t>(column, view.offsets, whose);
    end = static_cast<std::int32_t const*>(view.offsets)[column.rows];
  }
  if (end > 0 && view.bytes == nullptr) refuse(column, whose + " has no bytes buffer.");
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
  if (layout == StringLayout::views) {
    StringRef const ref = StringRef::at(offsets, i);
    auto const length = static_cast<std::size_t>(ref.size);
    if (ref.size <= StringRef::kInline) return {static_cast<char const*>(offsets) + StringRef::kBytes * i + 4, length};
    return {static_cast<char const*>(buffers[ref.buffer]) + ref.offset, length};
  }
  std::int64_t begin;
  std::int64_t end;
  if (layout == StringLayout::offsets64) {
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
         validity.offset == other.validity.offset && size == other.size && layout == other.layout && buffers == other.buffers;
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

bool is_text(ArrowColumn const& column) { return column.schema->dictionary == nullptr && layout_of(column.schema->format).has_value(); }

StringsView strings_view(ArrowColumn const& column) {
  auto const layout = layout_of(column.schema->format);
  if (column.schema->dictionary != nullptr || !layout)
    refuse(column, std::string("Arrow format '") + column.schema->format + "' is not text or bytes.");
  return strings(column, *layout, "the Arrow array");
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
  auto const layout = layout_of(inner.schema->format);
  if (!layout) refuse(column, "its dictionary holds values that are not text or bytes.");
  CategoryView const view{numbers(column, *storage), strings(inner, *layout, "its dictionary")};
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
