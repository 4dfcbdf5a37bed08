#!/bin/bash
# ./run: what it says, what it leaves alone, and how it gets its packages; there, stand-ins for
# dpkg-query, apt-get, id and sudo play machines of several kinds.
root=$PWD
place=$(mktemp -d) || exit
trap 'rm -rf "$place"' EXIT
count=0 failures=0
check() { # TEXT, and the status of the command before
  local held=$?
  count=$((count + 1))
  if [ $held = 0 ]; then
    echo "ok $count - $1"
  else
    echo "not ok $count - $1"
    sed 's/^/# /' "$place/out" "$place/err"
    failures=$((failures + 1))
  fi
}
out_is() { [ "$(cat "$place/out")" = "$1" ]; }
err_has() { grep -qF -- "$1" "$place/err"; }
run() { "$root/run" "$@" >"$place/out" 2>"$place/err"; }

# ---- Starting -----------------------------------------------------------------------------------

run -q -e 'print(6 * 7)' </dev/null && out_is 42 && ! err_has "pump: "
check "a run with nothing to build says nothing of its own"
TIMEFORMAT='%3U %3S' # of the processor: others may want this machine too
took=$({ time run --version </dev/null; } 2>&1)
grep -q pumpsh "$place/out" && awk "BEGIN { exit !(${took/ / + } < 0.6) }"
check "and starts at once (user and system: $took s)"
printf 'print(1)\nprint(2)\n' | run -q && out_is $'1\n2'
check "standard input goes to pumpsh"
mkdir "$place/elsewhere" && echo 'print(arg[1])' >"$place/elsewhere/script.lua"
(cd "$place/elsewhere" && run -q script.lua here </dev/null) && out_is here
check "a script is looked for where one stands"
run -q -e 'error("no")' </dev/null
[ $? = 1 ]
check "the exit status is pumpsh's"

# ---- Packages -----------------------------------------------------------------------------------

stand_in() { # NAME, its script on standard input
  { printf '#!/bin/bash\n' && cat; } >"$place/bin/$1" && chmod +x "$place/bin/$1"
}
machine() { # USER, as a number: one on which libuv1-dev is missing until apt-get installs it
  rm -rf "$place/bin" && mkdir "$place/bin"
  stand_in dpkg-query <<S
for package; do
  [ "\$package" = libuv1-dev ] && [ ! -e "$place/bin/installed" ] ||
    printf ' installed:%s ' "\$package"
done
S
  stand_in apt-get <<S
cat >/dev/null
echo "\$*" >>"$place/bin/asked"
[[ \$* != *install* ]] || touch "$place/bin/installed"
S
  stand_in id <<<"echo $1"
}
run_there() { PATH=$place/bin:$PATH run "$@"; }

machine 0
printf 'print("kept")\n' | run_there -q && out_is kept && err_has "missing: libuv1-dev" &&
  grep -q 'install .*libuv1-dev' "$place/bin/asked"
check "root: it says what is missing, installs that, and leaves standard input to pumpsh"

machine 0
stand_in apt-get <<S
echo "\$*" >>"$place/bin/asked"
if [[ \$* == *update* ]]; then
  touch "$place/bin/updated"
else
  [ -e "$place/bin/updated" ] && touch "$place/bin/installed"
fi
S
run_there -q -e 'print(1)' </dev/null && out_is 1 && grep -q update "$place/bin/asked"
check "where the lists are missing they are fetched first"

machine 0
stand_in apt-get <<<'echo "E: the mirror is down"; exit 100'
run_there -q -e 'print(1)' </dev/null
[ $? = 1 ] && out_is "" && err_has "E: the mirror is down" && err_has "could not install"
check "apt-get's own words are shown when it fails"

machine 1000
stand_in sudo <<<'exit 1'
run_there -q -e 'print(1)' </dev/null
[ $? = 1 ] && out_is "" && err_has "sudo apt-get install libuv1-dev" && [ ! -e "$place/bin/asked" ]
check "sudo that wants a password of nobody: it says what to run"

machine 1000
stand_in sudo <<<'[ "$1" != -n ] || shift; exec "$@"'
run_there -q -e 'print(1)' </dev/null && out_is 1 && grep -q libuv1-dev "$place/bin/asked"
check "sudo that wants none is used"

echo "1..$count"
[ $failures = 0 ]
