#include "cli/key_command.h"

#include "base/err.h"
#include "base/id.h"
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	OUTPUT_MAX = 64 << 10,
	KEY_LEN = 32,
	KEY_TEXT_LEN = 2 * KEY_LEN,
	POLL_MS = 200 /* to see a signal that came before the poll */
};

extern char **environ;

struct child {
	pid_t pid;
	int in, out; /* our ends; -1: closed */
};

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* 0 or an errno value. */
static int spawn_shell(const char *line, const int in[2], const int out[2], pid_t *pid_out)
{
	posix_spawn_file_actions_t actions;
	char shell[] = "sh", option[] = "-c", *text = strdup(line);
	char *argv[] = {shell, option, text, NULL};
	int rc = text ? posix_spawn_file_actions_init(&actions) : ENOMEM;

	if (rc == 0) {
		rc = posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
		if (rc == 0)
			rc = posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
		if (rc == 0)
			rc = posix_spawn(pid_out, "/bin/sh", &actions, NULL, argv, environ);
		posix_spawn_file_actions_destroy(&actions);
	}
	free(text);
	return rc;
}

static int start(const char *line, struct child *child, struct cf_err *err)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1}, rc = 0;

	*child = (struct child){.in = -1, .out = -1};
	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
		rc = errno;
	if (rc == 0)
		rc = spawn_shell(line, in, out, &child->pid);
	close_end(&in[0]);
	close_end(&out[1]);
	if (rc == 0 &&
	    (fcntl(in[1], F_SETFL, O_NONBLOCK) != 0 || fcntl(out[0], F_SETFL, O_NONBLOCK) != 0))
		rc = errno;
	child->in = in[1];
	child->out = out[0];
	return rc == 0 ? 0 : cf_err_errno(err, rc, "run '%s'", line);
}

/* Write some of what is left; a command may end without reading it all. */
static void feed(struct child *child, struct cf_span *left)
{
	ssize_t n = write(child->in, left->data, left->len);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		left->len = 0;
	if (n > 0) {
		left->data += n;
		left->len -= (size_t)n;
	}
	if (left->len == 0)
		close_end(&child->in);
}

/* Read some; the end closes it. */
static int drain(struct child *child, const char *line, struct cf_secret *room, size_t *len,
		 struct cf_err *err)
{
	ssize_t n = read(child->out, cf_secret_data(room) + *len, OUTPUT_MAX + 1 - *len);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0)
		return cf_err_errno(err, errno, "read from '%s'", line);
	if (n == 0)
		close_end(&child->out);
	*len += (size_t)n;
	if (*len > OUTPUT_MAX)
		return cf_err_set(err, CF_ERR_KEY,
				  "the key command '%s' printed more than %d bytes", line,
				  OUTPUT_MAX);
	return 0;
}

/* Give it its input and take its output, whichever it wants first. */
static int converse(struct child *child, const struct cf_key_command *command, const char *line,
		    struct cf_span input, struct cf_secret *room, size_t *len, struct cf_err *err)
{
	int rc = 0;

	if (input.len == 0)
		close_end(&child->in);
	while (rc == 0 && child->out >= 0) {
		struct pollfd fds[] = {{.fd = child->out, .events = POLLIN},
				       {.fd = child->in, .events = POLLOUT}};

		rc = cf_ctx_check(command->ctx, err);
		if (rc < 0 || poll(fds, 2, POLL_MS) <= 0)
			continue;
		if (fds[1].revents)
			feed(child, &input);
		if (fds[0].revents)
			rc = drain(child, line, room, len, err);
	}
	return rc;
}

