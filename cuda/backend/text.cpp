#include "cuda/backend/text.hpp"

#include <algorithm>
#include <string_view>

#include "core/key.hpp"
#include "cuda/backend/fit.hpp"
#include "cuda/backend/vocabulary.hpp"

namespace modelwatch::cuda {
namespace {

struct TextTuning {
  /// Rows at a time: their places and the list of absent ones take 8 bytes each.
  static constexpr std::int64_t kPartRows = std::int64_t{1} << 24;
  /// Absent rows that the host is shown first, and how many times as many it is shown each time after.
  static constexpr std::uint32_t kFirstShown = 1024;
  static constexpr std::uint32_t kMoreShown = 8;
};

TextRows part_of(TextRows const& text, std::int64_t begin) {
  TextRows out = text;
  auto const* const offsets = static_cast<std::uint8_t const*>(text.offsets);
  out.offsets = offsets + static_cast<std::size_t>(begin) * (text.wide ? 8 : 4);
  out.validity.offset += begin;
  out.rows = std::min(TextTuning::kPartRows, text.rows - begin);
  return out;
}

/// Gives a place to the values of these rows.
void learn(Session& session, TextRows const& text, std::uint32_t const* rows, std::uint32_t count, Vocabulary& vocabulary) {
  DeviceArray<std::uint64_t> ends(count, session.stream());
  launch_text_sizes(text, rows, count, ends.data(), session.stream());
  auto sizes = ends.download();
  std::uint64_t bytes = 0;
  for (auto& size : sizes) size = bytes += size;
  ends.upload(sizes.data(), sizes.size());
  DeviceArray<std::uint8_t> gathered(static_cast<std::size_t>(bytes), session.stream());
  launch_gather_text(text, rows, count, ends.data(), gathered.data(), session.stream());
  auto const found = gathered.download();
  std::uint64_t begin = 0;
  for (auto const end : sizes) {
    vocabulary.place_of({reinterpret_cast<char const*>(found.data()) + begin, static_cast<std::size_t>(end - begin)});
    begin = end;
  }
}

}  // namespace

TextCounts count_text(Session& session, TextRows const& text, Poll const& poll) {
  Vocabulary vocabulary(session.stream());
  DistinctColumn places_met(Domain::int64, ~std::uint64_t{0});
  for (std::int64_t begin = 0; begin < text.rows; begin += TextTuning::kPartRows) {
    TextRows const part = part_of(text, begin);
    auto const rows = static_cast<std::size_t>(part.rows);
    DeviceArray<std::uint32_t> places(rows, session.stream());
    DeviceArray<std::uint32_t> absent(1 + rows, session.stream());
    for (std::uint32_t shown = TextTuning::kFirstShown;; shown = std::min(shown, 0xffffffffu / TextTuning::kMoreShown) * TextTuning::kMoreShown) {
      if (poll) poll();
      std::uint32_t missing = 0;
      absent.upload(&missing, 1);
      launch_look_up(part, vocabulary.on_device(), places.data(), absent.data(), session.info().multiprocessors, session.stream());
      absent.download(&missing, 1);
      if (missing == 0) break;
      learn(session, part, absent.data() + 1, std::min(missing, shown), vocabulary);
    }
    places_met.add(session, {{places.data(), {nullptr, 0}, part.rows, Storage::uint32}, true, session.info().index}, poll);
  }
  std::vector<std::uint64_t> keys;
  std::vector<std::uint64_t> counts;
  places_met.sorted(keys, counts);
  TextCounts out;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    auto const place = static_cast<std::size_t>(KeyOf<std::int64_t>::value(keys[i]));
    if (place == 0) {
      out.nulls = counts[i];
      continue;
    }
    out.values.emplace_back(vocabulary.value(place - 1));
    out.counts.push_back(counts[i]);
  }
  return out;
}

}  // namespace modelwatch::cuda
