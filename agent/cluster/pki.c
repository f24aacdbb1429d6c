// SPDX-License-Identifier: GPL-2.0-or-later
/* agent/cluster/pki.c - the cluster's CA and the certificates of nodes: how they are made,
 * and who the other side of a TLS session is. What may be done with that is not known here.
 *
 * A certificate says the node's name (CN). It counts only as long as the configuration has
 * its fingerprint for that node: so a removed node is out without a revocation list.
 */
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "internal.h"

#define CURVE GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1)
#define YEAR_S (365 * 24 * 3600ll)
#define CA_YEARS 30
#define NODE_YEARS 20
/* Clocks of hosts that become a cluster may be wrong by that much. */
#define CLOCK_SLACK_S (24 * 3600)
#define SERIAL_SIZE 16

static gnutls_datum_t datum(const char *text)
{
	return (gnutls_datum_t){ (void *)text, strlen(text) };
}

/* What GnuTLS allocates is free()d by callers; they need not know whose malloc() it was. */
static int give(int err, gnutls_datum_t *data, char **ret_text)
{
	if (err < 0)
		return err;
	*ret_text = strndup((char *)data->data, data->size);
	gnutls_free(data->data);
	return *ret_text ? 0 : GNUTLS_E_MEMORY_ERROR;
}

/* ---- loading ---- */

static int load_key(const char *text, gnutls_x509_privkey_t *ret_key)
{
	gnutls_datum_t data = datum(text);
	int err = gnutls_x509_privkey_init(ret_key);

	if (err < 0)
		return err;
	err = gnutls_x509_privkey_import(*ret_key, &data, GNUTLS_X509_FMT_PEM);
	if (err < 0)
		gnutls_x509_privkey_deinit(*ret_key);
	return err;
}

static int load_cert(const char *text, gnutls_x509_crt_t *ret_cert)
{
	gnutls_datum_t data = datum(text);
	int err = gnutls_x509_crt_init(ret_cert);

	if (err < 0)
		return err;
	err = gnutls_x509_crt_import(*ret_cert, &data, GNUTLS_X509_FMT_PEM);
	if (err < 0)
		gnutls_x509_crt_deinit(*ret_cert);
	return err;
}

/* ---- making ---- */

int pki_make_key(char **ret_key)
{
	gnutls_datum_t data = { 0 };
	gnutls_x509_privkey_t key;
	int err = gnutls_x509_privkey_init(&key);

	if (err < 0)
		return err;
	err = gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, CURVE, 0);
	if (err >= 0)
		err = gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &data);
	gnutls_x509_privkey_deinit(key);
	return give(err, &data, ret_key);
}

static int set_serial(gnutls_x509_crt_t cert)
{
	uint8_t serial[SERIAL_SIZE];
	int err = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));

	serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, and as long as it looks */
	return err < 0 ? err : gnutls_x509_crt_set_serial(cert, serial, sizeof(serial));
}

/* What CA and node have in common. */
static int fill_cert(gnutls_x509_crt_t cert, const char *name, int years)
{
	time_t now = time(NULL);
	int err = gnutls_x509_crt_set_version(cert, 3);

	if (err >= 0)
		err = set_serial(cert);
	if (err >= 0)
		err = gnutls_x509_crt_set_activation_time(cert, now - CLOCK_SLACK_S);
	if (err >= 0)
		err = gnutls_x509_crt_set_expiration_time(cert, now + years * YEAR_S);
	if (err >= 0)
		err = gnutls_x509_crt_set_dn_by_oid(cert, GNUTLS_OID_X520_COMMON_NAME, 0, name,
						    strlen(name));
	return err;
}

