#include "repo/format/keyslot.h"

#include "base/err.h"
#include "base/id.h"
#include "repo/format/json.h"
#include "repo/format/limits.h"

#include <string.h>

enum {
	WRAPPED_LEN_MAX = 1 << 20
};

static const char *role_name(enum cf_key_role role)
{
	return role == CF_ROLE_FULL ? "full" : "write";
}

static const char *kind_name(enum cf_slot_kind kind)
{
	return kind == CF_SLOT_PASSPHRASE ? "passphrase" : "key-file";
}

static const char *kdf_name(enum cf_slot_kind kind)
{
	return kind == CF_SLOT_PASSPHRASE ? "argon2id" : "blake2b";
}

static json_t *open_part(const struct cf_keyslot *slot)
{
	return json_pack("{s:i, s:s, s:s, s:I, s:{s:s, s:I, s:I, s:o}}", "version", CF_FORMAT_VERSION, "role",
			 role_name(slot->role), "kind", kind_name(slot->kind), "created",
			 (json_int_t)slot->created_ns, "kdf", "name", kdf_name(slot->kind), "ops",
			 (json_int_t)slot->ops, "memory", (json_int_t)slot->memory, "salt",
			 cf_json_from_hex(slot->salt, sizeof(slot->salt)));
}

static int encode(json_t *doc, struct cf_buf *out, struct cf_err *err)
{
	int rc = cf_json_encode(doc, out, err);

	json_decref(doc);
	return rc;
}

int cf_keyslot_encode_open_part(const struct cf_keyslot *slot, struct cf_buf *out, struct cf_err *err)
{
	return encode(open_part(slot), out, err);
}

int cf_keyslot_encode(const struct cf_keyslot *slot, struct cf_buf *out, struct cf_err *err)
{
	json_t *doc = open_part(slot);
	json_t *wrapped = json_pack("{s:o, s:o}", "nonce", cf_json_from_hex(slot->nonce, sizeof(slot->nonce)), "data",
				    cf_json_from_hex(slot->wrapped.data, slot->wrapped.len));

	if (json_object_set_new(doc, "wrapped", wrapped) < 0) {
		json_decref(doc);
		return cf_err_nomem(err);
	}
	return encode(doc, out, err);
}

static bool kind_from_json(const json_t *doc, const json_t *kdf, struct cf_keyslot *slot)
{
	const char *role, *kind, *name;

	if (!cf_json_text(doc, "role", &role) || !cf_json_text(doc, "kind", &kind) ||
	    !cf_json_text(kdf, "name", &name))
		return false;
	slot->role = strcmp(role, "full") == 0 ? CF_ROLE_FULL : CF_ROLE_WRITE;
	slot->kind = strcmp(kind, "passphrase") == 0 ? CF_SLOT_PASSPHRASE : CF_SLOT_KEY_FILE;
	return strcmp(role, role_name(slot->role)) == 0 && strcmp(kind, kind_name(slot->kind)) == 0 &&
	       strcmp(name, kdf_name(slot->kind)) == 0;
}

static int senseless(struct cf_err *err)
{
	return cf_err_set(err, CF_ERR_DAMAGED, "lacks a field, or holds one that makes no sense");
}

static int wrapped_from_json(const json_t *wrapped, struct cf_keyslot *slot, struct cf_err *err)
{
	const char *data;
	size_t len;
	int rc;

	if (!cf_json_hex(wrapped, "nonce", slot->nonce, sizeof(slot->nonce)) ||
	    !cf_json_text(wrapped, "data", &data))
		return senseless(err);
	len = strlen(data) / 2;
	if (len < CF_TAG_LEN || len > WRAPPED_LEN_MAX)
		return senseless(err);
	rc = cf_buf_resize(&slot->wrapped, len, err);
	if (rc == 0 && !cf_hex_decode(data, slot->wrapped.data, len))
		rc = senseless(err);
	return rc;
}

static int from_json(const json_t *doc, struct cf_keyslot *slot, struct cf_err *err)
{
	const json_t *kdf = json_object_get(doc, "kdf");
	int64_t version, ops, memory;

	if (!cf_json_int(doc, "version", 1, INT32_MAX, &version))
		return cf_err_set(err, CF_ERR_DAMAGED, "has no version");
	if (version > CF_FORMAT_VERSION)
		return cf_err_set(err, CF_ERR_UNSUPPORTED, "has format %lld: use a newer coffer",
				  (long long)version);
	if (!kind_from_json(doc, kdf, slot))
		return cf_err_set(err, CF_ERR_DAMAGED, "is of no known kind");
	if (!cf_json_int(doc, "created", INT64_MIN, INT64_MAX, &slot->created_ns) ||
	    !cf_json_int(kdf, "ops", 0, CF_SLOT_OPS_MAX, &ops) ||
	    !cf_json_int(kdf, "memory", 0, (int64_t)CF_SLOT_MEMORY_MAX, &memory) ||
	    !cf_json_hex(kdf, "salt", slot->salt, sizeof(slot->salt)))
		return senseless(err);
	slot->ops = (uint64_t)ops;
	slot->memory = (uint64_t)memory;
	return wrapped_from_json(json_object_get(doc, "wrapped"), slot, err);
}

int cf_keyslot_decode(struct cf_span in, struct cf_keyslot *slot_out, struct cf_err *err)
{
	struct cf_keyslot slot = {.wrapped = CF_BUF_INIT};
	json_t *doc = NULL;
	int rc = cf_json_decode(in, &doc, err);

	if (rc < 0)
		return rc;
	rc = from_json(doc, &slot, err);
	json_decref(doc);
	if (rc < 0) {
		cf_keyslot_release(&slot);
		return rc;
	}
	*slot_out = slot;
	return 0;
}

void cf_keyslot_release(struct cf_keyslot *slot)
{
	cf_buf_release(&slot->wrapped);
}
