#include "drivers/files/skip.h"

#include "base/err.h"

#include <stdlib.h>

int cf_files_skip_init(struct cf_files_skip *skip, const char *const *folders, size_t n_folders,
		       struct cf_err *err)
{
	struct stat st;

	if (n_folders == 0)
		return 0;
	skip->ids = calloc(n_folders, sizeof(*skip->ids));
	if (!skip->ids)
		return cf_err_nomem(err);
	for (size_t i = 0; i < n_folders; i++)
		if (stat(folders[i], &st) == 0 && S_ISDIR(st.st_mode))
			skip->ids[skip->n_ids++] =
				(struct cf_files_skip_id){.dev = st.st_dev, .ino = st.st_ino};
	return 0;
}

void cf_files_skip_release(struct cf_files_skip *skip)
{
	free(skip->ids);
	*skip = (struct cf_files_skip){0};
}

bool cf_files_skip_has(const struct cf_files_skip *skip, const struct stat *st)
{
	for (size_t i = 0; i < skip->n_ids; i++)
		if (skip->ids[i].dev == st->st_dev && skip->ids[i].ino == st->st_ino)
			return true;
	return false;
}
