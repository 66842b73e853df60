# SPDX-License-Identifier: LGPL-2.1-or-later
# bash completion of gatehousectl(1): the installed program says what may follow, never one that the line names by a path.
# shellcheck shell=bash

_gatehousectl() {
    local words=() word last=0 goes_on=no kind before lines=()

    # readline breaks words at these; the program wants them whole
    for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
        if [[ ${#words[@]} -gt 0 && ($goes_on == yes || $word == [=:]*) ]]; then
            words[last]+=$word
        else
            words+=("$word")
            last=$((${#words[@]} - 1))
        fi
        [[ $word == *[=:] && $word != --*[=:] ]] && goes_on=yes || goes_on=no
    done
    [ ${#words[@]} -gt 0 ] || words=("")
    mapfile -t lines < <(command gatehousectl __complete "${words[@]}" 2>/dev/null)
    kind=${lines[0]%%$'\t'*} before=${lines[0]#*$'\t'}
    word=${words[last]#"$before"}
    [[ $COMP_WORDBREAKS != *=* ]] || before=${before#*=}
    COMPREPLY=()
    case $kind in
    files | directories)
        compopt -o filenames 2>/dev/null
        [ "$kind" = files ] && kind=-f || kind=-d
        mapfile -t COMPREPLY < <(compgen "$kind" -P "$before" -- "$word")
        ;;
    words)
        COMPREPLY=("${lines[@]:1}")
        COMPREPLY=("${COMPREPLY[@]%%$'\t'*}")
        COMPREPLY=("${COMPREPLY[@]/#/$before}")
        [[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null
        ;;
    esac
}

complete -F _gatehousectl gatehousectl
