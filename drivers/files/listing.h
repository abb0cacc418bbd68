#ifndef CF_DRIVERS_FILES_LISTING_H
#define CF_DRIVERS_FILES_LISTING_H

/* The names in one folder, sorted by their bytes, without "." and "..". */

#include "base/buf.h"

struct cf_err;

struct cf_files_listing {
	struct cf_buf bytes; /* the names one behind the other, each ended by NUL */
	const char **names;
	size_t n_names;
};

/* 0; read_errno_out is not 0 when reading broke off with it: the listing holds what came until
 * then. */
int cf_files_listing_read(int dir_fd, struct cf_files_listing *listing, int *read_errno_out,
			  struct cf_err *err);
/* A listing of one name. */
int cf_files_listing_one(struct cf_files_listing *listing, const char *name, struct cf_err *err);
void cf_files_listing_release(struct cf_files_listing *listing);

#endif
