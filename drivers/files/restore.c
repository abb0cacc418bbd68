#include "drivers/files/restore.h"

#include "base/err.h"
#include "base/file.h"
#include "drivers/files/place.h"
#include "drivers/files/restore_file.h"
#include "drivers/files/restore_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static struct cf_restore_state *of_sink(struct cf_sink *sink)
{
	return (struct cf_restore_state *)sink;
}

static struct cf_target_dir *of_dir(struct cf_dir *dir)
{
	return (struct cf_target_dir *)dir;
}

/* Directories. */

/* True when what is made in it takes over an ACL. A made directory loses what it took over itself
 * at once. */
static bool hands_acl_down(int fd, bool made)
{
	bool has_acl = fgetxattr(fd, CF_ACL_DEFAULT, NULL, 0) >= 0;

	if (has_acl && made) {
		fremovexattr(fd, CF_ACL_DEFAULT);
		fremovexattr(fd, CF_ACL_ACCESS);
	}
	return has_acl && !made;
}

static int begin_root(struct cf_restore_state *r, const struct cf_entry *entry,
		      struct cf_target_dir **dir_out, struct cf_err *err)
{
	int fd = fcntl(r->target.root_fd, F_DUPFD_CLOEXEC, 0), rc;

	if (fd < 0)
		return cf_err_errno(err, errno, "open %s", r->target.folder);
	rc = cf_target_dir_new(&r->target, NULL, entry, fd, dir_out, err);
	if (rc == 0) {
		(*dir_out)->made = r->made_folder;
		(*dir_out)->inherits_acl = hands_acl_down(r->target.root_fd, r->made_folder);
	}
	return rc;
}

static int begin_sub(struct cf_restore_state *r, struct cf_target_dir *parent,
		     const struct cf_entry *entry, struct cf_target_dir **dir_out,
		     struct cf_err *err)
{
	struct cf_target_path path = cf_target_path(&r->target, parent, entry->name);
	bool made = false, inherits_acl = false;
	int parent_fd, fd = -1;
	int rc = cf_target_dir_pin(&r->target, parent, &parent_fd, err);

	if (rc < 0)
		return rc;
	rc = cf_place_dir(parent_fd, entry->name, r->options.overwrite, path.s, &fd, &made, err);
	if (rc == 0) {
		inherits_acl = hands_acl_down(fd, made);
		rc = cf_target_dir_new(&r->target, parent, entry, fd, dir_out, err);
	}
	if (rc == 0) {
		(*dir_out)->made = made;
		(*dir_out)->inherits_acl = inherits_acl;
	}
	cf_target_dir_unpin(&r->target, parent);
	return rc;
}

static int dir_begin(struct cf_sink *sink, struct cf_dir *parent, const struct cf_entry *entry,
		     unsigned flags, struct cf_dir **dir_out, struct cf_err *err)
{
	struct cf_restore_state *r = of_sink(sink);
	struct cf_target_dir *dir = NULL;
	int rc = 0;

	if (!parent) {
		rc = begin_root(r, entry, &dir, err);
	} else {
		rc = cf_restore_name_check(r, of_dir(parent), entry, err);
		if (rc == 0 && cf_restore_skips(r, of_dir(parent), entry))
			rc = cf_target_dir_new(&r->target, of_dir(parent), entry, -1, &dir, err);
		else if (rc == 0)
			rc = begin_sub(r, of_dir(parent), entry, &dir, err);
	}
	*dir_out = (struct cf_dir *)dir;
	return rc;
}

static int sync_target(struct cf_restore_state *r, struct cf_err *err)
{
	return syncfs(r->target.root_fd) == 0
		       ? 0
		       : cf_err_errno(err, errno, "sync %s", r->target.folder);
}

static int dir_end(struct cf_sink *sink, struct cf_dir *handle, const struct cf_entry *entry,
		   struct cf_err *err)
{
	struct cf_restore_state *r = of_sink(sink);
	struct cf_target_dir *dir = of_dir(handle);
	bool is_root = !dir->parent;
	int fd, rc;

	if (dir->skipped) {
		cf_target_dir_free(&r->target, dir);
		return 0;
	}
	rc = cf_target_dir_pin(&r->target, dir, &fd, err);
	if (rc == 0 && (dir->made || !is_root)) {
		const char *name = is_root ? "" : dir->entry->name;
		struct cf_target_path path = cf_target_path(&r->target, dir->parent, name);
		struct cf_restore_attrs_on on = {.fd = fd, .path = path.s};

		cf_restore_attrs_set(&r->as, &on, entry ? entry : dir->entry);
	}
	if (rc == 0)
		cf_target_dir_unpin(&r->target, dir);
	cf_target_dir_free(&r->target, dir);
	if (rc == 0 && is_root && r->options.sync)
		rc = sync_target(r, err);
	return rc;
}

/* Links, fifos, sockets and devices. */

