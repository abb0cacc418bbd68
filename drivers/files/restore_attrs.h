#ifndef CF_DRIVERS_FILES_RESTORE_ATTRS_H
#define CF_DRIVERS_FILES_RESTORE_ATTRS_H

/* Gives a restored entry its attributes. What is refused is a warning. */

#include "base/ctx.h"
#include "base/stream.h"

#define CF_ACL_ACCESS  "system.posix_acl_access"
#define CF_ACL_DEFAULT "system.posix_acl_default"

/* Who restores, asked once. */
struct cf_restore_attrs_as {
	const struct cf_ctx *ctx;
	uint32_t uid, gid;
	bool set_owner;
};

struct cf_restore_attrs_on {
	int fd;     /* the open file or directory, or -1: */
	int dir_fd; /* `name` in it, not followed */
	const char *name;
	const char *path;   /* for messages */
	bool inherited_acl; /* it may have taken over a default ACL that the source does not have */
};

/* Owner, mode, extended attributes (chown clears set-user-id bits and capabilities), times last. */
void cf_restore_attrs_set(const struct cf_restore_attrs_as *as,
			  const struct cf_restore_attrs_on *on, const struct cf_entry *entry);

#endif
