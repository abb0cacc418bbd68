#ifndef CF_DRIVERS_FILES_OWNER_H
#define CF_DRIVERS_FILES_OWNER_H

/* Names of users and groups by number, each looked up once. */

#include <stdint.h>

struct cf_err;

/* Start with {0}. */
struct cf_files_owner {
	void *users, *groups;
};

/* *name_out is valid until release; NULL when the number has no name. CF_ERR_NOMEM. */
int cf_files_owner_user(struct cf_files_owner *owner, uint32_t uid, const char **name_out,
			struct cf_err *err);
int cf_files_owner_group(struct cf_files_owner *owner, uint32_t gid, const char **name_out,
			 struct cf_err *err);
void cf_files_owner_release(struct cf_files_owner *owner);

#endif
