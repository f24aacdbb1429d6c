/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent/slice/slice.h - how dvmm-slice ends, for the agent that has started it. */
#ifndef AGENT_SLICE_H
#define AGENT_SLICE_H

/**
 * enum slice_status - exit status of dvmm-slice
 * @SLICE_ENDED: with its VM
 * @SLICE_FAILED: it has said why; the VM ends
 * @SLICE_USAGE: the command line makes no sense
 * @SLICE_NOT_WANTED: its VM has ended before
 * @SLICE_IS_THERE: another process is the VM's slice: one that an earlier agent has started
 */
enum slice_status {
	SLICE_ENDED = 0,
	SLICE_FAILED = 1,
	SLICE_USAGE = 2,
	SLICE_NOT_WANTED = 3,
	SLICE_IS_THERE = 4,
};

#endif
