#include "base/tree.h"

#include "base/err.h"

#include <stdlib.h>

static int append_piece(void *user, struct cf_span data, struct cf_err *err)
{
	return cf_buf_append(user, data.data, data.len, err);
}

int cf_tree_read_file(struct cf_tree *tree, const char *path, size_t max_len, struct cf_buf *out,
		      struct cf_err *err)
{
	struct cf_entry *entry = NULL;
	int rc = tree->ops->find(tree, path, &entry, err);

	cf_buf_clear(out);
	if (rc == 0 && entry->type != CF_ENTRY_FILE)
		rc = cf_err_set(err, CF_ERR_FAILED, "%s is no file", path);
	else if (rc == 0 && entry->size > max_len)
		rc = cf_err_set(err, CF_ERR_FAILED, "%s has %llu bytes, more than %zu", path,
				(unsigned long long)entry->size, max_len);
	if (rc == 0)
		rc = cf_buf_reserve(out, (size_t)entry->size + 1, err);
	if (rc == 0)
		rc = tree->ops->read(tree, path, 0, UINT64_MAX, append_piece, out, err);
	if (rc == 0)
		rc = cf_buf_append(out, "", 1, err);
	if (rc == 0)
		out->len--;
	free(entry);
	return rc;
}
