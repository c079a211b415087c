# Completes command lines of PROGRAM in fish: PROGRAM completion fish | source

function __FUNCTION
    set -l words (commandline -opc) (commandline -ct)
    set -l offers ($words[1] completion words $words[2..-1] 2>/dev/null)
    if test (count $offers) -gt 0
        printf '%s\n' $offers
    else # files are meant
        __fish_complete_path (commandline -ct)
    end
end

complete -c PROGRAM -f -a '(__FUNCTION)'
