#include "drivers/tar/unpack.h"

#include "base/ctx.h"
#include "base/err.h"
#include "drivers/tar/member.h"
#include "drivers/tar/reader.h"
#include "drivers/tar/tree.h"

#include <archive_entry.h>
#include <limits.h>
#include <locale.h>
#include <string.h>

struct unpack {
	const struct cf_ctx *ctx;
	struct cf_sink *sink;
	struct cf_tar_reader *reader;
	struct cf_tar_tree tree;
	struct cf_tar_member member;
	struct cf_buf path, parent, from; /* clean paths */
};

static const char *text(const struct cf_buf *buf)
{
	return (const char *)buf->data;
}

/* Content in pieces with gaps between them, which are holes. */
static int copy_content(struct unpack *u, struct cf_file *file, uint64_t size, uint64_t *len_out,
			struct cf_err *err)
{
	const struct cf_sink_ops *ops = u->sink->ops;
	uint64_t at = 0, off = 0;
	struct cf_span data;
	int rc = 0, got;

	while ((got = cf_tar_reader_data(u->reader, &data, &off, err)) > 0) {
		if (off < at)
			return cf_err_set(err, CF_ERR_FAILED, "%s: its pieces overlap",
					  text(&u->path));
		if (off > at)
			rc = ops->file_hole(u->sink, file, off - at, err);
		if (rc == 0 && data.len)
			rc = ops->file_write(u->sink, file, data, err);
		if (rc < 0)
			return rc;
		at = off + data.len;
	}
	if (got < 0)
		return got;
	if (at < size)
		rc = ops->file_hole(u->sink, file, size - at, err);
	*len_out = at < size ? size : at;
	return rc;
}

static int store_file(struct unpack *u, struct cf_dir *dir, struct cf_err *err)
{
	const struct cf_sink_ops *ops = u->sink->ops;
	struct cf_entry *entry = &u->member.entry;
	struct cf_file *file = NULL;
	int rc = ops->file_begin(u->sink, dir, entry, NULL, &file, err);

	if (rc < 0)
		return rc;
	if (!file)
		return cf_tar_reader_skip(u->reader, err);
	rc = copy_content(u, file, entry->size, &entry->size, err);
	if (rc == 0)
		return ops->file_end(u->sink, file, entry, err);
	ops->file_abort(u->sink, file);
	return rc;
}

/* The folder of a clean path, opened. */
static int open_parent(struct unpack *u, const char *path, struct cf_dir **dir_out,
		       struct cf_err *err)
{
	const char *slash = strrchr(path, '/');
	int rc;

	cf_buf_clear(&u->parent);
	rc = cf_buf_append(&u->parent, path, slash ? (size_t)(slash - path) : 0, err);
	if (rc == 0)
		rc = cf_buf_append(&u->parent, "", 1, err);
	return rc < 0 ? rc : cf_tar_tree_dir(&u->tree, text(&u->parent), dir_out, err);
}

/*
 * In cpio the last name of a file carries the content, the earlier ones came without: the first
 * name then becomes another name of the last.
 */
static int store_late_content(struct unpack *u, struct cf_dir *dir, unsigned nlink,
			      struct cf_err *err)
{
	struct cf_entry entry;
	struct cf_dir *from_dir;
	int rc = store_file(u, dir, err);

	if (rc == 0 && nlink > 2)
		cf_ctx_warn(u->ctx, "tar.link", text(&u->path),
			    "of its %u names only this and %s have its content", nlink,
			    text(&u->from));
	if (rc == 0)
		rc = open_parent(u, text(&u->from), &from_dir, err);
	if (rc < 0)
		return rc;
	entry = u->member.entry;
	entry.name =
		strrchr(text(&u->from), '/') ? strrchr(text(&u->from), '/') + 1 : text(&u->from);
	return u->sink->ops->link(u->sink, from_dir, &entry, text(&u->path), err);
}

static int store_link(struct unpack *u, struct cf_dir *dir, struct archive_entry *member,
		      struct cf_err *err)
{
	bool ok;
	int rc;

	cf_buf_clear(&u->from);
	rc = cf_tar_path_clean(archive_entry_hardlink(member), &u->from, &ok, err);
	if (rc < 0)
		return rc;
	if (strcmp(text(&u->from), text(&u->path)) == 0)
		return 0;
	if (ok && !cf_tar_reader_is_tar(u->reader) && u->member.entry.size > 0 &&
	    !cf_tar_tree_has(&u->tree, text(&u->from)))
		return store_late_content(u, dir, archive_entry_nlink(member), err);
	rc = ok ? u->sink->ops->link(u->sink, dir, &u->member.entry, text(&u->from), err)
		: CF_ERR_NOT_FOUND;
	if (rc != CF_ERR_NOT_FOUND)
		return rc;
	cf_ctx_warn(u->ctx, "tar.link", text(&u->path),
		    "skipped: it is another name of %s, which is not in this archive before it",
		    archive_entry_hardlink(member));
	cf_err_clear(err);
	return 0;
}