static int fill_ca(gnutls_x509_crt_t cert, gnutls_x509_privkey_t key, const char *cluster)
{
	char name[DVMM_NAME_SIZE + 16];
	int err;

	snprintf(name, sizeof(name), "dvmm %s", cluster);
	err = fill_cert(cert, name, CA_YEARS);
	if (err >= 0)
		err = gnutls_x509_crt_set_key(cert, key);
	if (err >= 0)
		err = gnutls_x509_crt_set_basic_constraints(cert, 1, 0);
	if (err >= 0)
		err = gnutls_x509_crt_set_key_usage(cert, GNUTLS_KEY_KEY_CERT_SIGN);
	if (err >= 0)
		err = gnutls_x509_crt_sign2(cert, cert, key, GNUTLS_DIG_SHA256, 0);
	return err;
}

int pki_make_ca(const char *key_text, const char *cluster, char **ret_cert)
{
	gnutls_datum_t data = { 0 };
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t cert;
	int err = load_key(key_text, &key);

	if (err < 0)
		return err;
	err = gnutls_x509_crt_init(&cert);
	if (err < 0)
		goto free_key;
	err = fill_ca(cert, key, cluster);
	if (err >= 0)
		err = gnutls_x509_crt_export2(cert, GNUTLS_X509_FMT_PEM, &data);
	gnutls_x509_crt_deinit(cert);
free_key:
	gnutls_x509_privkey_deinit(key);
	return give(err, &data, ret_cert);
}

static int fill_request(gnutls_x509_crq_t request, gnutls_x509_privkey_t key, const char *node)
{
	int err = gnutls_x509_crq_set_version(request, 1);

	if (err >= 0)
		err = gnutls_x509_crq_set_dn_by_oid(request, GNUTLS_OID_X520_COMMON_NAME, 0, node,
						    strlen(node));
	if (err >= 0)
		err = gnutls_x509_crq_set_key(request, key);
	if (err >= 0)
		err = gnutls_x509_crq_sign2(request, key, GNUTLS_DIG_SHA256, 0);
	return err;
}

int pki_make_request(const char *key_text, const char *node, char **ret_request)
{
	gnutls_datum_t data = { 0 };
	gnutls_x509_privkey_t key;
	gnutls_x509_crq_t request;
	int err = load_key(key_text, &key);

	if (err < 0)
		return err;
	err = gnutls_x509_crq_init(&request);
	if (err < 0)
		goto free_key;
	err = fill_request(request, key, node);
	if (err >= 0)
		err = gnutls_x509_crq_export2(request, GNUTLS_X509_FMT_PEM, &data);
	gnutls_x509_crq_deinit(request);
free_key:
	gnutls_x509_privkey_deinit(key);
	return give(err, &data, ret_request);
}

/* Only its key is taken, after it has proved to have it. */
static int key_of_request(const char *text, gnutls_pubkey_t *ret_key)
{
	gnutls_datum_t data = datum(text);
	gnutls_x509_crq_t request;
	int err = gnutls_x509_crq_init(&request);

	if (err < 0)
		return err;
	err = gnutls_x509_crq_import(request, &data, GNUTLS_X509_FMT_PEM);
	if (err >= 0)
		err = gnutls_x509_crq_verify(request, 0);
	if (err >= 0)
		err = gnutls_pubkey_init(ret_key);
	if (err < 0)
		goto free_request;
	err = gnutls_pubkey_import_x509_crq(*ret_key, request, 0);
	if (err >= 0 && gnutls_pubkey_get_pk_algorithm(*ret_key, NULL) != GNUTLS_PK_ECDSA)
		err = GNUTLS_E_UNSUPPORTED_SIGNATURE_ALGORITHM;
	if (err < 0)
		gnutls_pubkey_deinit(*ret_key);
free_request:
	gnutls_x509_crq_deinit(request);
	return err;
}

