#include "drivers/tar/member.h"

#include "base/ctx.h"
#include "base/err.h"
#include "drivers/tar/acl.h"
#include "drivers/timestamp.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>

#define NOBODY	   65534
#define XATTRS_MAX 1000

static const char *const acl_names[2] = {"system.posix_acl_access", "system.posix_acl_default"};

static bool convert_type(mode_t filetype, enum cf_entry_type *out)
{
	switch (filetype) {
	case AE_IFREG:
		*out = CF_ENTRY_FILE;
		return true;
	case AE_IFDIR:
		*out = CF_ENTRY_DIR;
		return true;
	case AE_IFLNK:
		*out = CF_ENTRY_SYMLINK;
		return true;
	case AE_IFIFO:
		*out = CF_ENTRY_FIFO;
		return true;
	case AE_IFSOCK:
		*out = CF_ENTRY_SOCKET;
		return true;
	case AE_IFCHR:
		*out = CF_ENTRY_CHARDEV;
		return true;
	case AE_IFBLK:
		*out = CF_ENTRY_BLOCKDEV;
		return true;
	default:
		return false;
	}
}

static int64_t take_time(struct archive_entry *from, const char *path, const struct cf_ctx *ctx)
{
	if (!archive_entry_mtime_is_set(from))
		return cf_ctx_now_ns(ctx);
	cf_timestamp_check(ctx, path, archive_entry_mtime(from));
	return cf_timestamp_ns(archive_entry_mtime(from), archive_entry_mtime_nsec(from));
}

static uint32_t convert_id(int64_t id, const char *path, const struct cf_ctx *ctx)
{
	if (id >= 0 && id < UINT32_MAX)
		return (uint32_t)id;
	cf_ctx_warn(ctx, "tar.owner", path, "owner %lld does not exist on Linux: %d is stored",
		    (long long)id, NOBODY);
	return NOBODY;
}

static const char *text_or_null(const char *text)
{
	return text && text[0] ? text : NULL;
}

static int add_xattr(struct cf_tar_member *member, const char *name, struct cf_span value,
		     struct cf_err *err)
{
	if (member->n_xattrs == member->max_xattrs) {
		size_t max = member->max_xattrs ? 2 * member->max_xattrs : 8;
		struct cf_xattr *more = realloc(member->xattrs, max * sizeof(*more));

		if (!more)
			return cf_err_nomem(err);
		member->xattrs = more;
		member->max_xattrs = max;
	}
	member->xattrs[member->n_xattrs++] = (struct cf_xattr){.name = name, .value = value};
	return 0;
}

static bool has_xattr(const struct cf_tar_member *member, const char *name)
{
	for (size_t i = 0; i < member->n_xattrs; i++)
		if (strcmp(member->xattrs[i].name, name) == 0)
			return true;
	return false;
}

static int take_xattrs(struct cf_tar_member *member, struct archive_entry *from, const char *path,
		       const struct cf_ctx *ctx, struct cf_err *err)
{
	const char *name;
	const void *value;
	size_t len;
	int rc = 0;

	archive_entry_xattr_reset(from);
	while (rc == 0 && archive_entry_xattr_next(from, &name, &value, &len) == ARCHIVE_OK) {
		if (!name || !name[0] || has_xattr(member, name))
			continue;
		if (member->n_xattrs == XATTRS_MAX) {
			cf_ctx_warn(ctx, "tar.xattrs", path,
				    "only the first %d extended attributes are stored", XATTRS_MAX);
			break;
		}
		rc = add_xattr(member, name, cf_span_of(value, len), err);
	}
	return rc;
}

static int take_acls(struct cf_tar_member *member, struct archive_entry *from, const char *path,
		     const struct cf_ctx *ctx, struct cf_err *err)
{
	static const int types[2] = {ARCHIVE_ENTRY_ACL_TYPE_ACCESS, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT};
	bool all_ok = true;
	int rc = 0;

	if (archive_entry_acl_types(from) == 0)
		return 0;
	for (size_t i = 0; rc == 0 && i < 2; i++) {
		bool ok;

		if (has_xattr(member, acl_names[i]))
			continue;
		rc = cf_tar_acl_encode(from, types[i], &member->acls[i], &ok, err);
		if (rc == 0 && member->acls[i].len)
			rc = add_xattr(member, acl_names[i], cf_buf_span(&member->acls[i]), err);
		all_ok = all_ok && (rc < 0 || ok);
	}
	if (!all_ok)
		cf_ctx_warn(ctx, "tar.acl", path,
			    "its access control list has no POSIX form with numbers: "
			    "not stored");
	return rc;
}

static const char *last_component(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

int cf_tar_member_fill(struct cf_tar_member *member, struct archive_entry *from, const char *path,
		       const struct cf_ctx *ctx, bool *known_out, struct cf_err *err)
{
	struct cf_entry *entry = &member->entry;
	mode_t filetype = archive_entry_filetype(from);
	int rc;

	member->n_xattrs = 0;
	*entry = (struct cf_entry){
		.name = last_component(path),
		.mode = archive_entry_perm(from) & 07777,
		.uid = convert_id(archive_entry_uid(from), path, ctx),
		.gid = convert_id(archive_entry_gid(from), path, ctx),
		.user = text_or_null(archive_entry_uname(from)),
		.group = text_or_null(archive_entry_gname(from)),
		.nlink = 1,
	};
	/* Some formats give another name of a file no type. */
	*known_out = convert_type(filetype, &entry->type);
	if (!*known_out && archive_entry_hardlink(from)) {
		entry->type = CF_ENTRY_FILE;
		*known_out = true;
	}
	if (!*known_out)
		return 0;
	entry->mtime_ns = take_time(from, path, ctx);
	if (entry->type == CF_ENTRY_FILE && archive_entry_size_is_set(from) &&
	    archive_entry_size(from) > 0)
		entry->size = (uint64_t)archive_entry_size(from);
	if (entry->type == CF_ENTRY_SYMLINK)
		entry->target = archive_entry_symlink(from);
	if (entry->type == CF_ENTRY_CHARDEV || entry->type == CF_ENTRY_BLOCKDEV) {
		entry->rdev_major = (uint32_t)archive_entry_rdevmajor(from);
		entry->rdev_minor = (uint32_t)archive_entry_rdevminor(from);
	}
	rc = take_xattrs(member, from, path, ctx, err);
	if (rc == 0)
		rc = take_acls(member, from, path, ctx, err);
	entry->xattrs = member->xattrs;
	entry->n_xattrs = member->n_xattrs;
	return rc;
}

void cf_tar_member_release(struct cf_tar_member *member)
{
	free(member->xattrs);
	cf_buf_release(&member->acls[0]);
	cf_buf_release(&member->acls[1]);
	*member = (struct cf_tar_member){0};
}
