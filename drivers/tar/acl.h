#ifndef CF_DRIVERS_TAR_ACL_H
#define CF_DRIVERS_TAR_ACL_H

/* POSIX ACLs of an archive's member as Linux keeps them in extended attributes. */

#include "base/buf.h"

#include <stdbool.h>

struct archive_entry;
struct cf_err;

/*
 * The value of system.posix_acl_access (type ARCHIVE_ENTRY_ACL_TYPE_ACCESS) or of
 * system.posix_acl_default (_DEFAULT) into out; nothing when the member has none beyond its mode.
 * *ok_out is false when it has one that cannot be expressed: an NFSv4 ACL, or users known by name
 * only.
 */
int cf_tar_acl_encode(struct archive_entry *from, int type, struct cf_buf *out, bool *ok_out,
		      struct cf_err *err);

#endif
