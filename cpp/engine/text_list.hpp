#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/large_pages.hpp"
#include "engine/string_table.hpp"

namespace modelwatch {

/// Values of text, and what keeps their bytes where they are.
class TextList {
 public:
  TextList() = default;
  TextList(std::shared_ptr<StringArena const> arena, std::size_t size) : arena_(std::move(arena)) { values_.reserve(size); }
  void push_back(std::string_view value) { values_.push_back(value); }

  std::size_t size() const { return values_.size(); }
  std::string_view operator[](std::size_t i) const { return values_[i]; }
  /// With any list of values.
  template <class Others>
  bool operator==(Others const& others) const {
    bool same = size() == others.size();
    for (std::size_t i = 0; same && i < size(); ++i) same = (*this)[i] == others[i];
    return same;
  }

 private:
  std::shared_ptr<StringArena const> arena_;
  std::vector<std::string_view, LargePages<std::string_view>> values_;
};

}  // namespace modelwatch
