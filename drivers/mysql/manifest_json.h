#ifndef CF_DRIVERS_MYSQL_MANIFEST_JSON_H
#define CF_DRIVERS_MYSQL_MANIFEST_JSON_H

/* Fields of the driver's JSON documents: texts of any bytes, counts, arrays. */

#include "base/buf.h"

#include <jansson.h>
#include <stdbool.h>

struct cf_err;

/* A new element of len bytes, all zero, at the end of an array; NULL when memory is out. array: T
 * **. */
void *cf_mysql_grow(void *array, size_t *n, size_t len);

/* The start of a document: format and version. NULL when memory is out, which all functions below
 * take. */
json_t *cf_mysql_json_document(const char *format);
/* fine: all fields were put. doc is freed. */
int cf_mysql_json_encode(json_t *doc, bool fine, struct cf_buf *out, struct cf_err *err);
/* json_decref() *doc_out also after a failure. */
int cf_mysql_json_decode(struct cf_span in, const char *format, json_t **doc_out,
			 struct cf_err *err);

/* text NULL: nothing is put. False when memory is out. */
bool cf_mysql_json_put_text(json_t *object, const char *key, const char *text);
bool cf_mysql_json_put_int(json_t *object, const char *key, uint64_t value);

int cf_mysql_json_get_text(const json_t *object, const char *key, bool is_required, char **out,
			   struct cf_err *err);
int cf_mysql_json_get_int(const json_t *object, const char *key, uint64_t *out, struct cf_err *err);
int cf_mysql_json_array(const json_t *object, const char *key, size_t max, const json_t **out,
			size_t *n_out, struct cf_err *err);

#endif
