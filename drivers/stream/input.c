#include "drivers/stream/input.h"

#include "base/ctx.h"
#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#define POLL_MS 200

/* Waits until a read would not block. A descriptor that poll knows nothing about (a file) is ready.
 */
static int wait_readable(int fd, const char *name, const struct cf_ctx *ctx, struct cf_err *err)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	for (;;) {
		int rc = cf_ctx_check(ctx, err);
		int n;

		if (rc < 0)
			return rc;
		n = poll(&pfd, 1, POLL_MS);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return cf_err_errno(err, errno, "cannot read %s", name);
	}
}

int cf_input_read(int fd, const char *name, void *data, size_t len, const struct cf_ctx *ctx,
		  size_t *len_out, struct cf_err *err)
{
	for (;;) {
		int rc = wait_readable(fd, name, ctx, err);
		ssize_t n;

		if (rc < 0)
			return rc;
		n = read(fd, data, len);
		if (n >= 0) {
			*len_out = (size_t)n;
			return 0;
		}
		if (errno != EINTR && errno != EAGAIN)
			return cf_err_errno(err, errno, "cannot read %s", name);
	}
}

bool cf_input_stdin_is_open(void)
{
	int flags = fcntl(STDIN_FILENO, F_GETFL);

	return flags >= 0 && (flags & O_ACCMODE) != O_WRONLY;
}
