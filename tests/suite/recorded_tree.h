#ifndef CF_TESTS_SUITE_RECORDED_TREE_H
#define CF_TESTS_SUITE_RECORDED_TREE_H

/* What a sink_recorder holds, read as a cf_tree: a snapshot without a repository. */

#include "base/tree.h"

struct cf_sink_recorder;

struct cf_recorded_tree {
	struct cf_tree tree;
	const struct cf_sink_recorder *recorder;
	const char *damaged; /* NULL, or the path of a file that cannot be read */
	size_t piece_len;    /* 0, or how long the pieces that read hands out are at most */
};

/* The recorder is borrowed, and records nothing more meanwhile. */
struct cf_recorded_tree cf_recorded_tree_of(const struct cf_sink_recorder *recorder);

#endif
