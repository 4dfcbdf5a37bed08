#!/bin/bash
# The lower layers do no I/O and know no clock, no libuv and no Lua: whatever their objects leave
# undefined is either of a layer they may call or on this list of what plain C may use.
objects=${PUMP_BUILD:-build}/src/CMakeFiles
plain='malloc|calloc|realloc|free|abort
memcpy|memmove|memset|memcmp|memchr|memmem|memrchr|explicit_bzero
str(len|nlen|cmp|ncmp|casecmp|ncasecmp|chr|rchr|str|spn|cspn|dup|ndup|pbrk)
v?snprintf|strto(l|ll|ul|ull|d|f)|qsort|bsearch
isnan|isinf|isfinite|floor|trunc|ldexp|frexp|fmod|pow|modf|signbit
__ctype_b_loc|__ctype_tolower_loc|__ctype_toupper_loc|localeconv|__errno_location
__isoc(99|23)_(sscanf|strto[a-z]+)|__[a-z]+_chk|__stack_chk_fail|__assert_fail
_GLOBAL_OFFSET_TABLE_'
sanitizers='__(asan|ubsan|sanitizer|sancov|start___sancov|stop___sancov)_.*|__start___sancov_.*|__stop___sancov_.*'
count=0 failures=0

check() { # HOLDS TEXT
  count=$((count + 1))
  if [ "$1" = yes ]; then
    echo "ok $count - $2"
  else
    echo "not ok $count - $2"
    failures=$((failures + 1))
  fi
}

objects_of() { find "$objects/pump_$1.dir" -name '*.o' 2>/dev/null | sort; }

# What the layers named define for others.
defined_by() {
  local layer
  for layer; do
    objects_of "$layer" | xargs -r nm --defined-only --extern-only --format=posix | cut -d' ' -f1
  done
}

# layer NAME CALLS…: the layer NAME may call itself, the layers CALLS and plain C.
layer() {
  local name=$1 allowed object symbol found=
  allowed=$(
    printf '%s\n%s\n' "$plain" "$sanitizers"
    [[ " $* " != *" proto "* ]] || echo 'protobuf_c_.*'
    defined_by "$@" | grep -v ':$'
  )
  for object in $(objects_of "$name"); do
    found=yes
    surplus=$(nm --undefined-only --format=posix "$object" | cut -d' ' -f1 |
      grep -vxE "$allowed" | xargs)
    text="${object##*/CMakeFiles/} calls only what it may"
    [ -z "$surplus" ] && check yes "$text" || check no "$text, and not: $surplus"
  done
  [ -n "$found" ] || check no "the layer $name has objects in $objects"
}

layer base
layer wire base proto
layer conversation base
# What is forbidden must be found when it is there, or the checks above say nothing.
forbidden=$(printf 'uv_run\nlua_call\nclock_gettime\nread\nsocket\ntime\nprintf\n' |
  grep -cxE "$plain"$'\n'"$sanitizers")
check "$([ "$forbidden" = 0 ] && echo yes)" "the list allows neither I/O nor clocks, libuv or Lua"
echo "1..$count"
[ "$failures" = 0 ]
