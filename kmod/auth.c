// SPDX-License-Identifier: GPL-2.0-only
/* kmod/auth.c - the proof that a peer knows the cluster key (layout: dvmm/wire.h).
 * When to ask for it, and what to do about it, is in conn.c.
 */
#include <crypto/algapi.h>
#include <crypto/hash.h>
#include "internal.h"

int auth_mac(struct identity *self, char role, const struct dvmm_msg_hello *prover,
	     const struct dvmm_msg_hello *verifier, u8 *out_mac)
{
	SHASH_DESC_ON_STACK(desc, self->key);
	int err;

	desc->tfm = self->key;
	err = crypto_shash_init(desc) ?:
	      crypto_shash_update(desc, "dvmm1", 5) ?:
	      crypto_shash_update(desc, &role, 1) ?:
	      crypto_shash_update(desc, (const u8 *)prover, sizeof(*prover)) ?:
	      crypto_shash_update(desc, (const u8 *)verifier, sizeof(*verifier)) ?:
	      crypto_shash_final(desc, out_mac);
	shash_desc_zero(desc);
	return err;
}

bool auth_check(struct identity *self, char role, const struct dvmm_msg_hello *prover,
		const struct dvmm_msg_hello *verifier, const u8 *mac)
{
	u8 want[DVMM_MAC_SIZE];

	if (auth_mac(self, role, prover, verifier, want))
		return false;
	return !crypto_memneq(mac, want, sizeof(want));
}
