#include "drivers/scratch_name.h"

#include "base/buf.h"
#include "base/digest.h"
#include "base/id.h"
#include "base/le.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "coffer_verify_"

enum {
	RANDOM_LEN = 8,
	SERVER_LEN = 4,
	PROOF_LEN = 4,
	TAG_LEN = RANDOM_LEN + SERVER_LEN + PROOF_LEN,
	DIGITS_MAX = 6
};

static void digest_text(const char *text, struct cf_id *digest_out)
{
	cf_digest(cf_span_str(text), digest_out);
}

/* The last bytes of a tag, of those before. */
static void prove(const uint8_t *tag, uint8_t *proof_out)
{
	uint8_t data[sizeof(PREFIX) + RANDOM_LEN + SERVER_LEN] = PREFIX;
	struct cf_id digest;

	memcpy(data + sizeof(PREFIX), tag, RANDOM_LEN + SERVER_LEN);
	cf_digest(cf_span_of(data, sizeof(data)), &digest);
	memcpy(proof_out, digest.bytes, PROOF_LEN);
}

void cf_scratch_tag_new(const char *server, struct cf_scratch_tag *tag_out)
{
	uint8_t tag[TAG_LEN];
	struct cf_id digest;

	cf_random(tag, RANDOM_LEN);
	digest_text(server, &digest);
	memcpy(tag + RANDOM_LEN, digest.bytes, SERVER_LEN);
	prove(tag, tag + RANDOM_LEN + SERVER_LEN);
	cf_hex_encode(tag, sizeof(tag), tag_out->text);
}

uint64_t cf_scratch_tag_key(const struct cf_scratch_tag *tag)
{
	uint8_t bytes[TAG_LEN] = {0};

	cf_hex_decode(tag->text, bytes, sizeof(bytes));
	return cf_le64_get(bytes);
}

void cf_scratch_name(const struct cf_scratch_tag *tag, size_t number,
		     char name_out[CF_SCRATCH_NAME_MAX])
{
	snprintf(name_out, CF_SCRATCH_NAME_MAX, PREFIX "%s_%zu", tag->text, number);
}

static bool is_number(const char *text)
{
	size_t len = strspn(text, "0123456789");

	return len > 0 && len <= DIGITS_MAX && !text[len] && text[0] != '0';
}

enum cf_scratch_kind cf_scratch_name_parse(const char *name, const char *server,
					   struct cf_scratch_tag *tag_out)
{
	uint8_t tag[TAG_LEN], proof[PROOF_LEN];
	struct cf_id digest;

	if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
		return CF_SCRATCH_FOREIGN;
	name += strlen(PREFIX);
	if (strnlen(name, 2 * TAG_LEN + 1) <= 2 * TAG_LEN || name[2 * TAG_LEN] != '_' ||
	    !is_number(name + 2 * TAG_LEN + 1))
		return CF_SCRATCH_FOREIGN;
	snprintf(tag_out->text, sizeof(tag_out->text), "%s", name);
	if (!cf_hex_decode(tag_out->text, tag, sizeof(tag)))
		return CF_SCRATCH_FOREIGN;
	prove(tag, proof);
	if (memcmp(proof, tag + RANDOM_LEN + SERVER_LEN, PROOF_LEN) != 0)
		return CF_SCRATCH_FOREIGN;
	digest_text(server, &digest);
	return memcmp(digest.bytes, tag + RANDOM_LEN, SERVER_LEN) == 0 ? CF_SCRATCH_HERE
								       : CF_SCRATCH_ELSEWHERE;
}