static mode_t mode_of(enum cf_entry_type type)
{
	switch (type) {
	case CF_ENTRY_FIFO:
		return S_IFIFO;
	case CF_ENTRY_SOCKET:
		return S_IFSOCK;
	case CF_ENTRY_CHARDEV:
		return S_IFCHR;
	default:
		return S_IFBLK;
	}
}

/* The errno of the failure, or 0. */
static int make_node(int dir_fd, const char *name, const struct cf_entry *entry)
{
	int failed;

	if (entry->type == CF_ENTRY_SYMLINK)
		failed = symlinkat(entry->target ? entry->target : "", dir_fd, name);
	else
		failed = mknodat(dir_fd, name, mode_of(entry->type) | 0600,
				 makedev(entry->rdev_major, entry->rdev_minor));
	return failed ? errno : 0;
}

static int restore_node(struct cf_restore_state *r, struct cf_target_dir *dir, int dir_fd,
			const struct cf_entry *entry, struct cf_err *err)
{
	struct cf_target_path path = cf_target_path(&r->target, dir, entry->name);
	struct cf_restore_temporary temporary = cf_restore_temporary_make(r);
	struct cf_restore_attrs_on on = {
		.fd = -1,
		.dir_fd = dir_fd,
		.name = temporary.s,
		.path = path.s,
		.inherited_acl = dir->inherits_acl,
	};
	int failed = make_node(dir_fd, temporary.s, entry), rc;

	if (failed == EPERM && entry->type != CF_ENTRY_SYMLINK) {
		cf_ctx_warn(r->as.ctx, "restore.node", path.s, "the %s is not restored: %s",
			    entry->type == CF_ENTRY_FIFO || entry->type == CF_ENTRY_SOCKET
				    ? "fifo or socket"
				    : "device node",
			    strerror(failed));
		return 0;
	}
	if (failed)
		return cf_err_errno(err, failed, "create %s", path.s);
	cf_restore_attrs_set(&r->as, &on, entry);
	rc = cf_place_rename(dir_fd, temporary.s, entry->name, r->options.overwrite, path.s, err);
	if (rc < 0)
		unlinkat(dir_fd, temporary.s, 0);
	return rc;
}

static int node(struct cf_sink *sink, struct cf_dir *handle, const struct cf_entry *entry,
		struct cf_err *err)
{
	struct cf_restore_state *r = of_sink(sink);
	struct cf_target_dir *dir = of_dir(handle);
	int dir_fd, rc = cf_restore_name_check(r, dir, entry, err);

	if (rc == 0 && cf_restore_skips(r, dir, entry))
		return 0;
	if (rc == 0)
		rc = cf_target_dir_pin(&r->target, dir, &dir_fd, err);
	if (rc < 0)
		return rc;
	rc = restore_node(r, dir, dir_fd, entry, err);
	cf_target_dir_unpin(&r->target, dir);
	return rc;
}

/* Hard links. */

