// Runs files through a fuzz target without a fuzzer: every compiler can, so the kept inputs are tests like others.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size);

/// replay FOLDER...: ends by itself only if every file kept every promise.
int main(int count, char** folders) {
  std::size_t ran = 0;
  for (int i = 1; i < count; ++i) {
    std::vector<std::filesystem::path> files;
    for (auto const& entry : std::filesystem::directory_iterator(folders[i]))
      if (entry.is_regular_file()) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    for (auto const& path : files) {
      std::ifstream file(path, std::ios::binary);
      std::vector<char> const bytes{std::istreambuf_iterator<char>(file), {}};
      std::cout << path.filename().string() << std::endl;  // flushed, so that a crash names its file
      LLVMFuzzerTestOneInput(reinterpret_cast<std::uint8_t const*>(bytes.data()), bytes.size());
      ++ran;
    }
  }
  std::cout << ran << " inputs\n";
  return ran > 0 ? 0 : 1;
}
