# shellcheck shell=bash disable=SC2154,SC2034,SC2086,SC2046
pkg-config --exists nlohmann_json || { echo "SKIPPED: nlohmann-json3-dev is missing"; exit 77; }
tests/conformance/library.sh
c++ -std=c++17 $c_flags tests/conformance/testees/cpp.cpp -o "$built/testee-cpp" \
  $(pkg-config --cflags --libs nlohmann_json) $c_libraries
command=("$built/testee-cpp")
