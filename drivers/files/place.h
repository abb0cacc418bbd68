#ifndef CF_DRIVERS_FILES_PLACE_H
#define CF_DRIVERS_FILES_PLACE_H

/* How a restored entry gets its name, and what may be in the way. All names are single components
 * in dir_fd; path is for messages. */

#include <stdbool.h>

struct cf_err;

/* Fails early, before content is written for nothing: CF_ERR_EXISTS when name exists. */
int cf_place_check_free(int dir_fd, const char *name, const char *path, struct cf_err *err);

/* temporary becomes name: in one step, also where something is replaced. CF_ERR_EXISTS. */
int cf_place_rename(int dir_fd, const char *temporary, const char *name, bool overwrite,
		    const char *path, struct cf_err *err);

/* Make or, when there is one, open the directory name. A link in its place is not followed: it is
 * CF_ERR_EXISTS, or replaced with overwrite. */
int cf_place_dir(int dir_fd, const char *name, bool overwrite, const char *path, int *fd_out,
		 bool *made_out, struct cf_err *err);

#endif
