#include "drivers/files/walk.h"

#include "base/err.h"
#include "drivers/files/attrs.h"
#include "drivers/files/content.h"
#include "drivers/files/stack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* bford.info/cachedir: a regular file of this name that begins with these bytes. */
#define CACHE_TAG_NAME "CACHEDIR.TAG"
#define CACHE_TAG_TEXT "Signature: 8a477f597d28d172789f06886806bc55"

#define OPEN_DIR  (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define OPEN_FILE (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

struct walk {
	const struct cf_ctx *ctx;
	const struct cf_files_walk_options *options;
	struct cf_sink *sink;
	struct cf_files_stack stack;
	struct cf_files_attrs attrs;
	uint8_t *buffer;
	size_t root_len; /* of the root's path */
	dev_t root_dev;
	bool is_only; /* the source is one entry: without it there is nothing to save */
};

static const char *path_of(const struct walk *w)
{
	return cf_files_stack_path(&w->stack);
}

/* Without touching the access time where that is allowed: of one's own files, and for root. */
static int open_quietly(int dir_fd, const char *name, int flags)
{
	int fd = openat(dir_fd, name, flags | O_NOATIME);

	return fd < 0 && errno == EPERM ? openat(dir_fd, name, flags) : fd;
}

/* What one entry's failure says about all the others: then going on would only skip them too. */
static bool is_fatal(int failed)
{
	return failed == EMFILE || failed == ENFILE || failed == ENOMEM;
}

/* Tells of an entry that is skipped, or fails. */
static int warn_skipped(struct walk *w, int failed, struct cf_err *err)
{
	if (is_fatal(failed) || w->is_only)
		return cf_err_errno(err, failed, "open %s", path_of(w));
	if (failed == ENOENT)
		cf_ctx_warn(w->ctx, "file.vanished", path_of(w), "it vanished before it was read");
	else
		cf_ctx_warn(w->ctx, "file.unreadable", path_of(w), "it cannot be read: %s",
			    strerror(failed));
	return 0;
}

