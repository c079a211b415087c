# Completes command lines of PROGRAM in bash: source <(PROGRAM completion bash)

_FUNCTION() {
	local line
	COMPREPLY=()
	while IFS= read -r line; do
		COMPREPLY+=("${line%%$'\t'*}")
	done < <("${COMP_WORDS[0]}" completion words "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}

# Where there is nothing to say, files are meant.
complete -o bashdefault -o default -F _FUNCTION PROGRAM
