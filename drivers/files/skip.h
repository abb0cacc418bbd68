#ifndef CF_DRIVERS_FILES_SKIP_H
#define CF_DRIVERS_FILES_SKIP_H

/* Folders that a walk does not enter, known by device and inode: by whatever path it comes to them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct cf_err;

struct cf_files_skip {
	struct cf_files_skip_id {
		dev_t dev;
		ino_t ino;
	} * ids;
	size_t n_ids;
};

/* Start with {0}. A folder that is not there (yet) is none. */
int cf_files_skip_init(struct cf_files_skip *skip, const char *const *folders, size_t n_folders,
		       struct cf_err *err);
void cf_files_skip_release(struct cf_files_skip *skip);

bool cf_files_skip_has(const struct cf_files_skip *skip, const struct stat *st);

#endif
