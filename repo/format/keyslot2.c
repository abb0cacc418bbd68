#include "repo/format/keyslot2.h"

#include "base/err.h"
#include "base/id.h"
#include "repo/format/json.h"

#include <stdlib.h>
#include <string.h>

enum { VERSION = 2, KEYRING_LEN_MAX = 1 << 20, WRAPPED_LEN_MAX = 64 << 10, ABOUT_LEN_MAX = 64 << 10 };

static const char *const kind_names[] = {
	[CF_SLOT_PASSPHRASE] = "passphrase", [CF_SLOT_KEY_FILE] = "key-file", [CF_SLOT_COMMAND] = "command"};

static const char *role_name(enum cf_key_role role)
{
	return role == CF_ROLE_FULL ? "full" : "write";
}

static const char *kdf_name(enum cf_slot_kind kind)
{
	return kind == CF_SLOT_PASSPHRASE ? "argon2id" : "blake2b";
}

static json_t *buf_hex(const struct cf_buf *buf)
{
	return cf_json_from_hex(buf->data, buf->len);
}

static json_t *fixed_part(const struct cf_keyslot2 *slot)
{
	return json_pack("{s:i, s:o, s:s, s:s, s:I, s:{s:s, s:I, s:I, s:o}, s:o, s:o}", "version", VERSION,
			 "id", cf_json_from_hex(slot->id, sizeof(slot->id)), "role", role_name(slot->role),
			 "kind", kind_names[slot->kind], "created", (json_int_t)slot->created_ns, "kdf",
			 "name", kdf_name(slot->kind), "ops", (json_int_t)slot->ops, "memory",
			 (json_int_t)slot->memory, "salt", cf_json_from_hex(slot->salt, sizeof(slot->salt)),
			 "wrapped", buf_hex(&slot->wrapped), "public",
			 cf_json_from_hex(slot->public_key, sizeof(slot->public_key)));
}