static int store_in_parent(struct unpack *u, struct archive_entry *member, struct cf_err *err)
{
	struct cf_dir *dir;
	int rc;

	if (cf_tar_tree_has(&u->tree, text(&u->path))) {
		cf_ctx_warn(u->ctx, "tar.twice", text(&u->path),
			    "skipped: the archive has a folder of this name already");
		return 0;
	}
	rc = open_parent(u, text(&u->path), &dir, err);
	if (rc < 0)
		return rc;
	if (archive_entry_hardlink(member))
		return store_link(u, dir, member, err);
	if (u->member.entry.type == CF_ENTRY_FILE)
		return store_file(u, dir, err);
	return u->sink->ops->node(u->sink, dir, &u->member.entry, err);
}

static int store_member(struct unpack *u, struct archive_entry *member, struct cf_err *err)
{
	const char *raw = archive_entry_pathname(member);
	bool ok = false;
	int rc = 0;

	cf_buf_clear(&u->path);
	if (raw)
		rc = cf_tar_path_clean(raw, &u->path, &ok, err);
	if (rc < 0)
		return rc;
	if (!ok) {
		cf_ctx_warn(u->ctx, "tar.path", raw,
			    "skipped: its path has a \"..\", is too long or cannot be read");
		return 0;
	}
	if (!cf_tar_path_restorable(text(&u->path)))
		cf_ctx_warn(
			u->ctx, "tar.name", text(&u->path),
			"stored, but it cannot be restored into a folder: a name in its path is "
			"longer than %d bytes",
			NAME_MAX);
	rc = cf_tar_member_fill(&u->member, member, text(&u->path), u->ctx, &ok, err);
	if (rc < 0)
		return rc;
	if (!ok || (u->member.entry.type == CF_ENTRY_SYMLINK && !u->member.entry.target)) {
		cf_ctx_warn(u->ctx, "tar.type", raw, "skipped: a member of unknown type");
		return 0;
	}
	if (u->member.entry.type == CF_ENTRY_DIR)
		return cf_tar_tree_set(&u->tree, text(&u->path), &u->member.entry, err);
	if (text(&u->path)[0] == '\0') {
		cf_ctx_warn(u->ctx, "tar.path", raw, "skipped: a file cannot be the root");
		return 0;
	}
	return store_in_parent(u, member, err);
}

static int store_members(struct unpack *u, struct cf_err *err)
{
	struct archive_entry *member;
	int rc, got;

	while ((got = cf_tar_reader_next(u->reader, &member, err)) > 0) {
		rc = cf_ctx_check(u->ctx, err);
		if (rc == 0)
			rc = store_member(u, member, err);
		/* What was not read of it; also where the member ends, see end() of the reader. */
		if (rc == 0)
			rc = cf_tar_reader_skip(u->reader, err);
		if (rc < 0)
			return rc;
	}
	return got < 0 ? got : cf_tar_reader_drain(u->reader, err);
}

static int send_facts(struct unpack *u, struct cf_err *err)
{
	struct cf_buf filter = CF_BUF_INIT;
	int rc = 0;

	if (!u->sink->ops->fact)
		return 0;
	rc = cf_tar_reader_filter(u->reader, &filter, err);
	if (rc == 0)
		rc = u->sink->ops->fact(u->sink, "tar.format", cf_tar_reader_format(u->reader),
					err);
	if (rc == 0)
		rc = u->sink->ops->fact(u->sink, "tar.filter", text(&filter), err);
	cf_buf_release(&filter);
	return rc;
}

static int unpack_all(struct unpack *u, struct cf_err *err)
{
	int rc = cf_tar_tree_begin(&u->tree, u->sink, cf_ctx_now_ns(u->ctx), err);

	if (rc == 0)
		rc = store_members(u, err);
	if (rc == 0)
		rc = send_facts(u, err);
	if (rc == 0)
		rc = cf_tar_tree_end(&u->tree, err);
	return rc;
}

int cf_tar_unpack(int fd, const char *name, const struct cf_ctx *ctx, struct cf_sink *sink,
		  struct cf_err *err)
{
	struct unpack u = {.ctx = ctx, .sink = sink};
	/* libarchive turns the names of some formats from UTF-8 into the locale's characters: names
	 * here are UTF-8 wherever this runs, for this thread only. */
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	locale_t before = utf8 ? uselocale(utf8) : (locale_t)0;
	int rc = cf_tar_reader_new(fd, name, ctx, &u.reader, err);

	if (rc == 0)
		rc = unpack_all(&u, err);
	cf_tar_tree_release(&u.tree);
	cf_tar_member_release(&u.member);
	cf_tar_reader_free(u.reader);
	cf_buf_release(&u.path);
	cf_buf_release(&u.parent);
	cf_buf_release(&u.from);
	if (utf8) {
		uselocale(before);
		freelocale(utf8);
	}
	return rc;
}