static bool same_stat(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static bool same_inode(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/*
 * The opened file may not be the one that was begun. One that merely changed, or took the place of
 * a file with a single name, is saved as it is now. With several names the sink may already have
 * tied the content to the old inode: then it is given up.
 */
static int refresh(struct walk *w, int dir_fd, int fd, const char *name, const struct stat *begun,
		   struct stat *now_out, bool *usable_out, struct cf_err *err)
{
	if (fstat(fd, now_out) != 0)
		return cf_err_errno(err, errno, "stat %s", path_of(w));
	*usable_out =
		S_ISREG(now_out->st_mode) && (same_inode(begun, now_out) || begun->st_nlink == 1);
	if (!*usable_out || (same_inode(begun, now_out) && same_stat(begun, now_out)))
		return 0;
	return cf_files_attrs_fill(&w->attrs, w->ctx, dir_fd, name, now_out, path_of(w), err);
}

/* The content of an open file, and its end in the sink. */
static int push_content(struct walk *w, int fd, const struct stat *before, struct cf_file *file,
			struct cf_err *err)
{
	struct cf_files_content result;
	struct stat after;
	int rc;

	rc = cf_files_content_push(w->ctx, fd, before, w->buffer, w->sink, file, &result, err);
	if (rc < 0)
		return rc;
	if (result.read_errno) {
		w->sink->ops->file_abort(w->sink, file);
		if (w->is_only)
			return cf_err_errno(err, result.read_errno, "read %s at byte %llu",
					    path_of(w), (unsigned long long)result.n_bytes);
		cf_ctx_warn(w->ctx, "file.unreadable", path_of(w),
			    "reading failed at byte %llu: %s", (unsigned long long)result.n_bytes,
			    strerror(result.read_errno));
		return 0;
	}
	if (fstat(fd, &after) != 0 || !same_stat(before, &after))
		cf_ctx_warn(w->ctx, "file.changed", path_of(w), "it changed while it was read");
	w->attrs.entry.size = result.n_bytes;
	return w->sink->ops->file_end(w->sink, file, &w->attrs.entry, err);
}

static int give_up(struct walk *w, struct cf_file *file, int failed, struct cf_err *err)
{
	w->sink->ops->file_abort(w->sink, file);
	return warn_skipped(w, failed, err);
}

static int visit_file(struct walk *w, int dir_fd, const char *name, const struct stat *st,
		      struct cf_err *err)
{
	struct cf_file *file = NULL;
	struct stat now;
	bool usable = false;
	int fd, rc;

	rc = w->sink->ops->file_begin(w->sink, cf_files_stack_top(&w->stack)->dir, &w->attrs.entry,
				      NULL, &file, err);
	if (rc < 0 || !file)
		return rc;
	fd = open_quietly(dir_fd, name, OPEN_FILE);
	if (fd < 0)
		return give_up(w, file, errno, err);
	rc = refresh(w, dir_fd, fd, name, st, &now, &usable, err);
	if (rc == 0 && usable) {
		rc = push_content(w, fd, &now, file, err);
	} else if (rc == 0) {
		w->sink->ops->file_abort(w->sink, file);
		if (w->is_only)
			rc = cf_err_set(err, CF_ERR_FAILED, "%s was replaced before it was read",
					path_of(w));
		else
			cf_ctx_warn(w->ctx, "file.changed", path_of(w),
				    "it was replaced before it was read");
	}
	close(fd);
	return rc;
}

/* A folder that is kept without what is in it. */
static int push_empty_dir(struct walk *w, struct cf_err *err)
{
	struct cf_files_frame *top = cf_files_stack_top(&w->stack);
	struct cf_dir *dir = NULL;
	int rc = w->sink->ops->dir_begin(w->sink, top->dir, &w->attrs.entry, CF_DIR_SORTED, &dir,
					 err);

	return rc < 0 ? rc : w->sink->ops->dir_end(w->sink, dir, NULL, err);
}

static bool is_cache_tag(int dir_fd)
{
	char text[sizeof(CACHE_TAG_TEXT) - 1];
	int fd = openat(dir_fd, CACHE_TAG_NAME, OPEN_FILE);
	bool is_tag = false;
	struct stat st;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    read(fd, text, sizeof(text)) == (ssize_t)sizeof(text))
		is_tag = memcmp(text, CACHE_TAG_TEXT, sizeof(text)) == 0;
	close(fd);
	return is_tag;
}

/* Of a tagged folder only the tag stays, so that it is a tagged folder when restored. */
static void drop_cache(int dir_fd, struct cf_files_listing *listing)
{
	for (size_t i = 0; i < listing->n_names; i++) {
		if (strcmp(listing->names[i], CACHE_TAG_NAME) != 0)
			continue;
		if (is_cache_tag(dir_fd)) {
			listing->names[0] = listing->names[i];
			listing->n_names = 1;
		}
		return;
	}
}

/* Lists an open folder and begins it; fd passes to the stack. attrs describe it. */
static int begin_dir(struct walk *w, int fd, const struct stat *st, struct cf_err *err)
{
	const struct cf_files_frame *top = cf_files_stack_top(&w->stack);
	struct cf_files_listing listing = {0};
	struct cf_dir *dir = NULL;
	int read_errno, rc;

	rc = cf_files_listing_read(fd, &listing, &read_errno, err);
	if (rc == 0 && read_errno)
		cf_ctx_warn(w->ctx, "file.unreadable", path_of(w), "listing it failed: %s",
			    strerror(read_errno));
	if (rc == 0 && w->options->exclude_caches)
		drop_cache(fd, &listing);
	if (rc == 0)
		rc = w->sink->ops->dir_begin(w->sink, top ? top->dir : NULL, &w->attrs.entry,
					     CF_DIR_SORTED, &dir, err);
	if (rc < 0) {
		close(fd);
		cf_files_listing_release(&listing);
		return rc;
	}
	return cf_files_stack_push(&w->stack, fd, st, &listing, dir, err);
}

/* True for a folder that is not entered. */
static bool stays_out(const struct walk *w, const struct stat *st)
{
	bool is_skipped = cf_files_skip_has(w->options->skip, st);

	if (is_skipped)
		cf_ctx_note(w->ctx, "folder.skipped", path_of(w),
			    "it belongs to the repository: kept as an empty folder");
	return is_skipped || (w->options->one_file_system && st->st_dev != w->root_dev);
}

/* attrs are those of the lstat already; the opened folder's count when it is another one by now. */
static int visit_dir(struct walk *w, int dir_fd, const char *name, const struct stat *st,
		     struct cf_err *err)
{
	struct stat now;
	int fd, rc = 0;

	if (stays_out(w, st))
		return push_empty_dir(w, err);
	fd = open_quietly(dir_fd, name, OPEN_DIR);
	if (fd < 0) {
		int failed = errno;

		rc = warn_skipped(w, failed, err);
		return rc < 0 || failed == ENOENT ? rc : push_empty_dir(w, err);
	}
	if (fstat(fd, &now) != 0)
		rc = cf_err_errno(err, errno, "stat %s", path_of(w));
	else if (!same_inode(st, &now))
		rc = cf_files_attrs_fill(&w->attrs, w->ctx, dir_fd, name, &now, path_of(w), err);
	if (rc < 0 || stays_out(w, &now)) {
		close(fd);
		return rc < 0 ? rc : push_empty_dir(w, err);
	}
	return begin_dir(w, fd, &now, err);
}

static bool is_excluded(const struct walk *w, const struct stat *st)
{
	return cf_exclude_match(w->options->exclude, path_of(w) + w->root_len + 1,
				S_ISDIR(st->st_mode));
}

static int visit(struct walk *w, const char *name, struct cf_err *err)
{
	struct cf_files_frame *top = cf_files_stack_top(&w->stack);
	int dir_fd = top->fd;
	struct stat st;
	int rc = cf_files_stack_enter(&w->stack, name, err);

	if (rc < 0)
		return rc;
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0)
		return warn_skipped(w, errno, err);
	if (is_excluded(w, &st))
		return 0;
	rc = cf_files_attrs_fill(&w->attrs, w->ctx, dir_fd, name, &st, path_of(w), err);
	if (rc == CF_ERR_NOT_FOUND) {
		cf_err_clear(err);
		return warn_skipped(w, ENOENT, err);
	}
	if (rc < 0)
		return rc;
	if (S_ISDIR(st.st_mode))
		return visit_dir(w, dir_fd, name, &st, err);
	if (S_ISREG(st.st_mode))
		return visit_file(w, dir_fd, name, &st, err);
	return w->sink->ops->node(w->sink, top->dir, &w->attrs.entry, err);
}

