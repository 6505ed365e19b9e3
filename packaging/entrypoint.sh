#!/bin/sh
# SPDX-License-Identifier: MIT
#
# entrypoint.sh - what a container starts first, and what then becomes nitrokv: it execs, so that signals reach the
# server and its exit status is the container's.
#
#   docker run IMAGE                        the image's CMD: a server
#   docker run IMAGE --max-memory 2GiB      a server with these options
#   docker run IMAGE get user_id            a verb of nitrokv; "nitrokv get user_id" is the same
#   docker run IMAGE sh                     any other program, as it is
#
# A SERVER
#   (1) listens on 0.0.0.0:6379, and for HTTP on 0.0.0.0:8379, unless something says where: nobody reaches loopback
#       inside a container.
#   (2) loses --insecure-no-auth if it is given a password, so that it cannot start without using it.
#   (3) gets a data folder that it can write, or an error that says what to do; none with --dir off.
#
# USERS
#   nitrokv never runs as root. Started as root, it becomes the owner of the data folder, or the image's user if that
#   is root, and is given what root has in the way: the folder, which docker makes as root if a mount is missing, and in
#   a store the files right in it, which "nitrokv check --repair" may have made as root. Nothing else is given away:
#   nothing of another user, no folder inside, and no folder that holds other things than a store.
#   Started as somebody else (docker run --user, OpenShift), it stays that, and the folder must be writable.
#
# Nothing else is written, so the root file system may be read-only.
set -eu

user=6379 # of the image's user and group; a number, because that is what a mounted folder knows
any_port=0.0.0.0:6379
any_http=0.0.0.0:8379

# fail says in one line why there is no server. 2 is nitrokv's own status for a start that failed.
fail() {
    echo "nitrokv: $1" >&2
    exit 2
}

# is_program: does the name stand for a file that can be run? (A builtin of the shell is none.)
is_program() {
    case $(command -v -- "$1") in
    */*) return 0 ;;
    esac
    return 1
}

# option NAME DEFAULT ARGUMENTS... prints the value of --NAME in the arguments, or else DEFAULT.
option() {
    name=--$1 value=$2 before=
    shift 2
    for arg in "$@"; do
        [ "$before" != "$name" ] || value=$arg
        case $arg in
        "$name="*) value=${arg#*=} ;;
        esac
        before=$arg
    done
    printf '%s' "$value"
}

# says_where: do options, variables or a configuration file say where to listen? The file is trusted to.
says_where() {
    [ -n "${NITROKV_LISTEN-}${NITROKV_CONFIG-}$(option listen '' "$@")$(option port '' "$@")$(option config '' "$@")" ]
}

# says_http: do options or a variable say where to listen for HTTP?
says_http() {
    [ -n "${NITROKV_HTTP-}$(option http '' "$@")" ]
}

has_password() {
    [ -n "${NITROKV_PASSWORD-}${NITROKV_PASSWORD_FILE-}$(option password-file '' "$@")" ]
}

# as_owner runs a command as $owner, with no way back. (Not for the last one: a function can't exec.)
as_owner() {
    setpriv --reuid="$owner" --regid="$user" --clear-groups --no-new-privs -- "$@" 2>/dev/null
}

# find_owner says in $owner whom root becomes.
find_owner() {
    owner=$user
    if [ -d "$data" ]; then
        owner=$(stat -c %u -- "$data")
        [ "$owner" -ne 0 ] || owner=$user
    fi
    as_owner true ||
        fail "cannot become uid $owner: start the container with --user $owner:$user, or with the capabilities SETUID and SETGID"
}

is_store() {
    [ -e "$data/MANIFEST" ] || [ -e "$data/LOCK" ]
}

# is_empty: is there nothing in the folder but hidden names and what a file system makes?
is_empty() {
    for name in "$data"/*; do
        case $name in
        "$data/*" | "$data/lost+found") ;;
        *) return 1 ;;
        esac
    done
}

# give gives away what root has in the way. A refusal is no error yet: some network and desktop file systems refuse every
# chown, and let everybody write.
give() {
    if is_store; then
        find "$data" -mindepth 1 -maxdepth 1 -type f -user 0 -links 1 -exec chown -h -- "$owner:$user" {} + 2>/dev/null || true
    fi
    [ "$(stat -c %u -- "$data")" -eq 0 ] || return 0
    is_store || is_empty ||
        fail "the data folder $data belongs to root and holds other things than a store: mount a folder of its own there, or chown it to $user:$user yourself"
    chown -- "$owner:$user" "$data" 2>/dev/null || true
}

# may_write is a program, for whoever is to run it.
may_write='[ -w "$1" ] && [ -x "$1" ]'

# prepare makes the data folder usable, or says why it isn't.
prepare() {
    [ -d "$data" ] || why=$(mkdir -p -- "$data" 2>&1) ||
        fail "cannot make the data folder $data: $why; mount a folder there, or name another one with NITROKV_DIR"
    if [ "$(id -u)" -ne 0 ]; then
        sh -c "$may_write" sh "$data" ||
            fail "the data folder $data cannot be written by uid $(id -u): chown it to that user, or start the container without --user"
        return
    fi
    give
    as_owner sh -c "$may_write" sh "$data" ||
        fail "the data folder $data cannot be written by uid $owner, and its owner cannot be changed: make it writable for that user"
}

# become replaces the shell by a command; root becomes $owner on the way.
become() {
    if [ "$(id -u)" -ne 0 ]; then
        exec "$@"
    fi
    export HOME=/app
    exec setpriv --reuid="$owner" --regid="$user" --clear-groups --no-new-privs -- "$@"
}

serve() {
    # The image's own command must not overrule what a variable says: flags would.
    if [ "$*" = "--listen $any_port --http $any_http --insecure-no-auth" ]; then
        if [ -n "${NITROKV_LISTEN-}${NITROKV_CONFIG-}" ]; then
            set --
        elif says_http; then
            set -- --listen "$any_port" --insecure-no-auth
        fi
    fi
    if ! says_where "$@"; then
        says_http "$@" || set -- --http "$any_http" "$@"
        set -- --listen "$any_port" "$@"
    fi
    if has_password "$@"; then
        for arg in "$@"; do
            shift
            [ "$arg" = --insecure-no-auth ] || set -- "$@" "$arg"
        done
    fi
    [ "$data" = off ] || prepare
    become nitrokv serve "$@"
}

case ${1-} in
nitrokv) shift ;;
'' | -h | --help | --version) ;;
-*) set -- serve "$@" ;;
*)
    if is_program "$1"; then
        exec "$@"
    fi
    ;;
esac

# Here "$@" is a command line of nitrokv.
data=$(option dir "${NITROKV_DIR:-/app/data}" "$@")
if [ "$(id -u)" -eq 0 ]; then
    find_owner
fi
case ${1-} in
serve)
    shift
    serve "$@"
    ;;
restore) [ -z "$(option dir '' "$@")" ] || prepare ;; # a new folder, which has to be writable like a server's
esac
become nitrokv "$@"
