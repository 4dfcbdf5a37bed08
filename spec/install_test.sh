#!/bin/bash
# cmake --install gives a folder that works by itself: a program built there with pkg-config, one
# built with find_package, and shared libraries that show nothing but the API.
build=${PUMP_BUILD:-build}
place=$(mktemp -d) || exit
trap 'rm -rf "$place"' EXIT
if grep -qx 'PUMP_SANITIZE:BOOL=ON' "$build/CMakeCache.txt"; then
  echo '1..0 # SKIP an installation is judged by the release build'
  exit
fi
count=0 failures=0
check() { # TEXT COMMAND…
  local text=$1
  shift
  count=$((count + 1))
  if "$@" >"$place/log" 2>&1; then
    echo "ok $count - $text"
  else
    echo "not ok $count - $text"
    sed 's/^/# /' "$place/log"
    failures=$((failures + 1))
  fi
}

prefix=$place/prefix
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig LD_LIBRARY_PATH=$prefix/lib
check "cmake --install" cmake --install "$build" --prefix "$prefix"

check "the manual page of the binary is there" \
  sh -c "'$prefix/bin/pumpsh' --man | cmp - '$prefix/share/man/man1/pumpsh.1'"
check "and what bash completes" \
  bash -c "source '$prefix/share/bash-completion/completions/pumpsh' && complete -p pumpsh"
check "and what zsh does" grep -q '^#compdef pumpsh' "$prefix/share/zsh/site-functions/_pumpsh"

mkdir "$place/program"
cat >"$place/program/program.c" <<'C'
#include <pump.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

int main(void) {
  uv_loop_t loop;
  pump_guid id;
  char text[PUMP_GUID_TEXT + 1];
  uv_loop_init(&loop);
  if (pump_guid_parse(&id, "01234567-89ab-cdef-0123-456789abcdef", 36) != 0) return 1;
  pump_guid_format(&id, text);
  printf("%s %s %s\n", pump_version(), text, pump_error_name(PUMP_ETIMEOUT));
  return uv_loop_close(&loop);
}
C
cat >"$place/program/CMakeLists.txt" <<'C'
cmake_minimum_required(VERSION 3.25)
project(program C)
find_package(pump ${VERSION} REQUIRED)
add_executable(shared program.c)
target_link_libraries(shared PRIVATE pump::pump)
add_executable(static program.c)
target_link_libraries(static PRIVATE pump::pump_static)
C
cd "$place/program" || exit
version=$(pkg-config --modversion pump)
says() { [ "$("$@")" = "$version 01234567-89ab-cdef-0123-456789abcdef timeout" ]; }
check "pkg-config knows the version" test -n "$version"
check "a program is built with pkg-config" \
  sh -c 'cc -o program program.c $(pkg-config --cflags --libs pump)'
check "and runs" says ./program
check "one is configured with find_package" cmake -G Ninja -S . -B by_cmake -DCMAKE_PREFIX_PATH="$prefix"
check "and built" cmake --build by_cmake
check "and runs with the shared library" says by_cmake/shared
check "and with the static one" says env LD_LIBRARY_PATH= by_cmake/static
check "but not where a newer version is wanted" \
  sh -c "! cmake -G Ninja -S . -B newer -DCMAKE_PREFIX_PATH='$prefix' -DVERSION=9"

exports() { nm -D --defined-only "$1" | awk '{print $3}' | grep -v '^pump_[a-z]'; }
for library in "$prefix"/lib/libpump*.so.0; do
  name=$(basename "$library")
  check "$name is called so" sh -c "objdump -p '$library' | grep -q 'SONAME *$name\$'"
  check "$name shows nothing but the API" test -z "$(exports "$library")"
done
check "libpump needs no Lua and no SQLite" \
  sh -c "! objdump -p '$prefix/lib/libpump.so.0' | grep -E 'NEEDED.*(lua|sqlite|readline)'"
echo "1..$count"
[ "$failures" = 0 ]