static int fill_node(gnutls_x509_crt_t cert, gnutls_pubkey_t key, const char *node)
{
	int err = fill_cert(cert, node, NODE_YEARS);

	if (err >= 0)
		err = gnutls_x509_crt_set_pubkey(cert, key);
	if (err >= 0)
		err = gnutls_x509_crt_set_basic_constraints(cert, 0, -1);
	if (err >= 0)
		err = gnutls_x509_crt_set_key_usage(cert, GNUTLS_KEY_DIGITAL_SIGNATURE);
	if (err >= 0)
		err = gnutls_x509_crt_set_subject_alt_name(cert, GNUTLS_SAN_DNSNAME, node,
							   strlen(node), GNUTLS_FSAN_SET);
	if (err >= 0)
		err = gnutls_x509_crt_set_key_purpose_oid(cert, GNUTLS_KP_TLS_WWW_SERVER, 0);
	if (err >= 0)
		err = gnutls_x509_crt_set_key_purpose_oid(cert, GNUTLS_KP_TLS_WWW_CLIENT, 0);
	return err;
}

static int sign_node(gnutls_pubkey_t key, const char *node, gnutls_x509_crt_t ca,
		     gnutls_x509_privkey_t ca_key, char **ret_cert)
{
	gnutls_datum_t data = { 0 };
	gnutls_x509_crt_t cert;
	int err = gnutls_x509_crt_init(&cert);

	if (err < 0)
		return err;
	err = fill_node(cert, key, node);
	if (err >= 0)
		err = gnutls_x509_crt_sign2(cert, ca, ca_key, GNUTLS_DIG_SHA256, 0);
	if (err >= 0)
		err = gnutls_x509_crt_export2(cert, GNUTLS_X509_FMT_PEM, &data);
	gnutls_x509_crt_deinit(cert);
	return give(err, &data, ret_cert);
}

int pki_sign(const char *ca_key_text, const char *ca_text, const char *request, const char *node,
	     char **ret_cert)
{
	gnutls_x509_privkey_t ca_key;
	gnutls_x509_crt_t ca;
	gnutls_pubkey_t key;
	int err = load_key(ca_key_text, &ca_key);

	if (err < 0)
		return err;
	err = load_cert(ca_text, &ca);
	if (err < 0)
		goto free_ca_key;
	err = key_of_request(request, &key);
	if (err < 0)
		goto free_ca;
	err = sign_node(key, node, ca, ca_key, ret_cert);
	gnutls_pubkey_deinit(key);
free_ca:
	gnutls_x509_crt_deinit(ca);
free_ca_key:
	gnutls_x509_privkey_deinit(ca_key);
	return err;
}

/* ---- reading ---- */

static int name_of(gnutls_x509_crt_t cert, char ret_name[DVMM_NAME_SIZE])
{
	size_t size = DVMM_NAME_SIZE;

	return gnutls_x509_crt_get_dn_by_oid(cert, GNUTLS_OID_X520_COMMON_NAME, 0, 0, ret_name,
					     &size);
}

static int fingerprint_of(gnutls_x509_crt_t cert, uint8_t ret_fingerprint[CLUSTER_FINGERPRINT_SIZE])
{
	size_t size = CLUSTER_FINGERPRINT_SIZE;

	return gnutls_x509_crt_get_fingerprint(cert, GNUTLS_DIG_SHA256, ret_fingerprint, &size);
}

int pki_fingerprint(const char *text, uint8_t ret_fingerprint[CLUSTER_FINGERPRINT_SIZE])
{
	gnutls_x509_crt_t cert;
	int err = load_cert(text, &cert);

	if (err < 0)
		return err;
	err = fingerprint_of(cert, ret_fingerprint);
	gnutls_x509_crt_deinit(cert);
	return err;
}

int pki_node_name(const char *text, char ret_name[DVMM_NAME_SIZE])
{
	gnutls_x509_crt_t cert;
	int err = load_cert(text, &cert);

	if (err < 0)
		return err;
	err = name_of(cert, ret_name);
	gnutls_x509_crt_deinit(cert);
	return err;
}

