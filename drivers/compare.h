#ifndef CF_DRIVERS_COMPARE_H
#define CF_DRIVERS_COMPARE_H

/*
 * A sink that stores nothing and compares what is pushed with a tree instead: a dump of a restored
 * database against the snapshot it came from. Names, types, contents and the targets of symbolic
 * links count; owners, times and facts do not. Files may be pushed from several threads at once; of
 * each, up to 1 MiB of the tree is held at a time.
 */

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct cf_err;
struct cf_sink;
struct cf_tree;

enum cf_difference_kind {
	CF_DIFFERENCE_MISSING, /* in the tree and not pushed; of a folder, and all that is in it */
	CF_DIFFERENCE_EXTRA,   /* pushed and not in the tree; likewise */
	CF_DIFFERENCE_TYPE,    /* a file here and a folder there, or the like */
	CF_DIFFERENCE_CONTENT, /* other bytes, or another target */
	CF_DIFFERENCE_SIZE     /* the one ends where the other goes on */
};

struct cf_difference {
	const char *path; /* from the root */
	enum cf_difference_kind kind;
	uint64_t off; /* CONTENT, SIZE: the first byte that differs */
};

struct cf_compare_options {
	/* NULL, or: true for paths that are not compared, nor missed. */
	bool (*ignore)(void *user, const char *path);
	/* Told each difference: one for a file, the first. Any thread, one call at a time. */
	void (*differs)(void *user, const struct cf_difference *difference);
	/* NULL, or told each file that was compared whole and is equal. Likewise. */
	void (*equals)(void *user, const char *path, uint64_t size);
	void *user;
};

/* tree is borrowed as long as the sink lives. The sink fails only where the tree cannot be read:
 * CF_ERR_DAMAGED. */
int cf_compare_new(struct cf_tree *tree, const struct cf_compare_options *options,
		   struct cf_sink **sink_out, struct cf_err *err);
void cf_compare_free(struct cf_sink *sink);

/* Differences so far, those of ignored paths not counted. */
uint64_t cf_compare_differences(const struct cf_sink *sink);

/* "differs from byte 1234", "is missing", ... */
struct cf_difference_text {
	char s[96];
};
struct cf_difference_text cf_difference_text(const struct cf_difference *difference);

#endif
