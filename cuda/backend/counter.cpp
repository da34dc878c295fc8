#include "cuda/backend/counter.hpp"

#include "cuda/backend/chunk_counter.hpp"

namespace modelwatch::cuda {

Counter::Counter(int device, std::vector<ColumnPlan> columns, std::vector<SetPlan> sets) : device_(device) {
  Use const session(device_);
  chunks_ = std::make_unique<ChunkCounter>(*session, std::move(columns), std::move(sets));
}

Counter::~Counter() {
  try {
    Use const session(device_);
    chunks_.reset();
  } catch (...) {
    // A forked child has its parent's memory, but not its device: nothing there is its own to give back.
    static_cast<void>(chunks_.release());
  }
}

void Counter::add(std::shared_ptr<ArrowOwner const> const& batch, std::vector<std::int32_t const*> const& groups, int threads,
                  Poll const& poll, std::uint32_t const* weights) {
  if (groups.size() != chunks_->sets()) throw InvalidInput("a batch needs the groups of every counter set.");
  CountedRows const rows{batch, checked_views(*batch, chunks_->domains()), groups, weights, rows_of(*batch), threads};
  Use const session(device_);
  chunks_->add(rows, poll);
  rows_ += static_cast<std::uint64_t>(rows.rows);
}

bool Counter::is_numeric(std::size_t column) const { return chunks_->domains().at(column).has_value(); }

NumericResult Counter::numeric(std::size_t column, std::size_t set) {
  Use const session(device_);
  chunks_->drain();
  return chunks_->numeric(column).finish(set);
}

CategoryResult Counter::category(std::size_t column, std::size_t set) {
  Use const session(device_);
  chunks_->drain();
  return chunks_->category(column).finish(set);
}

std::size_t Counter::bytes() const {
  Use const session(device_);
  return chunks_->bytes();
}

void Counter::set_limits(std::size_t bytes, std::int64_t rows) {
  Use const session(device_);
  chunks_->set_limits(bytes, rows);
}

}  // namespace modelwatch::cuda
