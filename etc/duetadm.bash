# Completion of duetadm (and a link doveadm) and duetconf for bash.
# Installed as bash-completion/completions/duetadm.  Commands are asked of the
# program itself, so that none is offered that this build does not have.

_duetadm_words()
{
	"$1" help 2>/dev/null | awk '/^Formatters/ { exit } /^  [a-z]/ { print $1, $2 }'
}

_duetadm()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
	local i word= sub=
	COMPREPLY=()
	case $prev in
	-f)	if [ "$1" != duetconf ]; then
			mapfile -t COMPREPLY < <(compgen -W 'table tab flow pager json' -- "$cur")
			return
		fi ;;
	-c|-S|-F)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return ;;
	-i)	mapfile -t COMPREPLY < <(compgen -W "$("$1" -f tab instance list 2>/dev/null |
			awk -F '\t' 'NR > 1 { print $2 }')" -- "$cur")
		return ;;
	esac
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-f|-c|-S|-i|-o) ((i++)) ;;
		-*) ;;
		*) if [ -z "$word" ]; then word=${COMP_WORDS[i]}; else sub=${COMP_WORDS[i]}; break; fi ;;
		esac
	done
	if [ -z "$word" ]; then
		mapfile -t COMPREPLY < <(compgen -W "-D -v -f -o -c -i -S --json --help --version
			$(_duetadm_words "$1" | cut -d' ' -f1)" -- "$cur")
	elif [ -z "$sub" ]; then
		mapfile -t COMPREPLY < <(compgen -W "--json --help $(_duetadm_words "$1" |
			awk -v w="$word" '$1 == w && $2 ~ /^[a-z|-]+$/ { gsub(/\|/, " ", $2); print $2 }')" -- "$cur")
	else
		mapfile -t COMPREPLY < <(compgen -W '--json --help' -- "$cur")
	fi
}

complete -F _duetadm duetadm doveadm
