# SPDX-License-Identifier: GPL-2.0-or-later
# Completion of dvmm for bash. It knows nothing itself: dvmm says what may follow.
_dvmm()
{
	local i
	COMPREPLY=()
	# dvmm run ... -- PROGRAM ARGS: from there on it is PROGRAM's.
	for ((i = 1; i < COMP_CWORD; i++)); do
		if [[ ${COMP_WORDS[i]} == -- ]]; then
			declare -F _command_offset >/dev/null && _command_offset $((i + 1))
			return
		fi
	done
	mapfile -t COMPREPLY < <("$1" complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _dvmm dvmm