/* The folder of `from`, step by step from the root; *name_out is the rest. */
static int open_link_folder(struct cf_restore_state *r, const char *from, int *fd_out,
			    const char **name_out, struct cf_err *err)
{
	int fd = fcntl(r->target.root_fd, F_DUPFD_CLOEXEC, 0), rc = 0;
	char *copy = strdup(from), *part = copy, *slash;

	if (!copy)
		rc = cf_err_nomem(err);
	while (rc == 0 && fd >= 0 && (slash = strchr(part, '/'))) {
		int above = fd;

		*slash = '\0';
		if (!cf_entry_name_valid(part))
			rc = cf_err_set(err, CF_ERR_DAMAGED, "%s is no path of an entry", from);
		else
			fd = openat(above, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close(above);
		part = slash + 1;
	}
	if (rc == 0 && fd < 0)
		rc = cf_err_errno(err, errno, "open the folder of %s", from);
	if (rc == 0 && !cf_entry_name_valid(part)) {
		rc = cf_err_set(err, CF_ERR_DAMAGED, "%s is no path of an entry", from);
		close(fd);
	}
	if (rc == 0) {
		*name_out = from + (part - copy);
		*fd_out = fd;
	}
	free(copy);
	return rc;
}

static int make_link(struct cf_restore_state *r, struct cf_target_dir *dir, int dir_fd, int from_fd,
		     const char *from_name, const struct cf_entry *entry, const char *from,
		     struct cf_err *err)
{
	struct cf_target_path path = cf_target_path(&r->target, dir, entry->name);
	struct cf_restore_temporary temporary = cf_restore_temporary_make(r);
	const char *name = r->options.overwrite ? temporary.s : entry->name;
	int rc;

	if (linkat(from_fd, from_name, dir_fd, name, 0) != 0)
		return cf_err_errno(err, errno, "link %s to %s", path.s, from);
	if (!r->options.overwrite)
		return 0;
	rc = cf_place_rename(dir_fd, temporary.s, entry->name, true, path.s, err);
	/* Also when done: renaming onto another name of the same file does nothing. */
	unlinkat(dir_fd, temporary.s, 0);
	return rc;
}

static bool links_to_skipped(struct cf_restore_state *r, const struct cf_target_dir *dir,
			     const struct cf_entry *entry, const char *from)
{
	if (!cf_restore_name_too_long(from))
		return false;
	cf_ctx_warn(r->as.ctx, "restore.name", cf_target_path(&r->target, dir, entry->name).s,
		    "it is not restored: it is another name of a file whose name is too long");
	return true;
}

static int link_entry(struct cf_sink *sink, struct cf_dir *handle, const struct cf_entry *entry,
		      const char *from, struct cf_err *err)
{
	struct cf_restore_state *r = of_sink(sink);
	struct cf_target_dir *dir = of_dir(handle);
	const char *from_name = NULL;
	int dir_fd, from_fd = -1;
	int rc = cf_restore_name_check(r, dir, entry, err);

	if (rc == 0 && (cf_restore_skips(r, dir, entry) || links_to_skipped(r, dir, entry, from)))
		return 0;
	if (rc == 0)
		rc = open_link_folder(r, from, &from_fd, &from_name, err);
	if (rc < 0)
		return rc;
	rc = cf_target_dir_pin(&r->target, dir, &dir_fd, err);
	if (rc == 0) {
		rc = make_link(r, dir, dir_fd, from_fd, from_name, entry, from, err);
		cf_target_dir_unpin(&r->target, dir);
	}
	close(from_fd);
	return rc;
}

static const struct cf_sink_ops restore_ops = {
	.dir_begin = dir_begin,
	.dir_end = dir_end,
	.node = node,
	.file_begin = cf_restore_file_begin,
	.file_write = cf_restore_file_write,
	.file_hole = cf_restore_file_hole,
	.file_write_at = cf_restore_file_write_at,
	.file_end = cf_restore_file_end,
	.file_abort = cf_restore_file_abort,
	.link = link_entry,
	.fact = NULL,
	.expect = NULL,
};

/* The folder itself is private until its attributes are known; those above it are ordinary. */
static int open_folder(const char *folder, int *fd_out, bool *made_out, struct cf_err *err)
{
	char *copy = strdup(folder), *end, *slash;
	int rc = 0, mkdir_errno;

	if (!copy)
		return cf_err_nomem(err);
	end = copy + strlen(copy);
	while (end > copy + 1 && end[-1] == '/')
		*--end = '\0';
	*made_out = mkdir(copy, 0700) == 0;
	slash = strrchr(copy, '/');
	if (!*made_out && errno == ENOENT && slash && slash > copy) {
		*slash = '\0';
		rc = cf_dir_make(copy, 0777, err);
		*slash = '/';
		*made_out = rc == 0 && mkdir(copy, 0700) == 0;
	}
	mkdir_errno = errno;
	if (rc == 0) {
		*fd_out = open(copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		/* Nothing there: it is the making that failed. */
		if (*fd_out < 0 && errno == ENOENT && !*made_out)
			rc = cf_err_errno(err, mkdir_errno, "create the folder %s", folder);
		else if (*fd_out < 0)
			rc = cf_err_errno(err, errno, "open the folder %s", folder);
	}
	free(copy);
	return rc;
}

int cf_files_restore_new(const char *folder, const struct cf_restore_options *options,
			 const struct cf_ctx *ctx, struct cf_sink **sink_out, struct cf_err *err)
{
	struct cf_restore_state *r = calloc(1, sizeof(*r));
	int fd = -1, rc;

	if (!r)
		return cf_err_nomem(err);
	r->sink.ops = &restore_ops;
	r->options = *options;
	r->as.ctx = ctx;
	r->as.uid = geteuid();
	r->as.gid = getegid();
	r->as.set_owner = r->as.uid == 0 && !options->no_owner;
	atomic_init(&r->can_write_uncached, true);
	pthread_mutex_init(&r->lock, NULL);
	rc = open_folder(folder, &fd, &r->made_folder, err);
	if (rc == 0 && getrandom(&r->token, sizeof(r->token), 0) != (ssize_t)sizeof(r->token))
		rc = cf_err_errno(err, errno, "get random bytes");
	if (rc < 0 && fd >= 0)
		close(fd);
	if (rc < 0) {
		pthread_mutex_destroy(&r->lock);
		free(r);
		return rc;
	}
	rc = cf_target_init(&r->target, folder, fd, err);
	if (rc < 0)
		cf_files_restore_free(&r->sink);
	else
		*sink_out = &r->sink;
	return rc;
}

void cf_files_restore_free(struct cf_sink *sink)
{
	struct cf_restore_state *r = of_sink(sink);

	if (!r)
		return;
	while (r->files)
		cf_restore_file_abort(sink, (struct cf_file *)r->files);
	cf_target_release(&r->target);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
