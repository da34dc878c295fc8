#include "engine/row_hash.hpp"

#include "core/hash.hpp"
#include "core/row_hash_rule.hpp"

namespace modelwatch {
namespace {

template <class Stored, class Value>
void append_numbers(NumericView const& column, std::vector<std::uint64_t>& rows) {
  auto const* const values = static_cast<Stored const*>(column.values);
  for (std::int64_t i = 0; i < column.rows; ++i) {
    auto& row = rows[static_cast<std::size_t>(i)];
    row = row_hash_with(row, hash_of_number(static_cast<Value>(values[i]), column.validity.valid(i)));
  }
}

void append_numbers(NumericView const& column, std::vector<std::uint64_t>& rows) {
  switch (column.storage) {
    case Storage::int8: return append_numbers<std::int8_t, std::int64_t>(column, rows);
    case Storage::int16: return append_numbers<std::int16_t, std::int64_t>(column, rows);
    case Storage::int32: return append_numbers<std::int32_t, std::int64_t>(column, rows);
    case Storage::int64: return append_numbers<std::int64_t, std::int64_t>(column, rows);
    case Storage::uint8: return append_numbers<std::uint8_t, std::int64_t>(column, rows);
    case Storage::uint16: return append_numbers<std::uint16_t, std::int64_t>(column, rows);
    case Storage::uint32: return append_numbers<std::uint32_t, std::int64_t>(column, rows);
    case Storage::uint64: return append_numbers<std::uint64_t, std::uint64_t>(column, rows);
    case Storage::float32: return append_numbers<float, float>(column, rows);
    case Storage::float64: return append_numbers<double, double>(column, rows);
  }
}

std::uint64_t hash_of(StringsView const& values, std::int64_t i) {
  if (!values.validity.valid(i)) return kNullHash;
  std::string_view const value = values.at(i);
  return hash_bytes(reinterpret_cast<std::uint8_t const*>(value.data()), static_cast<std::int64_t>(value.size()));
}

void append_text(StringsView const& column, std::vector<std::uint64_t>& rows) {
  for (std::int64_t i = 0; i < column.size; ++i) {
    auto& row = rows[static_cast<std::size_t>(i)];
    row = row_hash_with(row, hash_of(column, i));
  }
}

void append_categories(CategoryView const& column, std::vector<std::uint64_t>& rows) {
  std::vector<std::uint64_t> hashes;
  for (std::int64_t i = 0; i < column.values.size; ++i) hashes.push_back(hash_of(column.values, i));
  for (std::int64_t i = 0; i < column.codes.rows; ++i) {
    auto& row = rows[static_cast<std::size_t>(i)];
    row = row_hash_with(row, column.codes.validity.valid(i) ? hashes[static_cast<std::size_t>(code_at(column.codes, i))] : kNullHash);
  }
}

}  // namespace

std::vector<std::uint64_t> hash_rows(std::shared_ptr<ArrowOwner const> const& batch) {
  std::int64_t const columns = columns_of(*batch);
  std::vector<std::uint64_t> rows(static_cast<std::size_t>(rows_of(*batch)), 0);
  for (std::int64_t i = 0; i < columns; ++i) {
    ArrowColumn const column = column_of(*batch, i);
    if (column.schema->dictionary != nullptr)
      append_categories(category_view(column), rows);
    else if (is_text(column))
      append_text(strings_view(column), rows);
    else
      append_numbers(numeric_view(column), rows);
  }
  return rows;
}

}  // namespace modelwatch
