#include "cuda/backend/vocabulary.hpp"

#include "core/hash.hpp"

namespace modelwatch::cuda {
namespace {

constexpr std::size_t kLeastSlots = 64;

std::uint8_t const* bytes_of_text(std::string_view value) { return reinterpret_cast<std::uint8_t const*>(value.data()); }

/// Copies all; what is there is kept where it has room.
template <class Item>
void refresh(DeviceArray<Item>& to, std::vector<Item> const& from, cudaStream_t stream) {
  if (from.size() > to.size()) to = DeviceArray<Item>(from.size() + from.size() / 2, stream);
  to.upload(from.data(), from.size());
}

}  // namespace

void Vocabulary::clear() {
  bytes_.clear();
  ends_.assign(1, 0);
  hashes_.assign(kLeastSlots, 0);
  places_.assign(kLeastSlots, 0);
  uploaded_ = ~std::size_t{0};
}

TextTable Vocabulary::view() const {
  return {hashes_.data(), places_.data(), ends_.data(), bytes_.data(), static_cast<std::uint32_t>(places_.size() - 1)};
}

std::uint32_t Vocabulary::place_of(std::string_view value) {
  auto const size = static_cast<std::int64_t>(value.size());
  std::uint64_t const hash = hash_bytes(bytes_of_text(value), size);
  std::uint32_t const found = view().slot_of(bytes_of_text(value), size, hash);
  if (places_[found] != 0) return places_[found];
  auto const place = static_cast<std::uint32_t>(ends_.size());
  bytes_.insert(bytes_.end(), value.begin(), value.end());
  ends_.push_back(bytes_.size());
  hashes_[found] = hash;
  places_[found] = place;
  if (2 * ends_.size() > places_.size()) rebuild(2 * places_.size());
  return place;
}

void Vocabulary::rebuild(std::size_t slots) {
  std::vector<std::uint64_t> hashes(slots, 0);
  std::vector<std::uint32_t> places(slots, 0);
  hashes.swap(hashes_);
  places.swap(places_);
  for (std::size_t old = 0; old < places.size(); ++old) {
    if (places[old] == 0) continue;
    std::size_t slot = hashes[old] & (slots - 1);
    while (places_[slot] != 0) slot = (slot + 1) & (slots - 1);
    hashes_[slot] = hashes[old];
    places_[slot] = places[old];
  }
}

TextTable Vocabulary::on_device() {
  if (uploaded_ != size()) {
    refresh(device_bytes_, bytes_, stream_);
    refresh(device_ends_, ends_, stream_);
    refresh(device_hashes_, hashes_, stream_);
    refresh(device_places_, places_, stream_);
    uploaded_ = size();
  }
  return {device_hashes_.data(), device_places_.data(), device_ends_.data(), device_bytes_.data(), static_cast<std::uint32_t>(places_.size() - 1)};
}

}  // namespace modelwatch::cuda