static int leave_dir(struct walk *w, struct cf_err *err)
{
	struct cf_files_frame *top = cf_files_stack_top(&w->stack);
	int rc = w->sink->ops->dir_end(w->sink, top->dir, NULL, err);

	if (rc < 0)
		return rc;
	cf_files_stack_pop(&w->stack);
	top = cf_files_stack_top(&w->stack);
	if (!top || top->fd >= 0 || top->next >= top->listing.n_names)
		return 0;
	rc = cf_files_stack_enter(&w->stack, NULL, err);
	if (rc == 0)
		cf_ctx_warn(w->ctx, "file.vanished", path_of(w),
			    "it was moved or removed while it was read; %zu entries are missing",
			    top->listing.n_names - top->next);
	top->next = top->listing.n_names;
	return rc;
}

static int walk_all(struct walk *w, struct cf_err *err)
{
	struct cf_files_frame *top;
	int rc = 0;

	while (rc == 0 && (top = cf_files_stack_top(&w->stack))) {
		rc = cf_ctx_check(w->ctx, err);
		if (rc == 0 && top->next < top->listing.n_names)
			rc = visit(w, top->listing.names[top->next++], err);
		else if (rc == 0)
			rc = leave_dir(w, err);
	}
	return rc;
}

/* The root of a source that is one file: a plain folder with the file's owner and time. */
static int begin_root_of_one(struct walk *w, int fd, const char *only, const struct stat *dir_st,
			     struct cf_err *err)
{
	struct cf_files_listing listing = {0};
	struct cf_entry root = {.type = CF_ENTRY_DIR, .name = "", .mode = 0755};
	struct cf_dir *dir = NULL;
	struct stat st;
	int rc;

	if (fstatat(fd, only, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		w->attrs.entry = (struct cf_entry){.name = ""};
		rc = cf_files_attrs_stat(&w->attrs, &st, err);
		root.uid = st.st_uid;
		root.gid = st.st_gid;
		root.user = w->attrs.entry.user;
		root.group = w->attrs.entry.group;
		root.mtime_ns = w->attrs.entry.mtime_ns;
	} else {
		rc = cf_err_errno(err, errno, "%s/%s", path_of(w), only);
	}
	if (rc == 0)
		rc = cf_files_listing_one(&listing, only, err);
	if (rc == 0)
		rc = w->sink->ops->dir_begin(w->sink, NULL, &root, CF_DIR_SORTED, &dir, err);
	if (rc < 0) {
		close(fd);
		cf_files_listing_release(&listing);
		return rc;
	}
	return cf_files_stack_push(&w->stack, fd, dir_st, &listing, dir, err);
}

static int begin_root(struct walk *w, int root_fd, const char *only, struct cf_err *err)
{
	int fd = openat(root_fd, ".", OPEN_DIR);
	struct stat st;
	int rc;

	if (fd < 0 || fstat(fd, &st) != 0) {
		rc = cf_err_errno(err, errno, "open %s", path_of(w));
		if (fd >= 0)
			close(fd);
		return rc;
	}
	w->root_dev = st.st_dev;
	if (only)
		return begin_root_of_one(w, fd, only, &st, err);
	rc = cf_files_attrs_fill(&w->attrs, w->ctx, fd, ".", &st, path_of(w), err);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	w->attrs.entry.name = "";
	return begin_dir(w, fd, &st, err);
}

int cf_files_walk_run(const struct cf_ctx *ctx, const struct cf_files_walk_options *options,
		      int root_fd, const char *path, const char *only, struct cf_sink *sink,
		      struct cf_err *err)
{
	struct walk w = {.ctx = ctx, .options = options, .sink = sink, .is_only = only != NULL};
	int rc = 0;

	w.buffer = malloc(CF_FILES_READ_LEN);
	if (!w.buffer)
		rc = cf_err_nomem(err);
	if (rc == 0 && strcmp(path, "/") != 0)
		rc = cf_buf_append_str(&w.stack.path, path, err);
	w.root_len = w.stack.path.len;
	if (rc == 0)
		rc = cf_files_stack_enter(&w.stack, NULL, err);
	if (rc == 0)
		rc = begin_root(&w, root_fd, only, err);
	if (rc == 0)
		rc = walk_all(&w, err);
	cf_files_stack_release(&w.stack);
	cf_files_attrs_release(&w.attrs);
	free(w.buffer);
	return rc;
}
