#include "drivers/files/restore_state.h"

#include "base/err.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

struct cf_restore_temporary cf_restore_temporary_make(struct cf_restore_state *r)
{
	struct cf_restore_temporary name;
	uint64_t number = atomic_fetch_add(&r->n_temporary, 1);

	snprintf(name.s, sizeof(name.s), ".coffer-%016llx-%llx", (unsigned long long)r->token,
		 (unsigned long long)number);
	return name;
}

int cf_restore_name_check(const struct cf_restore_state *r, const struct cf_target_dir *dir,
			  const struct cf_entry *entry, struct cf_err *err)
{
	if (cf_entry_name_valid(entry->name))
		return 0;
	return cf_err_set(err, CF_ERR_DAMAGED, "%s: \"%s\" cannot be the name of an entry",
			  cf_target_path(&r->target, dir, "").s, entry->name);
}

bool cf_restore_name_too_long(const char *path)
{
	while (*path) {
		size_t len = strcspn(path, "/");

		if (len > NAME_MAX)
			return true;
		path += len + (path[len] == '/');
	}
	return false;
}

bool cf_restore_skips(const struct cf_restore_state *r, const struct cf_target_dir *dir,
		      const struct cf_entry *entry)
{
	if (dir->skipped)
		return true;
	if (!cf_restore_name_too_long(entry->name))
		return false;
	cf_ctx_warn(r->as.ctx, "restore.name", cf_target_path(&r->target, dir, entry->name).s,
		    "it is not restored%s: its name has %zu bytes, a file system takes %d",
		    entry->type == CF_ENTRY_DIR ? ", nor is what is in it" : "",
		    strlen(entry->name), NAME_MAX);
	return true;
}
