/* SPDX-License-Identifier: GPL-2.0-only */
/* include/dvmm/event.h - numbers of the events, from their table. */
#ifndef DVMM_EVENT_H
#define DVMM_EVENT_H

#define EVENT(name, number, word, help) DVMM_EVENT_##name = number,
enum dvmm_event_kind {
#include <dvmm/event.tbl.h>
};
#undef EVENT

#endif