/* The CA goes along, for who knows only its fingerprint. */
int pki_credentials(const char *ca, const char *cert, const char *key,
		    gnutls_certificate_credentials_t *ret_credentials)
{
	gnutls_datum_t ca_data = datum(ca), key_data = datum(key), chain;
	gnutls_certificate_credentials_t credentials;
	char *text;
	int err;

	if (asprintf(&text, "%s%s", cert, ca) < 0)
		return GNUTLS_E_MEMORY_ERROR;
	chain = datum(text);
	err = gnutls_certificate_allocate_credentials(&credentials);
	if (err < 0)
		goto free_text;
	err = gnutls_certificate_set_x509_trust_mem(credentials, &ca_data, GNUTLS_X509_FMT_PEM);
	if (err >= 0)
		err = gnutls_certificate_set_x509_key_mem2(credentials, &chain, &key_data,
							   GNUTLS_X509_FMT_PEM, NULL, 0);
	if (err < 0)
		gnutls_certificate_free_credentials(credentials);
	else
		*ret_credentials = credentials;
free_text:
	free(text);
	return err < 0 ? err : 0;
}

/* ---- who is there? ---- */

bool pki_has_shown_none(gnutls_session_t tls)
{
	unsigned int nr = 0;

	return !gnutls_certificate_get_peers(tls, &nr) || !nr;
}

static int fail_status(unsigned int status, struct cluster_error *error)
{
	gnutls_datum_t text = { 0 };

	gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0);
	cluster_fail(error, RPC_DENIED, "wrong certificate: %s",
		     text.data ? (char *)text.data : "it is not of this cluster");
	gnutls_free(text.data);
	return -1;
}

static int check_chain(gnutls_session_t tls, struct cluster_error *error)
{
	unsigned int status = 0;
	int err;

	if (pki_has_shown_none(tls))
		return cluster_fail(error, RPC_DENIED, "no certificate of this cluster");
	err = gnutls_certificate_verify_peers2(tls, &status);
	if (err < 0)
		return cluster_fail(error, RPC_DENIED, "wrong certificate: %s",
				    gnutls_strerror(err));
	return status ? fail_status(status, error) : 0;
}

static int load_peer(gnutls_session_t tls, bool want_last, gnutls_x509_crt_t *ret_cert)
{
	unsigned int nr = 0;
	const gnutls_datum_t *list = gnutls_certificate_get_peers(tls, &nr);
	int err = nr ? gnutls_x509_crt_init(ret_cert) : GNUTLS_E_NO_CERTIFICATE_FOUND;

	if (err < 0)
		return err;
	err = gnutls_x509_crt_import(*ret_cert, &list[want_last ? nr - 1 : 0], GNUTLS_X509_FMT_DER);
	if (err < 0)
		gnutls_x509_crt_deinit(*ret_cert);
	return err;
}

const struct cluster_member *pki_check_member(gnutls_session_t tls,
					      const struct cluster_config *config,
					      struct cluster_error *error)
{
	uint8_t fingerprint[CLUSTER_FINGERPRINT_SIZE] = { 0 };
	const struct cluster_member *member;
	char name[DVMM_NAME_SIZE] = "";
	gnutls_x509_crt_t cert;

	if (check_chain(tls, error))
		return NULL;
	if (load_peer(tls, false, &cert) < 0) {
		cluster_fail(error, RPC_DENIED, "wrong certificate: it cannot be read");
		return NULL;
	}
	if (name_of(cert, name) < 0 || fingerprint_of(cert, fingerprint) < 0)
		*name = '\0';
	gnutls_x509_crt_deinit(cert);
	member = cluster_member_find(config, name);
	if (member && !memcmp(member->cert, fingerprint, sizeof(fingerprint)))
		return member;
	cluster_fail(error, RPC_DENIED,
		     member ? "wrong certificate: node %s has another one now" :
			      "node %s is no member of the cluster (any more)",
		     name);
	return NULL;
}

/* ---- what a token and an answer to it are worth ---- */

