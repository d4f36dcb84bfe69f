# bash completion for sshechod and sshload. The words come from the program's own --help, so that they are never behind.

_sshecho_long_options() {
    "$1" --help 2>/dev/null | sed -n 's/^ \{2,6\}\(-., \)\{0,1\}\(--[a-z][a-z-]*\).*/\2/p'
}

# What may follow an option: the part between the brackets of its help, "[default auto; auto, bench or exposed]".
_sshecho_choices() {
    "$1" --help 2>/dev/null | awk -v option="$2" '
        /^  / && $0 ~ "^ +(-., )?" option "( |$)" { found = 1; text = $0; next }
        found && /^ +(-., )?--/ { exit }
        found { text = text " " $0 }
        END {
            if (match(text, /; [^];]*\]/) && text !~ /[0-9] to /) {
                words = substr(text, RSTART + 2, RLENGTH - 3)
                gsub(/,|( or )/, " ", words)
                print words
            }
        }'
}

_sshecho() {
    local program=$1 word=$2 previous=$3 choices key
    COMPREPLY=()
    case $previous in
        -o)
            key=$(_sshecho_long_options "$program" | sed 's/^--//; s/$/=/')
            compopt -o nospace 2>/dev/null
            COMPREPLY=($(compgen -W "$key" -- "$word"))
            return ;;
        -f | -k | -p | -I | --config | --port-file | --password-file | --authorized-keys | --host-key | --identity | --json | \
        --known-hosts | --out)
            compopt -o filenames 2>/dev/null
            COMPREPLY=($(compgen -f -- "$word"))
            return ;;
        -u | --user)
            COMPREPLY=($(compgen -u -- "$word"))
            return ;;
        --*)
            choices=$(_sshecho_choices "$program" "$previous")
            if [ -n "$choices" ]; then
                COMPREPLY=($(compgen -W "$choices" -- "$word"))
                return
            fi ;;
    esac
    case $word in
        -*) COMPREPLY=($(compgen -W "$(_sshecho_long_options "$program")" -- "$word")) ;;
        *)
            if [ "${program##*/}" = sshload ]; then
                [ "$COMP_CWORD" = 1 ] && COMPREPLY=($(compgen -W "compare merge plot report" -- "$word"))
                COMPREPLY+=($(compgen -f -X '!*.json' -- "$word") $(compgen -A hostname -- "$word"))
            fi ;;
    esac
}

complete -F _sshecho sshechod sshload
