#ifndef CF_DRIVERS_TAR_MEMBER_H
#define CF_DRIVERS_TAR_MEMBER_H

/* A member's attributes as libarchive gives them, turned into an entry. */

#include "base/stream.h"

struct archive_entry;
struct cf_ctx;
struct cf_err;

/* Start with {0}. May be filled again and again. */
struct cf_tar_member {
	struct cf_entry entry; /* borrows from here and from the archive_entry */
	struct cf_xattr *xattrs;
	size_t n_xattrs, max_xattrs;
	struct cf_buf acls[2]; /* access and default */
};

/*
 * path is the member's clean path, for the entry's name and for warnings. *known_out is false for a
 * member of no type that an entry can have. What cannot be kept (an ACL by names only, an owner
 * beyond 32 bits, a time beyond 64) is a warning.
 */
int cf_tar_member_fill(struct cf_tar_member *member, struct archive_entry *from, const char *path,
		       const struct cf_ctx *ctx, bool *known_out, struct cf_err *err);
void cf_tar_member_release(struct cf_tar_member *member);

#endif
