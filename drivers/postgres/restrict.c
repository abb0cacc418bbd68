#include "drivers/postgres/restrict.h"

#include "base/buf.h"
#include "base/digest.h"

#include <string.h>

static struct cf_pg_restrict_key key_of(const struct cf_id *id)
{
	struct cf_pg_restrict_key key;

	cf_hex_encode(id->bytes, sizeof(id->bytes), key.s);
	return key;
}

struct cf_pg_restrict_key cf_pg_restrict_random(void)
{
	struct cf_id id;

	cf_random(id.bytes, sizeof(id.bytes));
	return key_of(&id);
}

/* The first of the text at or behind off; the script's end when there is none. */
static size_t find(const struct cf_buf *script, size_t off, const char *text)
{
	const uint8_t *found = off < script->len ? memmem(script->data + off, script->len - off, text, strlen(text))
						 : NULL;

	return found ? (size_t)(found - script->data) : script->len;
}

int cf_pg_restrict_settle(struct cf_buf *script, const struct cf_pg_restrict_key *random,
			  struct cf_pg_restrict_key *key_out, struct cf_err *err)
{
	size_t len = strlen(random->s);
	struct cf_buf rest = CF_BUF_INIT;
	struct cf_id id;
	int rc = 0;

	for (size_t at = 0; rc == 0 && at < script->len;) {
		size_t end = find(script, at, random->s);

		rc = cf_buf_append(&rest, script->data + at, end - at, err);
		at = end + len;
	}
	if (rc == 0) {
		cf_digest(cf_buf_span(&rest), &id);
		*key_out = key_of(&id);
		for (size_t at = 0; (at = find(script, at, random->s)) < script->len; at += len)
			memcpy(script->data + at, key_out->s, len);
	}
	cf_buf_release(&rest);
	return rc;
}
