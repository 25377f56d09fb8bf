# A file that was put back to a backup becomes again what it was. The note goes on: directory (no link in it), name,
# name of the former file in that directory ("-": there was none), path of the copy that was put there.

undo_file() {
    IFS= read -r directory || return 1
    IFS= read -r name || return 1
    IFS= read -r former || return 1
    IFS= read -r copy || return 1
    case $name/$former in
    */*/* | ../* | */.. | ./* | */. | /* | */) return 1 ;;
    esac
    # From here on every name is looked up in this one directory, whatever its path is made to lead to meanwhile.
    cd -P -- "$directory" || return 0
    [ "$(pwd -P)" = "$directory" ] || { say "$directory was moved: left alone"; return 0; }
    rm -f "./.$name.bartizan-new"
    if [ "$former" != - ] && [ ! -e "./$former" ] && [ ! -L "./$former" ]; then
        # Put back already.
        return 0
    fi
    # Ours never took its place: one file of two names, of which mv would leave both.
    # shellcheck disable=SC3013 # every sh that is met has it; one without goes on
    if [ "$former" != - ] && [ ! -L "./$name" ] && [ "./$former" -ef "./$name" ] 2>/dev/null; then
        rm -f "./$former"
        return 0
    fi
    # What somebody wrote there since is not ours to remove.
    if [ -L "./$name" ] || ! holds "./$name" "$copy"; then
        say "$directory/$name was changed since: left alone"
        [ "$former" = - ] || rm -f "./$former"
        return 0
    fi
    if [ "$former" = - ]; then
        rm -f "./$name" || return 1
        say "removed $directory/$name, which was not there before"
    else
        mv -f "./$former" "./$name" || return 1
        say "restored the previous $directory/$name"
    fi
}

# Whether two files hold the same bytes; where there is no cmp, bytes that a shell can hold. Whoever may write there can put a pipe in the
# place, on which reading waits for ever: only regular files are read, and not for long.
holds() { # FILE FILE
    [ -f "$1" ] && [ -f "$2" ] || return 1
    soon=
    if command -v timeout >/dev/null 2>&1; then soon="timeout 20"; fi
    # shellcheck disable=SC2086 # two words, or none
    if command -v cmp >/dev/null 2>&1; then
        $soon cmp -s "$1" "$2"
    else
        [ "$($soon cat "$1"; echo .)" = "$($soon cat "$2"; echo .)" ]
    fi
}
