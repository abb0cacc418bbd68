#include "cli/prompt.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* A line into secret's bytes; poll, because it alone returns on a signal however handlers are
 * installed. */
static int read_line(int fd, const struct cf_ctx *ctx, struct cf_secret *line, size_t *len_out,
		     struct cf_err *err)
{
	uint8_t *data = cf_secret_data(line);
	size_t len = 0;

	for (;;) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		ssize_t n;
		int rc = cf_ctx_check(ctx, err);

		if (rc < 0)
			return rc;
		if (poll(&ready, 1, -1) < 0 && errno == EINTR)
			continue;
		n = read(fd, data + len, CF_PROMPT_LEN_MAX - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cf_err_errno(err, errno, "read the password from the terminal");
		len += (size_t)n;
		if (n == 0 || data[len - 1] == '\n')
			break;
		if (len == CF_PROMPT_LEN_MAX)
			return cf_err_set(err, CF_ERR_KEY, "the password is too long");
	}
	*len_out = len > 0 && data[len - 1] == '\n' ? len - 1 : len;
	return 0;
}

static int ask(int fd, const struct cf_ctx *ctx, const char *question,
	       struct cf_secret **secret_out, struct cf_err *err)
{
	struct cf_secret *line = NULL;
	size_t len = 0;
	int rc = cf_fd_write_all(fd, "the terminal", cf_span_str(question), err);

	if (rc == 0)
		rc = cf_secret_new(CF_PROMPT_LEN_MAX, &line, err);
	if (rc == 0) {
		rc = read_line(fd, ctx, line, &len, err);
		/* The newline the user typed was not echoed. */
		cf_fd_write_all(fd, "the terminal", cf_span_str("\n"), NULL);
	}
	if (rc == 0)
		rc = cf_secret_copy(cf_span_of(cf_secret_data(line), len), secret_out, err);
	cf_secret_free(line);
	return rc;
}

static int ask_again(int fd, const struct cf_ctx *ctx, const struct cf_secret *first,
		     struct cf_err *err)
{
	struct cf_secret *second = NULL;
	struct cf_span a = cf_secret_span(first), b;
	int rc = ask(fd, ctx, "the same password again: ", &second, err);

	if (rc == 0) {
		b = cf_secret_span(second);
		if (a.len != b.len || memcmp(a.data, b.data, a.len) != 0)
			rc = cf_err_set(err, CF_ERR_KEY, "the two passwords differ");
	}
	cf_secret_free(second);
	return rc;
}

int cf_prompt_password(const struct cf_ctx *ctx, const char *question, bool twice, const char *instead,
		       struct cf_secret **secret_out, struct cf_err *err)
{
	struct cf_secret *secret = NULL;
	struct termios before, silent;
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY), rc;

	if (fd < 0 || tcgetattr(fd, &before) != 0) {
		if (fd >= 0)
			close(fd);
		return cf_err_set(err, CF_ERR_KEY, "no password, and no terminal to ask for it; use %s",
				  instead);
	}
	silent = before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	silent.c_lflag |= ICANON;
	tcsetattr(fd, TCSAFLUSH, &silent);
	rc = ask(fd, ctx, question, &secret, err);
	if (rc == 0 && twice && cf_secret_span(secret).len > 0)
		rc = ask_again(fd, ctx, secret, err);
	tcsetattr(fd, TCSAFLUSH, &before);
	close(fd);
	if (rc == 0)
		*secret_out = secret;
	else
		cf_secret_free(secret);
	return rc;
}
