#include "repo/format/seal.h"

#include "base/err.h"
#include "base/le.h"

static const uint8_t magic[4] = {'C', 'O', 'F', 'R'};

static bool is_pack(enum cf_object_type type)
{
	return type == CF_OBJECT_DATA_PACK || type == CF_OBJECT_TREE_PACK;
}

size_t cf_seal_header_len(enum cf_object_type type)
{
	return is_pack(type) ? CF_PACK_HEADER_LEN : CF_SEAL_HEADER_LEN;
}

void cf_seal_header_encode(const struct cf_seal_header *header, uint8_t *out)
{
	memcpy(out, magic, sizeof(magic));
	out[4] = CF_FORMAT_VERSION;
	out[5] = (uint8_t)header->type;
	out[6] = header->cipher;
	out[7] = 0;
	memcpy(out + 8, header->key_id, CF_KEY_ID_LEN);
	memcpy(out + 24, header->commitment, CF_COMMITMENT_LEN);
	if (is_pack(header->type)) {
		cf_le32_put(out + 56, header->epoch);
		memcpy(out + 60, header->sealed_key, CF_SEALED_KEY_LEN);
	}
}

int cf_seal_header_decode(struct cf_span in, struct cf_seal_header *header_out, struct cf_err *err)
{
	struct cf_cursor c = cf_cursor_of(in);
	const uint8_t *found = cf_cursor_bytes(&c, sizeof(magic));
	uint8_t version = cf_cursor_u8(&c);
	uint8_t type = cf_cursor_u8(&c);
	struct cf_seal_header header = {.type = (enum cf_object_type)type};
	uint8_t zero;

	if (!found || memcmp(found, magic, sizeof(magic)) != 0)
		return cf_err_set(err, CF_ERR_DAMAGED, "does not begin as an object of coffer");
	if (version > CF_FORMAT_VERSION)
		return cf_err_set(err, CF_ERR_UNSUPPORTED,
				  "has format %u, this program reads up to %u: use a newer coffer", version,
				  CF_FORMAT_VERSION);
	header.cipher = cf_cursor_u8(&c);
	zero = cf_cursor_u8(&c);
	cf_cursor_copy(&c, header.key_id, CF_KEY_ID_LEN);
	cf_cursor_copy(&c, header.commitment, CF_COMMITMENT_LEN);
	if (is_pack(header.type)) {
		header.epoch = cf_cursor_u32(&c);
		cf_cursor_copy(&c, header.sealed_key, CF_SEALED_KEY_LEN);
	}
	if (!cf_cursor_ok(&c) || version == 0 || zero != 0 || type < CF_OBJECT_DATA_PACK ||
	    type > CF_OBJECT_TYPE_MAX || header.cipher < 1 || header.cipher > 3)
		return cf_err_set(err, CF_ERR_DAMAGED, "has a damaged header");
	*header_out = header;
	return 0;
}
