#ifndef CF_FUSE_MOUNT_POINT_H
#define CF_FUSE_MOUNT_POINT_H

/* What the system says about a folder something is, or is to be, mounted on. */

#include <stdbool.h>
#include <stddef.h>

struct cf_err;

/* What fstype the kernel shows our mounts by: "fuse.coffer". */
#define CF_MOUNT_SUBTYPE "coffer"

/* The folder's absolute path, also when what is mounted on it is dead. free() it. NULL with err set. */
char *cf_mount_point_resolve(const char *folder, struct cf_err *err);

/* Something of ours is mounted on this resolved folder. */
bool cf_mount_point_is_ours(const char *resolved);

/* What a mount calls itself, for the kernel's list: whose snapshots it shows. */
struct cf_mount_name {
	char s[64];
};

struct cf_mount_name cf_mount_point_name(const char *repo_id);

/* The folders on which something of that name is mounted. free() each and the array. */
int cf_mount_points_of(const struct cf_mount_name *name, char ***folders_out, size_t *n_out, struct cf_err *err);

/* Take it off: umount2() as root, else fusermount3. lazy: even though it is in use. */
int cf_mount_point_unmount(const char *resolved, bool lazy, struct cf_err *err);

#endif
