# A container that was cut off: paused ones run on, the others go back to each network as they were there. The note goes
# on with the runtime's socket, the container's id and `pause` or `network`; then one endpoint a line: network, address,
# IPv6 address, aliases with commas (`-` for none), and after a tab each the question that connects it as it was and one
# that asks for no address, for when another has it by now.

undo_container() {
    IFS= read -r socket && IFS= read -r container && read -r how || return 1
    case $socket in *podman*) cli=podman ;; *) cli=docker ;; esac
    # After a reboot the runtime may come later than we do.
    waits=0
    while [ ! -S "$socket" ] && [ "$waits" -lt "${runtime_patience:-60}" ]; do
        waits=$((waits + 1))
        sleep 1
    done
    if [ "$how" = pause ]; then
        runtime_unpause && say "unpaused container $container"
        return
    fi
    undone=0
    while IFS= read -r line; do
        tab=$(printf '\t')
        plain=${line%%"$tab"*} questions=${line#*"$tab"}
        runtime_connect "${questions%%"$tab"*}" "${questions#*"$tab"}" || undone=1
    done
    [ "$undone" = 0 ] && say "reconnected container $container to its networks"
    return "$undone"
}

has() { command -v "$1" >/dev/null 2>&1; }

# POST: prints what was answered and, on the last line, the status. Nothing may read the note's own lines.
runtime_post() { # PATH BODY
    curl -s --max-time 20 --unix-socket "$socket" -H 'Content-Type: application/json' -X POST -d "$2" -w '\n%{http_code}' \
        "http://localhost$1" </dev/null
}

runtime_cli() {
    soon=
    if has timeout; then soon="timeout 20"; fi
    # shellcheck disable=SC2086 # two words, or none
    case $cli in
    docker) $soon docker -H "unix://$socket" "$@" 2>&1 </dev/null ;;
    *) $soon podman "$@" 2>&1 </dev/null ;;
    esac
}

# Gone, or not paused any more, is well too.
settled() { # ANSWER
    case $1 in
    *"o such container"* | *"o container with name"* | *"not paused"*) return 0 ;;
    *"already exists in network"* | *"already connected"*) return 0 ;;
    *"network "*" not found"* | *"o such network"* | *"unable to find network"*) return 0 ;;
    esac
    return 1
}

runtime_unpause() {
    if has curl; then
        answer=$(runtime_post "/containers/$container/unpause" '')
        case $answer in *204 | *200) return 0 ;; esac
    else
        answer=$(runtime_cli unpause "$container") && return 0
    fi
    settled "$answer"
}

runtime_connect() { # QUESTION QUESTION-WITHOUT-ADDRESS
    network=${plain%% *}
    if has curl; then
        for question in "$1" "$2"; do
            answer=$(runtime_post "/networks/$network/connect" "$question")
            case $answer in *200 | *201 | *204) return 0 ;; esac
            settled "$answer" && return 0
        done
        return 1
    fi
    # By hand what the question says, as far as the command line can: it has no word for the hardware address.
    words=${plain#* }
    address=${words%% *} words=${words#* }
    address6=${words%% *} aliases=${words#* }
    set -- network connect
    [ "$address" = - ] || set -- "$@" --ip "$address"
    [ "$address6" = - ] || set -- "$@" --ip6 "$address6"
    while [ "$aliases" != - ] && [ -n "$aliases" ]; do
        set -- "$@" --alias "${aliases%%,*}"
        case $aliases in *,*) aliases=${aliases#*,} ;; *) aliases= ;; esac
    done
    answer=$(runtime_cli "$@" "$network" "$container") && return 0
    settled "$answer" && return 0
    answer=$(runtime_cli network connect "$network" "$container") || settled "$answer"
}

