# SPDX-License-Identifier: GPL-2.0-or-later
# What people type. `make help` lists it. The kernel's build system reads Kbuild.
#
# Everything made goes to build/: build/<kernel release>/*.ko, build/user/*.

KDIR ?= /lib/modules/$(shell uname -r)/build
KERNEL_RELEASE := $(shell awk -F'"' '/UTS_RELEASE/ { print $$2 }' \
	$(KDIR)/include/generated/utsrelease.h 2>/dev/null)
BUILD := $(CURDIR)/build
KBUILD_TREE = $(BUILD)/$(KERNEL_RELEASE)/src
KERNEL_FOLDERS := kmod dsm vcpu-remote
VERSION ?= $(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)
PREFIX ?= /usr
SOURCE := $(DESTDIR)$(PREFIX)/src/dvmm-$(VERSION)
# W=1, C=1 (sparse) and the like go through to the kernel's build.
KMAKE = $(MAKE) -C $(KDIR) M=$(KBUILD_TREE) $(if $(W),W=$(W)) $(if $(C),C=$(C))

.PHONY: all modules all-modules user install install-source packages check clean help

all: modules user ## modules for one kernel (KDIR=) and the user programs

# The kernel's build system writes beside its sources: give each kernel a tree of links.
modules: ## modules for KDIR=, default the running kernel
	@test -n "$(KERNEL_RELEASE)" || { \
		echo "no kernel headers at KDIR=$(KDIR): install linux-headers for this kernel or give KDIR=" >&2; exit 1; }
	@mkdir -p $(KBUILD_TREE)
	@find $(KBUILD_TREE) -xtype l -delete
	@cp -rsuf $(CURDIR)/Kbuild $(CURDIR)/include $(addprefix $(CURDIR)/,$(KERNEL_FOLDERS)) $(KBUILD_TREE)/
	+$(KMAKE) modules
	@find $(KBUILD_TREE) -name '*.ko' -exec cp -f {} $(BUILD)/$(KERNEL_RELEASE)/ \;

all-modules: ## modules for every kernel whose headers are installed
	@set -e; for dir in /lib/modules/*/build; do \
		[ -e $$dir/include/generated/utsrelease.h ] || continue; \
		$(MAKE) --no-print-directory modules KDIR=$$dir; done

user: ## agent, CLI and library
	+$(MAKE) -C agent BUILD=$(BUILD)/user VERSION=$(VERSION) PREFIX=$(PREFIX)

install: ## programs, library, units and manual pages, under DESTDIR=, below PREFIX=
	+$(MAKE) -C agent BUILD=$(BUILD)/user VERSION=$(VERSION) PREFIX=$(PREFIX) install

# dkms builds modules from here for each kernel that comes: dkms install dvmm/VERSION
install-source: ## sources of the modules, for dkms
	rm -rf $(SOURCE)
	install -d $(SOURCE)
	cp -r Makefile Kbuild include $(KERNEL_FOLDERS) $(SOURCE)/
	sed 's/^PACKAGE_VERSION=.*/PACKAGE_VERSION="$(VERSION)"/' dkms.conf >$(SOURCE)/dkms.conf

packages: ## Debian packages, beside this folder (scripts/setup --packages first)
	dpkg-buildpackage -b -us -uc

check: ## every test
	scripts/check

clean: ## remove build/
	rm -rf $(BUILD)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16
