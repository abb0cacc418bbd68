#ifndef CF_REPO_LISTS_H
#define CF_REPO_LISTS_H

/*
 * Building a content's lists while its chunks become known (repo/content.h).
 *
 * A list ends where the last id in it says so (one id in 512, never before 128 entries, always after 2048), so that equal runs of chunks
 * give equal lists wherever they stand. One thread at a time.
 */

#include "repo/content.h"
#include "repo/format/limits.h"
#include "repo/format/list.h"

/* Stores a list chunk and gives its id. */
typedef int cf_list_store_fn(void *user, struct cf_span list, struct cf_id *id_out, struct cf_err *err);

struct cf_list_level {
	struct cf_list_entry *entries;
	size_t n, capacity;
	uint64_t covered;
};

struct cf_list_builder {
	cf_list_store_fn *store;
	void *user;
	struct cf_list_level levels[CF_CONTENT_LEVELS]; /* levels[i] becomes lists of level i + 1 */
};

void cf_list_builder_init(struct cf_list_builder *builder, cf_list_store_fn *store, void *user);
void cf_list_builder_release(struct cf_list_builder *builder);

/* The next chunk (zero id: a hole) of the content. */
int cf_list_builder_add(struct cf_list_builder *builder, const struct cf_id *id, uint64_t len,
			struct cf_err *err);
int cf_list_builder_finish(struct cf_list_builder *builder, struct cf_content *content_out,
			   struct cf_err *err);

#endif
