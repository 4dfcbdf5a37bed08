# Sourced by ./test --valgrind. Every program of ours that a spec is or starts runs under valgrind,
# also below a shell or in tmux: in a folder that stands for the build, pumpsh is a script that
# starts it so, and lua5.4 is one in front of PATH. What valgrind has to say goes to a file for
# each process; a spec that has one with words in it failed.
#
# valgrind makes programs ten to thirty times slower: PUMP_SLOW says so to the specs, which multiply
# their own time limits by it and play a smaller part where they play for long.
export PUMP_SLOW=${PUMP_SLOW:-10}
valgrind_logs=$scratch/valgrind

valgrind_start() { # PROGRAM…: a script that runs it so
  cat <<SCRIPT
#!/bin/sh
exec valgrind -q --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \\
  --keep-debuginfo=yes --num-callers=30 --suppressions='$PWD/spec/valgrind.supp' \\
  --log-file="$valgrind_logs/\${PUMP_SPEC:-unknown}.%p" $* "\$@"
SCRIPT
}

valgrind_prepare() { # BUILD: makes the folder that stands for it, and names that in PUMP_BUILD
  local stand_in=$scratch/build
  mkdir "$valgrind_logs" "$stand_in" "$scratch/bin" &&
    ln -s "$1"/* "$stand_in/" && rm "$stand_in/pumpsh" &&
    valgrind_start "$1/pumpsh" >"$stand_in/pumpsh" &&
    valgrind_start "$(command -v lua5.4)" >"$scratch/bin/lua5.4" &&
    valgrind_start >"$scratch/bin/under_valgrind" &&
    chmod +x "$stand_in/pumpsh" "$scratch/bin"/* || exit
  export PUMP_BUILD=$stand_in PATH=$scratch/bin:$PATH
}