/* @leaf is signed by @ca, and for what we use it. */
static int check_signed(gnutls_x509_crt_t leaf, gnutls_x509_crt_t ca, struct cluster_error *error)
{
	gnutls_typed_vdata_st purpose = { .type = GNUTLS_DT_KEY_PURPOSE_OID,
					  .data = (void *)GNUTLS_KP_TLS_WWW_SERVER };
	gnutls_x509_trust_list_t trusted;
	unsigned int status = 0;
	int err = gnutls_x509_trust_list_init(&trusted, 0);

	if (err >= 0) {
		err = gnutls_x509_trust_list_add_cas(trusted, &ca, 1, 0);
		if (err >= 0)
			err = gnutls_x509_trust_list_verify_crt2(trusted, &leaf, 1, &purpose, 1, 0,
								 &status, NULL);
		gnutls_x509_trust_list_deinit(trusted, 0);
	}
	if (err < 0)
		return cluster_fail(error, RPC_DENIED, "wrong certificate: %s",
				    gnutls_strerror(err));
	return status ? fail_status(status, error) : 0;
}

static char *export_cert(gnutls_x509_crt_t cert)
{
	gnutls_datum_t data = { 0 };
	char *text = NULL;

	give(gnutls_x509_crt_export2(cert, GNUTLS_X509_FMT_PEM, &data), &data, &text);
	return text;
}

char *pki_check_token(gnutls_session_t tls, const uint8_t wanted[CLUSTER_FINGERPRINT_SIZE],
		      struct cluster_error *error)
{
	uint8_t fingerprint[CLUSTER_FINGERPRINT_SIZE] = { 0 };
	gnutls_x509_crt_t leaf, ca;
	char *text = NULL;

	cluster_fail(
		error, RPC_DENIED,
		"wrong certificate: who answers there is not who made the token; is somebody in between?");
	if (load_peer(tls, false, &leaf) < 0)
		return NULL;
	if (load_peer(tls, true, &ca) < 0)
		goto free_leaf;
	if (fingerprint_of(ca, fingerprint) >= 0 &&
	    !memcmp(fingerprint, wanted, sizeof(fingerprint)) && !check_signed(leaf, ca, error))
		text = export_cert(ca);
	gnutls_x509_crt_deinit(ca);
free_leaf:
	gnutls_x509_crt_deinit(leaf);
	return text;
}

static bool same_key(gnutls_x509_crt_t cert, const char *key_text)
{
	uint8_t of_cert[64], of_key[64];
	size_t cert_size = sizeof(of_cert), key_size = sizeof(of_key);
	gnutls_x509_privkey_t key;
	bool is_same;

	if (load_key(key_text, &key) < 0)
		return false;
	is_same = gnutls_x509_crt_get_key_id(cert, GNUTLS_KEYID_USE_SHA256, of_cert, &cert_size) >=
			  0 &&
		  gnutls_x509_privkey_get_key_id(key, GNUTLS_KEYID_USE_SHA256, of_key, &key_size) >=
			  0 &&
		  cert_size == key_size && !memcmp(of_cert, of_key, key_size);
	gnutls_x509_privkey_deinit(key);
	return is_same;
}

int pki_check_own(const char *ca_text, const char *cert_text, const char *key, const char *node)
{
	struct cluster_error ignored;
	char name[DVMM_NAME_SIZE] = "";
	gnutls_x509_crt_t ca, cert;
	int err = load_cert(ca_text, &ca);

	if (err < 0)
		return err;
	err = load_cert(cert_text, &cert);
	if (err < 0)
		goto free_ca;
	if (name_of(cert, name) < 0 || strcmp(name, node) || !same_key(cert, key) ||
	    check_signed(cert, ca, &ignored))
		err = GNUTLS_E_CERTIFICATE_ERROR;
	gnutls_x509_crt_deinit(cert);
free_ca:
	gnutls_x509_crt_deinit(ca);
	return err;
}
