/*
 * Telling a bad sector from a store that is gone: both are reads that fail. Something of one object is lost when it cannot be read
 * a second time either, while the store can, before that and afterwards.
 */

#include "backends/local_store.h"
#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The object that every repository has. Who cannot read this one cannot open the repository, so it is never judged itself. */
#define PROBE "config"

/* Also what a file system says of structures of its own that make no sense any more. */
static bool is_unreadable(int errno_value)
{
	return errno_value == EIO || errno_value == EBADMSG || errno_value == EUCLEAN || errno_value == ENODATA;
}

int cf_local_errno(struct cf_local *local, int errno_value, const char *verb, const char *name, struct cf_err *err)
{
	int rc = cf_err_errno(err, errno_value, "%s %s/%s", verb, local->base.url, name);

	return is_unreadable(errno_value) ? CF_LOCAL_UNREADABLE : rc;
}

/* From the disk: what memory has kept says nothing about it. */
static bool can_read_store(struct cf_local *local)
{
	int fd = openat(local->root_fd, PROBE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	uint8_t byte;
	bool can;

	if (fd < 0)
		return false;
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	can = pread(fd, &byte, 1, 0) == 1;
	close(fd);
	return can;
}

static int say_damaged(struct cf_err *err)
{
	char text[CF_ERR_TEXT_MAX];

	if (!err)
		return CF_ERR_DAMAGED;
	snprintf(text, sizeof(text), "%s", err->text);
	return cf_err_set(err, CF_ERR_DAMAGED, "%s, again and again, while other objects can be read", text);
}

int cf_local_try(struct cf_local *local, cf_local_attempt_fn *attempt, void *args, struct cf_err *err)
{
	int rc = attempt(local, args, err);

	if (rc != CF_LOCAL_UNREADABLE)
		return rc;
	if (!can_read_store(local))
		return CF_ERR_FAILED;
	cf_err_clear(err);
	rc = attempt(local, args, err);
	if (rc != CF_LOCAL_UNREADABLE)
		return rc;
	return can_read_store(local) ? say_damaged(err) : CF_ERR_FAILED;
}
