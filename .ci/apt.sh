# Sourced: apt_install PACKAGE..., which installs where that is permitted without asking.
# On failure apt_why says what was in the way. No check whether the packages are there already.

apt_why=
apt_install() {
    local as=() log
    if ! command -v apt-get >/dev/null; then
        apt_why="there is no apt-get here"
        return 1
    fi
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
            apt_why="only root may use apt-get (and sudo would ask for a password)"
            return 1
        fi
        as=(sudo -n)
    fi
    printf 'installing %s with apt-get\n' "$*" >&2
    log=$(mktemp)
    # The lists of a fresh image are empty, those of an old one name versions that have gone.
    if "${as[@]}" env DEBIAN_FRONTEND=noninteractive sh -c '
        apt-get -o DPkg::Lock::Timeout=120 update -q &&
        apt-get -o DPkg::Lock::Timeout=120 install -q -y --no-install-recommends "$@"
    ' sh "$@" </dev/null >"$log" 2>&1; then
        rm -f "$log"
        return 0
    fi
    apt_why="apt-get failed: $(grep '^E:' "$log" | tail -n 1)"
    rm -f "$log"
    return 1
}
