#include "repo/format/config.h"

#include "base/err.h"
#include "base/id.h"
#include "chunker/chunker.h"
#include "repo/format/json.h"
#include "repo/repo.h"

#include <string.h>

static const char *const operations[] = {"check", "delete", "read", "write"};

static json_t *body_to_json(const struct cf_config *config)
{
	json_t *features = json_object();

	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		json_object_set_new(features, operations[i], json_array());
	return json_pack("{s:i, s:o, s:I, s:s, s:{s:s, s:I, s:I, s:I}, s:o}", "version", CF_FORMAT_VERSION,
			 "id", cf_json_from_hex(config->repo_id, CF_REPO_ID_LEN), "created",
			 (json_int_t)config->created_ns, "cipher",
			 cf_cipher_name((enum cf_cipher)config->cipher), "chunker", "kind",
			 cf_chunker_name(config->chunker), "min", (json_int_t)config->min, "nominal",
			 (json_int_t)config->nominal, "max", (json_int_t)config->max, "features", features);
}

int cf_config_encode_body(struct cf_config *config, struct cf_err *err)
{
	json_t *body = body_to_json(config);
	int rc;

	cf_buf_clear(&config->body);
	rc = cf_json_encode(body, &config->body, err);
	json_decref(body);
	return rc;
}

int cf_config_encode(const struct cf_config *config, struct cf_buf *out, struct cf_err *err)
{
	json_t *doc = json_pack("{s:o, s:o}", "body", body_to_json(config), "tag",
				cf_json_from_hex(config->tag, sizeof(config->tag)));
	int rc = cf_json_encode(doc, out, err);

	json_decref(doc);
	return rc;
}

static int check_features(const json_t *body, struct cf_err *err)
{
	const json_t *features = json_object_get(body, "features");

	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		const json_t *list = json_object_get(features, operations[i]);

		if (!json_is_array(list))
			return cf_err_set(err, CF_ERR_DAMAGED, "lists no features");
		if (json_array_size(list) > 0) {
			const char *name = json_string_value(json_array_get(list, 0));

			return cf_err_set(err, CF_ERR_UNSUPPORTED,
					  "needs the feature \"%s\" to %s, which this program lacks: use a newer coffer",
					  name ? name : "?", operations[i]);
		}
	}
	return 0;
}

static bool chunker_from_json(const json_t *body, struct cf_config *config)
{
	const json_t *chunker = json_object_get(body, "chunker");
	int64_t min, nominal, max;
	const char *kind;

	if (!cf_json_text(chunker, "kind", &kind) || !cf_chunker_parse(kind, &config->chunker) ||
	    !cf_json_int(chunker, "min", 64, CF_CHUNK_LEN_MAX, &min) ||
	    !cf_json_int(chunker, "nominal", min, CF_CHUNK_LEN_MAX, &nominal) ||
	    !cf_json_int(chunker, "max", nominal, CF_CHUNK_LEN_MAX, &max))
		return false;
	config->min = (uint32_t)min;
	config->nominal = (uint32_t)nominal;
	config->max = (uint32_t)max;
	return true;
}

static int body_from_json(const json_t *body, struct cf_config *config, struct cf_err *err)
{
	int64_t version;
	const char *text;
	enum cf_cipher cipher;
	int rc;

	if (!cf_json_int(body, "version", 1, INT32_MAX, &version))
		return cf_err_set(err, CF_ERR_DAMAGED, "has no version");
	if (version > CF_FORMAT_VERSION)
		return cf_err_set(err, CF_ERR_UNSUPPORTED,
				  "has format %lld, this program knows up to %d: use a newer coffer",
				  (long long)version, CF_FORMAT_VERSION);
	rc = check_features(body, err);
	if (rc < 0)
		return rc;
	if (!cf_json_hex(body, "id", config->repo_id, CF_REPO_ID_LEN) ||
	    !cf_json_int(body, "created", INT64_MIN, INT64_MAX, &config->created_ns) ||
	    !cf_json_text(body, "cipher", &text) || !cf_cipher_parse(text, &cipher) ||
	    !chunker_from_json(body, config))
		return cf_err_set(err, CF_ERR_DAMAGED, "lacks a field, or holds one that makes no sense");
	config->cipher = cipher;
	return 0;
}

int cf_config_decode(struct cf_span in, struct cf_config *config_out, struct cf_err *err)
{
	struct cf_config config = {.body = CF_BUF_INIT};
	json_t *doc = NULL;
	const json_t *body;
	int rc = cf_json_decode(in, &doc, err);

	if (rc < 0)
		return rc;
	body = json_object_get(doc, "body");
	rc = body_from_json(body, &config, err);
	if (rc == 0 && !cf_json_hex(doc, "tag", config.tag, sizeof(config.tag)))
		rc = cf_err_set(err, CF_ERR_DAMAGED, "has no tag");
	if (rc == 0)
		rc = cf_json_encode(body, &config.body, err);
	json_decref(doc);
	if (rc < 0) {
		cf_config_release(&config);
		return rc;
	}
	*config_out = config;
	return 0;
}

void cf_config_release(struct cf_config *config)
{
	cf_buf_release(&config->body);
}
