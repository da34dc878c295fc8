#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/views.hpp"    // NumericView
#include "engine/arrow_abi.hpp"

namespace modelwatch {

/// An Arrow array taken over from its producer; released with the last owner.
class ArrowOwner {
 public:
  /// Moves both structures: the producer's copies are marked released.
  ArrowOwner(ArrowSchema* schema, ArrowArray* array);
  ~ArrowOwner();
  ArrowOwner(ArrowOwner const&) = delete;
  ArrowOwner& operator=(ArrowOwner const&) = delete;

  ArrowSchema const& schema() const { return schema_; }
  ArrowArray const& array() const { return array_; }

 private:
  ArrowSchema schema_;
  ArrowArray array_;
};

/// How an array of text or bytes lies in memory: behind offsets of 32 or 64 bits, or as views of 16 bytes.
enum class StringLayout : std::uint8_t { offsets32, offsets64, views };

/// Text or bytes, of a dictionary or of a column: Arrow (large_)utf8, (large_)binary, utf8_view or binary_view.
struct StringsView {
  /// No value is longer, so that a length fits 32 bits.
  static constexpr std::int64_t kMostBytes = 0xffffffff;

  void const* offsets;  // or views
  std::uint8_t const* bytes;
  Validity validity;
  std::int64_t size;
  StringLayout layout;
  void const* const* buffers;  // of views: the first of those that hold long values

  /// For a view: only where the value is valid.
  std::string_view at(std::int64_t i) const;
  /// The same memory, so the same values while its owner lives.
  bool same_memory(StringsView const& other) const;
};

/// A dictionary-encoded column: codes into `values`, checked to be in range where valid.
struct CategoryView {
  NumericView codes;
  StringsView values;
};

/// One column of a batch (a struct array), or the array itself when it is not a struct.
struct ArrowColumn {
  ArrowSchema const* schema;
  ArrowArray const* array;
  std::int64_t rows;
  std::int64_t offset;  // of the parent struct, added to the child's own
  std::string name;
};

/// Column `index` of a record batch; throws InvalidInput where the structure is not what Arrow promises.
ArrowColumn column_of(ArrowOwner const& batch, std::int64_t index);
std::int64_t rows_of(ArrowOwner const& batch);
std::int64_t columns_of(ArrowOwner const& batch);

/// Numbers, dates, times, timestamps and durations as their integers.  Throws InvalidInput for any other type.
NumericView numeric_view(ArrowColumn const& column);

/// A dictionary column; every valid code is checked against the dictionary's size before anyone uses it.
CategoryView category_view(ArrowColumn const& column);

/// Whether a column is plain text or bytes, which strings_view reads.
bool is_text(ArrowColumn const& column);

/// A column of plain text or bytes; all offsets, and the views of valid rows, are checked before anyone follows them.
StringsView strings_view(ArrowColumn const& column);

/// Reads an integer column's value at `row` whatever its width.
std::int64_t code_at(NumericView const& codes, std::int64_t row);

}  // namespace modelwatch
