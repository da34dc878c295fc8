#!/usr/bin/env bash
# Builds and runs every fuzz target.  What was reached is kept in build/fuzz-corpus, so another run goes on from there.
#   RUNS      executions of each target (default 1,000,000)
#   LIMIT  the longest each target may take (default 600)
#   MERGE=1   at the end, keep the smallest inputs that reach as much in tests/fuzz/corpus, to be committed
# A finding stops the run; its input is build/fuzz-corpus/TARGET-crash-..., and running the target with it shows it again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

runs=${RUNS:-1000000}
limit=${LIMIT:-600}
work=build/fuzz-corpus
mkdir -p "$work"
command -v clang++ >/dev/null || { echo "fuzzing needs clang++. On Debian and Ubuntu: apt-get install clang libclang-rt-dev"; exit 1; }

cmake --preset fuzz --log-level=WARNING
cmake --build --preset fuzz
export ASAN_OPTIONS="malloc_context_size=2:detect_leaks=0:quarantine_size_mb=8${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
for target in arrow grid; do
  mkdir -p "$work/$target"
  nice -n 19 "build/fuzz/tests/fuzz/fuzz_$target" "$work/$target" "tests/fuzz/corpus/$target" -max_len=512 -detect_leaks=0 \
    -entropic=0 -runs="$runs" -max_total_time="$limit" -artifact_prefix="$work/$target-" -print_final_stats=1
  if [[ -n "${MERGE:-}" ]]; then
    rm -rf "$work/merged" && mkdir "$work/merged"
    "build/fuzz/tests/fuzz/fuzz_$target" -merge=1 -max_len=512 -detect_leaks=0 "$work/merged" "$work/$target" "tests/fuzz/corpus/$target"
    rm -rf "tests/fuzz/corpus/$target" && cp -r "$work/merged" "tests/fuzz/corpus/$target"
  fi
done

python=$(command -v python || command -v python3)
nice -n 19 "$python" tests/fuzz/fuzz_files.py "$work/files" --runs "$runs" --seconds "$limit" --seed "$(date +%s)"
nice -n 19 "$python" tests/fuzz/fuzz_files.py "$work/files" --raw --runs "$runs" --seconds "$limit" --seed "$(date +%s)"
