#compdef PROGRAM
# Completes command lines of PROGRAM in zsh: source <(PROGRAM completion zsh), or as a file _PROGRAM in a folder of $fpath

_FUNCTION() {
	local word help
	local -a offers
	while IFS=$'\t' read -r word help; do
		offers+=("${word//:/\\:}${help:+:$help}")
	done < <("${words[1]}" completion words "${(@)words[2,CURRENT]}" 2>/dev/null)
	if (( $#offers )); then
		_describe PROGRAM offers
	else # files are meant
		_files
	fi
}

if [[ $funcstack[1] == _PROGRAM ]]; then # it was read as a file of $fpath
	_FUNCTION "$@"
else
	compdef _FUNCTION PROGRAM
fi
