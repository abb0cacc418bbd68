#ifndef CF_CLI_JSON_H
#define CF_CLI_JSON_H

/*
 * JSON output (jansson), always ASCII: nothing a terminal would obey.
 *
 * Building never fails in between: a document that ran out of memory says so when it is printed.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct cf_err;
struct json_t;

struct cf_json {
	struct json_t *value;
	bool failed;
};

struct cf_json cf_json_object(void);
/* {"version": 1}: what every document begins with. */
struct cf_json cf_json_document(void);
struct cf_json cf_json_array(void);

/* NULL becomes null. Text that is no UTF-8 is percent-encoded under key, and <key>_raw holds its bytes in
 * hexadecimal. */
void cf_json_text(struct cf_json *object, const char *key, const char *text);
void cf_json_count(struct cf_json *object, const char *key, uint64_t n);
void cf_json_number(struct cf_json *object, const char *key, double number);
void cf_json_flag(struct cf_json *object, const char *key, bool value);
/* Both take the child over. */
void cf_json_put(struct cf_json *object, const char *key, struct cf_json *child);
void cf_json_push(struct cf_json *array, struct cf_json *child);
void cf_json_push_text(struct cf_json *array, const char *text);

/* One line, and the document is released. */
int cf_json_print(struct cf_json *document, FILE *out, struct cf_err *err);
void cf_json_release(struct cf_json *document);

/* An array printed item by item, so that its length does not matter. */
struct cf_json_stream {
	FILE *out;
	uint64_t n;
};

/* open is what stands before the first item: "[" or an object up to it. */
struct cf_json_stream cf_json_stream_begin(FILE *out, const char *open);
/* Prints and releases the item. */
int cf_json_stream_item(struct cf_json_stream *stream, struct cf_json *item, struct cf_err *err);

#endif
