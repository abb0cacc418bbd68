#ifndef CF_REPO_FORMAT_JSON_H
#define CF_REPO_FORMAT_JSON_H

/*
 * The canonical JSON of stored documents, and reading fields of untrusted ones.
 *
 * Canonical: keys sorted, no white space, one line feed at the end. A document that does not come out the same
 * when written again is damaged: so no byte of one can change unseen.
 */

#include "base/buf.h"
#include "base/id.h"

#include <jansson.h>
#include <stdbool.h>

struct cf_err;

int cf_json_encode(const json_t *doc, struct cf_buf *out, struct cf_err *err);
/* CF_ERR_DAMAGED unless in is one canonical JSON object. json_decref() it. */
int cf_json_decode(struct cf_span in, json_t **doc_out, struct cf_err *err);

/*
 * A document of a version that this program knows, whose fields `take` moves into `into`: false when one is missing or makes no sense,
 * or with errno ENOMEM. CF_ERR_DAMAGED, CF_ERR_UNSUPPORTED for a newer version; the caller releases what was taken.
 */
typedef bool cf_json_take_fn(json_t *doc, void *into);
int cf_json_decode_fields(struct cf_span in, cf_json_take_fn *take, void *into, struct cf_err *err);

/* Fields of an object: false when absent, of another type, or out of range. Text is borrowed from the document. */
bool cf_json_text(const json_t *object, const char *key, const char **out);
bool cf_json_int(const json_t *object, const char *key, int64_t min, int64_t max, int64_t *out);
/* The same as a text of its own; free() it. False with errno ENOMEM when memory is out. */
bool cf_json_take_text(const json_t *object, const char *key, char **out);
/* Exactly len bytes of lower-case hexadecimal. */
bool cf_json_hex(const json_t *object, const char *key, uint8_t *out, size_t len);
/* An array of ids, none zero. free() *ids_out, also after a failure. */
bool cf_json_take_ids(const json_t *list, struct cf_id **ids_out, size_t *n_out);
json_t *cf_json_from_hex(const uint8_t *data, size_t len);
/* NULL is "". Text that is not UTF-8 is percent-encoded byte by byte. */
json_t *cf_json_from_text(const char *text);
json_t *cf_json_from_ids(const struct cf_id *ids, size_t n);

#endif
