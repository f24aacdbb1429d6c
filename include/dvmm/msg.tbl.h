/* SPDX-License-Identifier: GPL-2.0-only */
/* include/dvmm/msg.tbl.h - messages between nodes.
 * MSG(name, number, service, payload bytes without a tail, what it says)
 * A message may carry a tail of variable length only if its payload says so in
 * a field; the service checks that. Numbers of a service: KMOD 0x00.., DSM
 * 0x100.., VCPU 0x200..
 */
MSG(HELLO, 0x01, KMOD, sizeof(struct dvmm_msg_hello), "Who I am, and a challenge")
MSG(PROOF, 0x02, KMOD, sizeof(struct dvmm_msg_proof), "Answer to the challenge")
MSG(REFUSE, 0x03, KMOD, sizeof(struct dvmm_msg_refuse), "No link, and why")
MSG(HEARTBEAT, 0x04, KMOD, 0, "I am here; returns credits")
MSG(CLOCK, 0x05, KMOD, sizeof(struct dvmm_msg_clock), "Clock measurement (request and reply)")
MSG(BYE, 0x06, KMOD, 0, "I close this link as asked")
MSG(REPLY, 0x07, KMOD, 0, "Answer to the request of the same number; any tail")

MSG(MEM_PROTO, 0x100, DSM, sizeof(struct dvmm_msg_mem), "A coherence message that is not a page (dsm/proto.h)")
MSG(MEM_ADD, 0x101, DSM, sizeof(struct dvmm_msg_mem_add), "A new memory object (request)")
MSG(MEM_LOSS, 0x102, DSM, sizeof(struct dvmm_msg_mem_loss), "A node is lost: I have done this step")
MSG(MEM_HELD, 0x103, DSM, sizeof(struct dvmm_msg_mem_held), "After a loss: what I hold of your pages (request)")
MSG(MEM_FREEZE, 0x110, DSM, sizeof(struct dvmm_msg_home), "Home of this extent: give its directory away (request)")
MSG(MEM_INSTALL, 0x111, DSM, sizeof(struct dvmm_msg_home), "You become home of this extent (request)")
MSG(MEM_HOME, 0x112, DSM, sizeof(struct dvmm_msg_home), "The home of this extent is now there (request)")
MSG(MEM_BATCH, 0x104, DSM, 2 * sizeof(struct dvmm_msg_mem), "Coherence messages of one VM that do not depend on each other")

MSG(SLICE_START, 0x200, VCPU, sizeof(struct dvmm_msg_slice_start), "Start a slice of my VM (request)")
MSG(VM_STOP, 0x201, VCPU, sizeof(struct dvmm_msg_vm_stop), "This VM ends or is dead, and why")
MSG(VM_IOCTL, 0x202, VCPU, sizeof(struct dvmm_msg_ioctl), "Do this KVM ioctl in your slice (request)")
MSG(MEMSLOT, 0x203, VCPU, sizeof(struct dvmm_msg_memslot), "Set this memslot in your slice (request)")
MSG(VCPU_CREATE, 0x204, VCPU, sizeof(struct dvmm_msg_vcpu), "Create this vCPU (request)")
MSG(VCPU_IOCTL, 0x205, VCPU, sizeof(struct dvmm_msg_ioctl), "Do this KVM ioctl on this vCPU (request)")
MSG(VCPU_RUN, 0x206, VCPU, sizeof(struct dvmm_msg_run), "Run this vCPU")
MSG(VCPU_EXIT, 0x207, VCPU, sizeof(struct dvmm_msg_run), "This vCPU left KVM_RUN")
MSG(VCPU_KICK, 0x208, VCPU, sizeof(struct dvmm_msg_vcpu), "Make this vCPU leave KVM_RUN")
MSG(APIC, 0x209, VCPU, sizeof(struct dvmm_msg_apic), "An APIC message for vCPUs of the receiver")
MSG(VCPU_SAVE, 0x20a, VCPU, sizeof(struct dvmm_msg_vcpu), "Tell the state of this vCPU, which does not run (request)")
MSG(VCPU_LOAD, 0x20b, VCPU, sizeof(struct dvmm_msg_state), "This vCPU, with this state, lives at the receiver from now on (request)")
MSG(VCPU_MOVED, 0x20c, VCPU, sizeof(struct dvmm_msg_moved), "This vCPU lives there from now on")
MSG(VCPU_FENCE, 0x20d, VCPU, sizeof(struct dvmm_msg_vcpu), "No interrupt for this vCPU comes to you from me after this")
MSG(VCPU_LEFT, 0x20e, VCPU, sizeof(struct dvmm_msg_vcpu), "Send on what has come late for this vCPU, and switch it off (request)")
MSG(VM_JOIN, 0x210, VCPU, sizeof(struct dvmm_msg_join), "This node gets a part in the VM (request)")
MSG(SLICE_EMPTY, 0x20f, VCPU, sizeof(struct dvmm_msg_empty), "Put all memory of the VM away that has its home elsewhere (request)")
