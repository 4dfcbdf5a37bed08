# What ./run, ./test and .ci/run share: the packages, the configuring, the building. Sourced by
# bash in the root of the clone. All of it speaks on stderr, leaves standard input alone and
# writes nothing but packages outside the build's folder.

say() { printf 'pump: %s\n' "$*" >&2; }
die() {
  say "$@"
  exit 1
}

# The packages of the groups named.
packages_of() {
  local group package
  while read -r group package; do
    [[ " $* " != *" $group "* ]] || printf '%s\n' "$package"
  done <cmake/packages
}

# Those of them that are not installed.
packages_missing() {
  local wanted installed package
  mapfile -t wanted < <(packages_of "$@")
  installed=$(dpkg-query -W -f=' ${db:Status-Status}:${Package} ' "${wanted[@]}" 2>/dev/null)
  for package in "${wanted[@]}"; do
    [[ $installed == *" installed:$package "* ]] || printf '%s ' "$package"
  done
}

# Is there somebody who can answer a question? Standard input may be a pipe all the same.
person_here() { [ -t 2 ] && { : </dev/tty; } 2>/dev/null; }

# How to become root, in the array as_root. Asks where a person has to give a password.
find_root() {
  local packages=$1 answer
  as_root=()
  [ "$(id -u)" != 0 ] || return 0
  command -v sudo >/dev/null ||
    die "installing them needs root and there is no sudo; as root run: apt-get install $packages"
  if person_here; then
    read -r -p 'pump: install them with sudo? [Y/n] ' answer </dev/tty 2>/dev/tty
    [[ ${answer:-y} == [Yy]* ]] || die "nothing was installed and nothing built"
    as_root=(sudo)
  else
    sudo -n true 2>/dev/null ||
      die "sudo wants a password and nobody is here; run: sudo apt-get install $packages"
    as_root=(sudo -n)
  fi
}

apt_get() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3 \
    -o DPkg::Lock::Timeout=120 "$@" </dev/null >>"$log" 2>&1
}

# Installs what the groups named need and this machine lacks.
need_packages() {
  local missing tool log as_root
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    for tool in cc cmake ninja pkg-config protoc-c; do
      command -v "$tool" >/dev/null ||
        die "no $tool, and this is no Debian; install what it calls:" $(packages_of "$@")
    done
    return
  fi
  missing=$(packages_missing "$@")
  [ -n "$missing" ] || return 0
  say "these Debian packages are missing: $missing"
  find_root "$missing"
  say "installing them"
  log=$(mktemp)
  # Lists that are missing or old are fetched only when it does not work without.
  if ! apt_get install -y --no-install-recommends $missing; then
    apt_get update && apt_get install -y --no-install-recommends $missing || {
      tail -n 20 "$log" >&2
      rm -f "$log"
      die "apt-get could not install them; its last words are above"
    }
  fi
  rm -f "$log"
}

# The folder of a preset's build, and the preset whose build PUMP_BUILD names.
folder_of() { [ "$1" = release ] && echo build || echo "build-$1"; }
preset_wanted() {
  local name
  name=$(basename "${PUMP_BUILD:-build}")
  [ "$name" = build ] && echo release || echo "${name#build-}"
}

# build PRESET TARGET…: configures where that was not done yet and builds what is not fresh.
# Silent when there is nothing to do, one line when there is, everything when it fails.
build() {
  local preset=$1 folder
  shift
  folder=$(folder_of "$preset")
  mkdir -p "$folder" 2>/dev/null && { exec 9>"$folder/.lock"; } 2>/dev/null ||
    die "cannot write to $PWD/$folder"
  flock 9
  build_locked "$@" 8>&2 </dev/null >"$folder/.log" 2>&1 || {
    cat "$folder/.log" >&2
    die "the build in $folder failed; what it said is above"
  }
  exec 9>&-
}

# A build knows the folder it was configured for; a clone that was moved starts afresh.
build_locked() {
  local configured=yes
  if ! [ -e "$folder/build.ninja" ] ||
    ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$(pwd -P)" "$folder/CMakeCache.txt"; then
    say "configuring and building in $folder, which takes a minute" 2>&8
    cmake --preset "$preset" --fresh || return
    configured=now
  fi
  ! ninja -C "$folder" -n "$@" | grep -q 'no work to do' || return 0
  [ $configured = now ] || say "building in $folder" 2>&8
  ninja -C "$folder" -j "$(nproc)" --quiet "$@"
}
