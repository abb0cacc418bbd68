#ifndef CF_CLI_DOC_H
#define CF_CLI_DOC_H

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

struct cf_doc {
	struct json_t *value;
	bool failed;
};

struct cf_doc cf_doc_object(void);
/* {"version": 1}: what every document begins with. */
struct cf_doc cf_doc_begin(void);
struct cf_doc cf_doc_array(void);

/* NULL becomes null. Text that is no UTF-8 is percent-encoded under key, and <key>_raw holds its
 * bytes in hexadecimal. */
void cf_doc_text(struct cf_doc *object, const char *key, const char *text);
void cf_doc_count(struct cf_doc *object, const char *key, uint64_t n);
void cf_doc_number(struct cf_doc *object, const char *key, double number);
void cf_doc_flag(struct cf_doc *object, const char *key, bool value);
/* Both take the child over. */
void cf_doc_put(struct cf_doc *object, const char *key, struct cf_doc *child);
void cf_doc_push(struct cf_doc *array, struct cf_doc *child);
void cf_doc_push_text(struct cf_doc *array, const char *text);

/* One line, and the document is released. */
int cf_doc_print(struct cf_doc *document, FILE *out, struct cf_err *err);
void cf_doc_release(struct cf_doc *document);

/* An array printed item by item, so that its length does not matter. */
struct cf_doc_stream {
	FILE *out;
	uint64_t n;
};

/* open is what stands before the first item: "[" or an object up to it. */
struct cf_doc_stream cf_doc_stream_begin(FILE *out, const char *open);
/* Prints and releases the item. */
int cf_doc_stream_item(struct cf_doc_stream *stream, struct cf_doc *item, struct cf_err *err);

#endif
