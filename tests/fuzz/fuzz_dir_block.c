/* Any bytes as a directory block: what is accepted has valid names in order and is written again
 * the same. */

#include "repo/format/dir_block.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_texts(const struct cf_node *node)
{
	const struct cf_entry *e = &node->entry;
	size_t sum = e->user ? strlen(e->user) : 0;

	sum += e->group ? strlen(e->group) : 0;
	for (size_t i = 0; i < e->n_xattrs; i++) {
		sum += strlen(e->xattrs[i].name);
		for (size_t at = 0; at < e->xattrs[i].value.len; at++)
			sum += e->xattrs[i].value.data[at];
	}
	for (size_t i = 0; i < e->n_facts; i++)
		sum += strlen(e->facts[i].key) + strlen(e->facts[i].value);
	/* Keeps the reads. */
	if (sum == SIZE_MAX)
		abort();
}

static void encode_again(const struct cf_dir_block *block, struct cf_buf *again)
{
	const char *last = NULL;

	if (cf_dir_block_begin(again, NULL) < 0)
		exit(1);
	for (size_t i = 0; i < block->n; i++) {
		const struct cf_node *node = &block->nodes[i];

		if (!cf_entry_name_valid(node->entry.name) ||
		    (last && strcmp(last, node->entry.name) >= 0))
			abort();
		last = node->entry.name;
		check_texts(node);
		if (cf_dir_block_append(again, node, NULL) < 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cf_buf bytes = CF_BUF_INIT, again = CF_BUF_INIT;
	struct cf_dir_block block;

	if (cf_buf_append(&bytes, data, len, NULL) < 0)
		return 0;
	if (cf_dir_block_decode(&bytes, &block, NULL) < 0)
		return 0;
	encode_again(&block, &again);
	if (again.len != len || memcmp(again.data, data, len) != 0)
		abort();
	cf_buf_release(&again);
	cf_dir_block_release(&block);
	return 0;
}
