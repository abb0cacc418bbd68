#ifndef CF_REPO_FORMAT_SEAL_H
#define CF_REPO_FORMAT_SEAL_H

/*
 * The header in clear that every sealed object begins with (docs/format.md, "Sealed objects").
 *
 *   0  4  magic "COFR"        8 16  key id, random
 *   4  1  format version     24 32  commitment: binds the object key and everything before and, in packs, behind it
 *   5  1  object type        56  4  packs: data epoch
 *   6  1  cipher             60 80  packs: pack key, sealed to the epoch's public key
 *   7  1  zero
 */

#include "base/buf.h"
#include "repo/format/limits.h"

struct cf_err;

enum cf_object_type {
	CF_OBJECT_DATA_PACK = 1,
	CF_OBJECT_TREE_PACK = 2,
	CF_OBJECT_INDEX = 3,
	CF_OBJECT_SNAPSHOT = 4,
	CF_OBJECT_FORGET = 5, /* a record of snapshots forgotten */
	CF_OBJECT_AUDIT = 6,
	CF_OBJECT_LEASE = 7,
	CF_OBJECT_INTENT = 8,
	CF_OBJECT_TOMB = 9,
	CF_OBJECT_QUARANTINE = 10,
	CF_OBJECT_KEY_REMOVAL = 11, /* a record of a key slot removed */
	CF_OBJECT_TYPE_MAX = CF_OBJECT_KEY_REMOVAL
};

#define CF_KEY_ID_LEN	   16
#define CF_COMMITMENT_LEN  32
#define CF_SEALED_KEY_LEN  80
#define CF_SEAL_HEADER_LEN 56
#define CF_PACK_HEADER_LEN 140

struct cf_seal_header {
	enum cf_object_type type;
	uint8_t cipher;
	uint8_t key_id[CF_KEY_ID_LEN];
	uint8_t commitment[CF_COMMITMENT_LEN];
	uint32_t epoch;				   /* packs */
	uint8_t sealed_key[CF_SEALED_KEY_LEN]; /* packs */
};

/* CF_SEAL_HEADER_LEN or, for packs, CF_PACK_HEADER_LEN. */
size_t cf_seal_header_len(enum cf_object_type type);
void cf_seal_header_encode(const struct cf_seal_header *header, uint8_t *out);

/* CF_ERR_DAMAGED; CF_ERR_UNSUPPORTED for a newer format. in: at least the header's length. */
int cf_seal_header_decode(struct cf_span in, struct cf_seal_header *header_out, struct cf_err *err);

#endif
