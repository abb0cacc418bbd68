#ifndef CF_BACKENDS_LOCAL_H
#define CF_BACKENDS_LOCAL_H

/*
 * A folder of a local or mounted file system.
 *
 * An object is the regular file of its name; folders are made as needed, 0700, files are 0600. An object is
 * written to the folder ".tmp", synced, and moved to its name by a rename that never replaces. What a crash
 * leaves in ".tmp" cannot be an object's name and is removed by an open more than a day later.
 *
 * Symbolic links inside the folder are never followed: one in place of a folder is an error. What is in an object's
 * place and no regular file counts as nothing, but is not put over. Files whose names are no object names are
 * ignored. A put that finds its name taken first makes sure that the old object's name is durable. The folder may be read-only as long as nothing is put or removed.
 */

#include <stdbool.h>

struct cf_backend;
struct cf_err;

/* create: make the folder and its parents. CF_ERR_NOT_FOUND when it is missing otherwise. */
int cf_local_open(const char *path, bool create, struct cf_backend **backend_out, struct cf_err *err);

#endif
