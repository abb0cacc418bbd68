#include "drivers/files/restore_attrs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NS_PER_SECOND 1000000000

/* The l*xattr calls by descriptor of the folder and name, see attrs.c. */
struct proc_path {
	char s[2048];
};

static struct proc_path proc_path(const struct cf_restore_attrs_on *on)
{
	struct proc_path path;

	snprintf(path.s, sizeof(path.s), "/proc/self/fd/%d/%s", on->dir_fd, on->name);
	return path;
}

/* True when the entry belongs to whom it belonged to at the source. */
static bool set_owner(const struct cf_restore_attrs_as *as, const struct cf_restore_attrs_on *on,
		      const struct cf_entry *entry)
{
	int failed;

	if (!as->set_owner)
		return entry->uid == as->uid && entry->gid == as->gid;
	failed = on->fd >= 0 ? fchown(on->fd, entry->uid, entry->gid)
			     : fchownat(on->dir_fd, on->name, entry->uid, entry->gid,
					AT_SYMLINK_NOFOLLOW);
	if (failed)
		cf_ctx_warn(as->ctx, "restore.owner", on->path, "owner %u:%u is not restored: %s",
			    entry->uid, entry->gid, strerror(errno));
	return !failed;
}

static void set_mode(const struct cf_restore_attrs_as *as, const struct cf_restore_attrs_on *on,
		     const struct cf_entry *entry, bool owned)
{
	mode_t mode = entry->mode & 07777;

	if (entry->type == CF_ENTRY_SYMLINK)
		return;
	if (!owned)
		mode &= ~(mode_t)(S_ISUID | S_ISGID);
	if ((on->fd >= 0 ? fchmod(on->fd, mode)
			 : fchmodat(on->dir_fd, on->name, mode, AT_SYMLINK_NOFOLLOW)) != 0)
		cf_ctx_warn(as->ctx, "restore.mode", on->path, "mode %04o is not restored: %s",
			    mode, strerror(errno));
}

static void remove_xattr(const struct cf_restore_attrs_on *on, const char *name)
{
	if (on->fd >= 0)
		fremovexattr(on->fd, name);
	else
		lremovexattr(proc_path(on).s, name);
}

static void set_xattr(const struct cf_restore_attrs_as *as, const struct cf_restore_attrs_on *on,
		      const struct cf_xattr *xattr)
{
	const struct cf_span *v = &xattr->value;

	if ((on->fd >= 0 ? fsetxattr(on->fd, xattr->name, v->data, v->len, 0)
			 : lsetxattr(proc_path(on).s, xattr->name, v->data, v->len, 0)) != 0)
		cf_ctx_warn(as->ctx, "restore.xattr", on->path,
			    "the extended attribute %s is not restored: %s", xattr->name,
			    strerror(errno));
}

static struct timespec time_of(int64_t ns)
{
	struct timespec t = {.tv_sec = ns / NS_PER_SECOND, .tv_nsec = ns % NS_PER_SECOND};

	if (t.tv_nsec < 0) {
		t.tv_sec--;
		t.tv_nsec += NS_PER_SECOND;
	}
	return t;
}

static void set_time(const struct cf_restore_attrs_as *as, const struct cf_restore_attrs_on *on,
		     const struct cf_entry *entry)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, time_of(entry->mtime_ns)};

	if ((on->fd >= 0 ? futimens(on->fd, times)
			 : utimensat(on->dir_fd, on->name, times, AT_SYMLINK_NOFOLLOW)) != 0)
		cf_ctx_warn(as->ctx, "restore.time", on->path, "the time is not restored: %s",
			    strerror(errno));
}

void cf_restore_attrs_set(const struct cf_restore_attrs_as *as,
			  const struct cf_restore_attrs_on *on, const struct cf_entry *entry)
{
	bool owned;

	if (on->inherited_acl && entry->type != CF_ENTRY_SYMLINK) {
		remove_xattr(on, CF_ACL_ACCESS);
		if (entry->type == CF_ENTRY_DIR)
			remove_xattr(on, CF_ACL_DEFAULT);
	}
	owned = set_owner(as, on, entry);
	set_mode(as, on, entry, owned);
	for (size_t i = 0; i < entry->n_xattrs; i++)
		set_xattr(as, on, &entry->xattrs[i]);
	set_time(as, on, entry);
}
