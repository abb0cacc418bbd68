#include "repo/format/config.h"

#include "base/err.h"
#include "base/id.h"
#include "chunker/chunker.h"
#include "repo/format/json.h"
#include "repo/repo.h"

#include <string.h>

static const char *const operations[] = {"check", "delete", "read", "write"};
#define N_OPERATIONS (sizeof(operations) / sizeof(operations[0]))

/* Who removes snapshots must know which of them replace others. */
static const struct {
	const char *operation, *name;
} signed_versions = {"delete", "signed-versions"};

static bool is_signed_versions(const char *operation, const char *name)
{
	return strcmp(operation, signed_versions.operation) == 0 && strcmp(name, signed_versions.name) == 0;
}

static json_t *features_to_json(const struct cf_config *config)
{
	json_t *features = json_object();

	for (size_t i = 0; i < N_OPERATIONS; i++)
		json_object_set_new(features, operations[i], json_array());
	if (config->has_signed_versions)
		json_array_append_new(json_object_get(features, signed_versions.operation), json_string(signed_versions.name));
	return features;
}

static json_t *body_to_json(const struct cf_config *config)
{
	return json_pack("{s:i, s:o, s:I, s:s, s:{s:s, s:I, s:I, s:I}, s:o}", "version", CF_FORMAT_VERSION,
			 "id", cf_json_from_hex(config->repo_id, CF_REPO_ID_LEN), "created",
			 (json_int_t)config->created_ns, "cipher",
			 cf_cipher_name((enum cf_cipher)config->cipher), "chunker", "kind",
			 cf_chunker_name(config->chunker), "min", (json_int_t)config->min, "nominal",
			 (json_int_t)config->nominal, "max", (json_int_t)config->max, "features", features_to_json(config));
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

static int take_feature(const char *operation, const char *name, struct cf_config *config, struct cf_err *err)
{
	if (!name || !is_signed_versions(operation, name))
		return cf_err_set(err, CF_ERR_UNSUPPORTED,
				  "needs the feature \"%s\" to %s, which this program lacks: use a newer coffer",
				  name ? name : "?", operation);
	config->has_signed_versions = true;
	return 0;
}

static int take_features(const json_t *body, struct cf_config *config, struct cf_err *err)
{
	const json_t *features = json_object_get(body, "features");
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < N_OPERATIONS; i++) {
		const json_t *list = json_object_get(features, operations[i]);

		if (!json_is_array(list))
			return cf_err_set(err, CF_ERR_DAMAGED, "lists no features");
		for (size_t k = 0; rc == 0 && k < json_array_size(list); k++)
			rc = take_feature(operations[i], json_string_value(json_array_get(list, k)), config, err);
	}
	return rc;
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
	rc = take_features(body, config, err);
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