static int finish(struct child *child, const char *line, int rc, struct cf_err *err)
{
	int status = 0;
	pid_t pid;

	close_end(&child->in);
	close_end(&child->out);
	if (child->pid <= 0)
		return rc;
	if (rc < 0)
		kill(child->pid, SIGTERM);
	do {
		pid = waitpid(child->pid, &status, 0);
	} while (pid < 0 && errno == EINTR);
	if (rc < 0)
		return rc;
	if (pid < 0 || !WIFEXITED(status))
		return cf_err_set(err, CF_ERR_KEY, "the key command '%s' was killed", line);
	if (WEXITSTATUS(status) != 0)
		return cf_err_set(err, CF_ERR_KEY, "the key command '%s' exited with status %d",
				  line, WEXITSTATUS(status));
	return 0;
}

/* Run "CMD verb". *room_out, of which *len_out bytes are filled, is to be freed; *line_out too, in
 * either case. */
static int run(const struct cf_key_command *command, const char *verb, struct cf_span input,
	       char **line_out, struct cf_secret **room_out, size_t *len_out, struct cf_err *err)
{
	struct cf_secret *room = NULL;
	struct child child;
	size_t len = 0;
	int rc;

	if (asprintf(line_out, "%s %s", command->line, verb) < 0) {
		*line_out = NULL;
		return cf_err_nomem(err);
	}
	rc = cf_secret_new(OUTPUT_MAX + 1, &room, err);
	if (rc < 0)
		return rc;
	rc = start(*line_out, &child, err);
	if (rc == 0)
		rc = converse(&child, command, *line_out, input, room, &len, err);
	rc = finish(&child, *line_out, rc, err);
	if (rc < 0) {
		cf_secret_free(room);
		return rc;
	}
	*room_out = room;
	*len_out = len;
	return 0;
}

static int wrap_key(void *user, struct cf_span key, struct cf_buf *wrapped_out, struct cf_err *err)
{
	struct cf_secret *text = NULL, *room = NULL;
	char *line = NULL;
	size_t len = 0;
	int rc = cf_secret_new(KEY_TEXT_LEN + 1, &text, err);

	if (rc == 0) {
		cf_hex_encode(key.data, KEY_LEN, (char *)cf_secret_data(text));
		cf_secret_data(text)[KEY_TEXT_LEN] = '\n';
		rc = run(user, "wrap", cf_secret_span(text), &line, &room, &len, err);
	}
	if (rc == 0 && len == 0)
		rc = cf_err_set(err, CF_ERR_KEY, "the key command '%s' printed nothing", line);
	if (rc == 0)
		rc = cf_buf_append(wrapped_out, cf_secret_data(room), len, err);
	cf_secret_free(text);
	cf_secret_free(room);
	free(line);
	return rc;
}

/* The digits of a key, with white space behind them at most. */
static bool parse_key(struct cf_secret *room, size_t len, uint8_t *key_out)
{
	char *text =
		(char *)cf_secret_data(room); /* one byte longer than any output, and zero there */

	while (len > 0 && strchr(" \t\r\n", text[len - 1]))
		len--;
	text[len] = '\0';
	return len == KEY_TEXT_LEN && cf_hex_decode(text, key_out, KEY_LEN);
}

static int unwrap_key(void *user, struct cf_span wrapped, struct cf_secret **key_out,
		      struct cf_err *err)
{
	struct cf_secret *room = NULL, *key = NULL;
	char *line = NULL;
	size_t len = 0;
	int rc = cf_secret_new(KEY_LEN, &key, err);

	if (rc == 0)
		rc = run(user, "unwrap", wrapped, &line, &room, &len, err);
	if (rc == 0 && !parse_key(room, len, cf_secret_data(key)))
		rc = cf_err_set(err, CF_ERR_KEY,
				"the key command '%s' printed no key (%d hexadecimal digits)", line,
				KEY_TEXT_LEN);
	cf_secret_free(room);
	free(line);
	if (rc == 0)
		*key_out = key;
	else
		cf_secret_free(key);
	return rc;
}

struct cf_key_wrapper cf_key_command_wrapper(struct cf_key_command *command)
{
	return (struct cf_key_wrapper){.wrap = wrap_key, .unwrap = unwrap_key, .user = command};
}