static json_t *epoch_list(const struct cf_keyslot2 *slot)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < slot->n_epochs; i++) {
		if (json_array_append_new(list, json_integer(slot->epochs[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *unsigned_part(const struct cf_keyslot2 *slot)
{
	json_t *doc = fixed_part(slot), *rest;

	rest = json_pack("{s:{s:o, s:o}, s:{s:o, s:o}, s:o, s:o}", "secret", "nonce",
			 cf_json_from_hex(slot->secret_nonce, sizeof(slot->secret_nonce)), "data",
			 cf_json_from_hex(slot->secret, sizeof(slot->secret)), "about", "nonce",
			 cf_json_from_hex(slot->about_nonce, sizeof(slot->about_nonce)), "data",
			 buf_hex(&slot->about), "epochs", epoch_list(slot), "keyring",
			 buf_hex(&slot->keyring));
	if (!doc || !rest || json_object_update(doc, rest) < 0) {
		json_decref(doc);
		doc = NULL;
	}
	json_decref(rest);
	return doc;
}

/* Takes the document. */
static int encode(json_t *doc, struct cf_buf *out, struct cf_err *err)
{
	int rc = doc ? cf_json_encode(doc, out, err) : cf_err_nomem(err);

	json_decref(doc);
	return rc;
}

int cf_keyslot2_encode_fixed(const struct cf_keyslot2 *slot, struct cf_buf *out, struct cf_err *err)
{
	return encode(fixed_part(slot), out, err);
}

int cf_keyslot2_encode_unsigned(const struct cf_keyslot2 *slot, struct cf_buf *out, struct cf_err *err)
{
	return encode(unsigned_part(slot), out, err);
}

int cf_keyslot2_encode(const struct cf_keyslot2 *slot, struct cf_buf *out, struct cf_err *err)
{
	json_t *doc = unsigned_part(slot);

	if (json_object_set_new(doc, "signature",
				cf_json_from_hex(slot->signature, sizeof(slot->signature))) < 0) {
		json_decref(doc);
		return cf_err_nomem(err);
	}
	return encode(doc, out, err);
}

static int senseless(struct cf_err *err)
{
	return cf_err_set(err, CF_ERR_DAMAGED, "lacks a field, or holds one that makes no sense");
}

static bool kind_from_json(const json_t *doc, const json_t *kdf, struct cf_keyslot2 *slot)
{
	const char *role, *kind, *name;

	if (!cf_json_text(doc, "role", &role) || !cf_json_text(doc, "kind", &kind) ||
	    !cf_json_text(kdf, "name", &name))
		return false;
	slot->role = strcmp(role, "full") == 0 ? CF_ROLE_FULL : CF_ROLE_WRITE;
	slot->kind = CF_SLOT_PASSPHRASE;
	for (int i = CF_SLOT_PASSPHRASE; i <= CF_SLOT_COMMAND; i++)
		if (strcmp(kind, kind_names[i]) == 0)
			slot->kind = (enum cf_slot_kind)i;
	return strcmp(role, role_name(slot->role)) == 0 && strcmp(kind, kind_names[slot->kind]) == 0 &&
	       strcmp(name, kdf_name(slot->kind)) == 0;
}

static int bytes_from_json(const json_t *object, const char *key, size_t min, size_t max, struct cf_buf *out,
			   struct cf_err *err)
{
	const char *hex;
	size_t len;
	int rc;

	if (!cf_json_text(object, key, &hex))
		return senseless(err);
	len = strlen(hex) / 2;
	if (len < min || len > max)
		return senseless(err);
	rc = cf_buf_resize(out, len, err);
	if (rc == 0 && !cf_hex_decode(hex, out->data, len))
		rc = senseless(err);
	return rc;
}

static int epochs_from_json(const json_t *list, struct cf_keyslot2 *slot, struct cf_err *err)
{
	size_t n = json_array_size(list);

	if (n == 0 || n > CF_EPOCHS_MAX)
		return senseless(err);
	slot->epochs = calloc(n, sizeof(*slot->epochs));
	if (!slot->epochs)
		return cf_err_nomem(err);
	for (size_t i = 0; i < n; i++) {
		const json_t *item = json_array_get(list, i);
		json_int_t number = json_integer_value(item);

		if (!json_is_integer(item) || number < 0 || number > UINT32_MAX ||
		    (i > 0 && number <= slot->epochs[i - 1]))
			return senseless(err);
		slot->epochs[i] = (uint32_t)number;
		slot->n_epochs++;
	}
	return 0;
}

static int fixed_from_json(const json_t *doc, struct cf_keyslot2 *slot, struct cf_err *err)
{
	const json_t *kdf = json_object_get(doc, "kdf");
	int64_t ops, memory;

	if (!kind_from_json(doc, kdf, slot))
		return cf_err_set(err, CF_ERR_DAMAGED, "is of no known kind");
	if (!cf_json_hex(doc, "id", slot->id, sizeof(slot->id)) ||
	    !cf_json_int(doc, "created", INT64_MIN, INT64_MAX, &slot->created_ns) ||
	    !cf_json_int(kdf, "ops", 0, CF_SLOT_OPS_MAX, &ops) ||
	    !cf_json_int(kdf, "memory", 0, (int64_t)CF_SLOT_MEMORY_MAX, &memory) ||
	    !cf_json_hex(kdf, "salt", slot->salt, sizeof(slot->salt)) ||
	    !cf_json_hex(doc, "public", slot->public_key, sizeof(slot->public_key)))
		return senseless(err);
	slot->ops = (uint64_t)ops;
	slot->memory = (uint64_t)memory;
	return bytes_from_json(doc, "wrapped", 0, WRAPPED_LEN_MAX, &slot->wrapped, err);
}

static int from_json(const json_t *doc, struct cf_keyslot2 *slot, struct cf_err *err)
{
	const json_t *secret = json_object_get(doc, "secret"), *about = json_object_get(doc, "about");
	int64_t version;
	int rc;

	if (!cf_json_int(doc, "version", VERSION, INT32_MAX, &version))
		return cf_err_set(err, CF_ERR_DAMAGED, "has no version");
	if (version > VERSION)
		return cf_err_set(err, CF_ERR_UNSUPPORTED, "has format %lld: use a newer coffer",
				  (long long)version);
	rc = fixed_from_json(doc, slot, err);
	if (rc < 0)
		return rc;
	if (!cf_json_hex(secret, "nonce", slot->secret_nonce, sizeof(slot->secret_nonce)) ||
	    !cf_json_hex(secret, "data", slot->secret, sizeof(slot->secret)) ||
	    !cf_json_hex(about, "nonce", slot->about_nonce, sizeof(slot->about_nonce)) ||
	    !cf_json_hex(doc, "signature", slot->signature, sizeof(slot->signature)))
		return senseless(err);
	rc = bytes_from_json(about, "data", CF_TAG_LEN, ABOUT_LEN_MAX, &slot->about, err);
	if (rc == 0)
		rc = bytes_from_json(doc, "keyring", CF_SLOT_BOX_LEN, KEYRING_LEN_MAX, &slot->keyring, err);
	return rc == 0 ? epochs_from_json(json_object_get(doc, "epochs"), slot, err) : rc;
}

int cf_keyslot2_decode(struct cf_span in, struct cf_keyslot2 *slot_out, struct cf_err *err)
{
	struct cf_keyslot2 slot = {.wrapped = CF_BUF_INIT, .about = CF_BUF_INIT, .keyring = CF_BUF_INIT};
	json_t *doc = NULL;
	int rc = cf_json_decode(in, &doc, err);

	if (rc < 0)
		return rc;
	rc = from_json(doc, &slot, err);
	json_decref(doc);
	if (rc < 0) {
		cf_keyslot2_release(&slot);
		return rc;
	}
	*slot_out = slot;
	return 0;
}

void cf_keyslot2_release(struct cf_keyslot2 *slot)
{
	cf_buf_release(&slot->wrapped);
	cf_buf_release(&slot->about);
	cf_buf_release(&slot->keyring);
	free(slot->epochs);
	slot->epochs = NULL;
	slot->n_epochs = 0;
}

unsigned cf_keyslot_version(struct cf_span in)
{
	json_t *doc = NULL;
	int64_t version = 0;

	if (cf_json_decode(in, &doc, NULL) < 0)
		return 0;
	if (!cf_json_int(doc, "version", 1, INT32_MAX, &version))
		version = 0;
	json_decref(doc);
	return (unsigned)version;
}

int cf_slot_about_encode(const struct cf_slot_about *about, struct cf_buf *out, struct cf_err *err)
{
	return encode(json_pack("{s:s, s:s, s:s}", "host", about->host, "user", about->user, "comment",
				about->comment),
		      out, err);
}

/* Copies of three texts, one behind the other in one block. */
static int own_texts(const char *const texts[3], struct cf_slot_about *about_out, struct cf_err *err)
{
	size_t len[3] = {strlen(texts[0]) + 1, strlen(texts[1]) + 1, strlen(texts[2]) + 1};
	char *block = malloc(len[0] + len[1] + len[2]);

	if (!block)
		return cf_err_nomem(err);
	memcpy(block, texts[0], len[0]);
	memcpy(block + len[0], texts[1], len[1]);
	memcpy(block + len[0] + len[1], texts[2], len[2]);
	*about_out = (struct cf_slot_about){
		.host = block, .user = block + len[0], .comment = block + len[0] + len[1], .owned = block};
	return 0;
}

int cf_slot_about_decode(struct cf_span in, struct cf_slot_about *about_out, struct cf_err *err)
{
	const char *texts[3];
	json_t *doc = NULL;
	int rc = cf_json_decode(in, &doc, err);

	if (rc < 0)
		return rc;
	if (cf_json_text(doc, "host", &texts[0]) && cf_json_text(doc, "user", &texts[1]) &&
	    cf_json_text(doc, "comment", &texts[2]))
		rc = own_texts(texts, about_out, err);
	else
		rc = senseless(err);
	json_decref(doc);
	return rc;
}

void cf_slot_about_release(struct cf_slot_about *about)
{
	free(about->owned);
	*about = (struct cf_slot_about){0};
}
