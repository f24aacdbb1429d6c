/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Empty: heat.c of this folder has what is used of it. */
