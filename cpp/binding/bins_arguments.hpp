#pragma once
// What count_bins_of takes and returns, the same of every device.

#include <optional>

#include "binding/support.hpp"
#include "engine/bins.hpp"

namespace modelwatch::binding {

using Keys = py::array_t<std::uint64_t, py::array::c_style | py::array::forcecast>;
using Groups = std::optional<py::array_t<std::int32_t, py::array::c_style | py::array::forcecast>>;

inline std::vector<std::vector<std::uint64_t>> cuts_of(std::vector<Keys> const& cuts) {
  std::vector<std::vector<std::uint64_t>> out;
  for (auto const& of_column : cuts) out.push_back(to_vector(of_column));
  return out;
}

/// The groups as long as the array lives.
inline RowGroups row_groups(Groups const& groups, std::int32_t count) {
  if (!groups) return {nullptr, 0, 1};
  if (groups->ndim() != 1 || count < 0) throw InvalidInput("groups are one number a row.");
  return {groups->data(), groups->size(), count};
}

/// A list with an array for each column: of its bins, or with groups of groups x bins.
inline py::list bins_result(std::vector<std::vector<std::uint64_t>>&& counts, bool grouped, std::int32_t count) {
  py::list out;
  for (auto& of_column : counts) {
    auto const bins = static_cast<py::ssize_t>(of_column.size()) / (count > 0 ? count : 1);
    auto array = to_numpy(std::move(of_column));
    out.append(grouped ? array.reshape({py::ssize_t{count}, bins}) : array);
  }
  return out;
}

}  // namespace modelwatch::binding
