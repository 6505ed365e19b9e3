# SPDX-License-Identifier: MIT
#
# lib.sh - what the tests of this folder share; they are run from the repository's root.
#
# A test is a function that returns, or ends by `fail`. `run` gives it a folder of its own ($work) and a subshell, and
# prints its verdict the way scripts/summary counts. What cannot be run here is said with `not_run`, and counts as nothing.

failed=0
nitrokv=${NITROKV_BIN:-$PWD/bin/nitrokv}
for variable in $(env | sed -n 's/^\(NITROKV_[A-Z_]*\)=.*/\1/p'); do # a developer's own settings
    unset "$variable"
done

# run TEST...
run() {
    for test in "$@"; do
        work=$(mktemp -d)
        chmod 755 "$work" # other users act in it
        if ("$test"); then
            echo "--- PASS: $test"
        else
            echo "--- FAIL: $test"
            failed=1
        fi
        rm -rf -- "$work"
    done
}

# not_run WHAT WHY
not_run() { echo "not run: $1: $2"; }

# fail TEXT ends a test.
fail() {
    echo "    $1"
    exit 1
}

# same WHAT GOT WANT
same() { [ "$2" = "$3" ] || fail "$1: got '$2', want '$3'"; }

# contains WHAT TEXT PART
contains() {
    case $2 in
    *"$3"*) ;;
    *) fail "$1: '$3' is not in '$2'" ;;
    esac
}

# owner FILE prints uid:gid.
owner() { stat -c %u:%g -- "$1"; }

# start_server COMMAND... starts a server and waits until it listens: it is process $server, at $address. What it logs goes
# through a pipe, so that waiting ends with the server.
start_server() {
    mkfifo "$work/log"
    "$@" 2>"$work/log" &
    server=$!
    exec 3<"$work/log"
    rm "$work/log"
    log=
    while IFS= read -r line <&3; do
        log="$log$line "
        address=$(printf '%s\n' "$line" | sed -n 's/.*"msg":"listening","addr":"\([^"]*\)".*/\1/p')
        [ -z "$address" ] || return 0
    done
    fail "the server has ended: $log"
}

# server_ended waits for the end of the server, which must be a good one, and leaves all that it has logged in $log.
server_ended() {
    log="$log$(cat <&3)"
    wait "$server"
    same "the server's exit status ($log)" "$?" 0
}
