#ifndef CF_DRIVERS_FILES_ATTRS_H
#define CF_DRIVERS_FILES_ATTRS_H

/*
 * Everything about one entry but its content, read without opening it.
 *
 * One struct cf_files_attrs is filled again for entry after entry.
 */

#include "base/ctx.h"
#include "base/stream.h"
#include "drivers/files/owner.h"

#include <sys/stat.h>

struct cf_files_attrs {
	struct cf_entry entry; /* what fill() made; valid until the next fill or release */
	struct cf_files_owner owner;
	struct cf_buf names, values, target;
	struct cf_xattr *xattrs;
	size_t xattr_capacity;
};

void cf_files_attrs_release(struct cf_files_attrs *attrs);

/*
 * name is in the folder dir_fd and st is its lstat; entry.name will be `name` itself. path is for
 * messages. 0, or CF_ERR_NOT_FOUND when it vanished meanwhile, or an error. An extended attribute
 * that cannot be read, or a time that cannot be kept, is a warning.
 */
int cf_files_attrs_fill(struct cf_files_attrs *attrs, const struct cf_ctx *ctx, int dir_fd,
			const char *name, const struct stat *st, const char *path,
			struct cf_err *err);

/* The part of it that is in st alone. */
int cf_files_attrs_stat(struct cf_files_attrs *attrs, const struct stat *st, struct cf_err *err);

#endif
