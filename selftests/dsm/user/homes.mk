# SPDX-License-Identifier: GPL-2.0-or-later
# dsm/ as a program: four nodes, homes that move. make -f homes.mk check | long | mutants
TOP := $(abspath ../../..)
BUILD ?= $(TOP)/build/selftests/dsm/user-homes
SANITIZE ?= -fsanitize=address,undefined -fno-sanitize=alignment
CFLAGS := -std=gnu11 -O1 -g -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -pthread $(SANITIZE) \
	-include shim.h -I. -I$(BUILD)/none -I$(TOP)/include -I$(TOP)/include/uapi
FILES := $(basename $(notdir $(filter-out %/adopt.c %/bug.c %/fault.c %/heat.c %/main.c %/memfile.c,$(wildcard $(TOP)/dsm/*.c))))
PLAYED := shim cold defer played_memfile played_door played_link played_node homes-test
OBJECTS := $(addprefix $(BUILD)/,$(addsuffix .o,$(FILES) $(PLAYED)))
HEADERS := shim.h played_link.h played_node.h $(wildcard $(TOP)/dsm/*.h $(TOP)/kmod/kmod.h $(TOP)/include/dvmm/*.h)
# What shim.h stands for.
NONE := asm/tsc linux/atomic linux/completion linux/delay linux/file linux/fs linux/hash linux/highmem \
	linux/hrtimer linux/kref linux/list linux/math64 linux/mempool linux/mm linux/mm_types linux/module linux/mutex linux/pagemap \
	linux/rcupdate linux/refcount linux/rmap linux/sched linux/shrinker linux/slab linux/string \
	linux/tracepoint linux/wait linux/workqueue linux/xarray trace/define_trace

check: $(BUILD)/homes
	@ASAN_OPTIONS=detect_leaks=0 timeout 100 $(BUILD)/homes 5

long: $(BUILD)/homes
	@ASAN_OPTIONS=detect_leaks=0 timeout 1500 $(BUILD)/homes 200

$(BUILD)/homes: $(OBJECTS)
	@$(CC) $(CFLAGS) -o $@ $^

$(BUILD)/homes-test.o: homes.c $(HEADERS) | $(BUILD)/none
	@$(CC) $(CFLAGS) -c -o $@ $<

$(BUILD)/page.o: CFLAGS += -DSHIM_PAGE_LOCKS

$(BUILD)/%.o: $(TOP)/dsm/%.c $(HEADERS) | $(BUILD)/none
	@$(CC) $(CFLAGS) -c -o $@ $<

$(BUILD)/%.o: %.c $(HEADERS) | $(BUILD)/none
	@$(CC) $(CFLAGS) -c -o $@ $<

$(BUILD)/none: $(firstword $(MAKEFILE_LIST))
	@mkdir -p $(addprefix $@/,$(sort $(dir $(NONE))))
	@touch $(NONE:%=$@/%.h) $@

mutants: $(BUILD)/homes
	@./homes-mutants

.PHONY: check long mutants
