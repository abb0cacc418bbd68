/* Running a client program: cf_pg_program_run() of program.h. */

#include "base/ctx.h"
#include "base/err.h"
#include "drivers/postgres/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	TICK_MS = 100,
	NAP_NS = 5 * 1000000,
	TERM_GRACE_NAPS = 400,
	PIECE_LEN = 64 * 1024,
	LINE_MAX_LEN = 4096, /* of standard error; the rest of a longer line is dropped */
	ERRORS_MAX_LEN = 800
};

extern char **environ;

struct process {
	const struct cf_pg_run *run;
	const struct cf_ctx *ctx;
	const char *name;
	pid_t pid;	 /* also its group; 0 once it is reaped */
	int out_fd, err_fd;
	struct cf_buf line;   /* of standard error, so far */
	struct cf_buf held;   /* an error of which the next line says whether it is harmless */
	int n_harmless;
	bool is_forgiven;     /* nothing else failed */
	struct cf_buf errors; /* lines that say why it fails */
	int (*take)(void *user, struct cf_span data, struct cf_err *err);
	void *user;
};

/* --- start --- */

static bool is_set(char *const *environment, const char *variable)
{
	size_t len = strcspn(variable, "=") + 1;

	for (; environment && *environment; environment++)
		if (strncmp(*environment, variable, len) == 0)
			return true;
	return false;
}

/* Ours, but for what would name another server or other messages than those we read. */
static bool is_inherited(const struct cf_pg_run *run, const char *variable)
{
	if (strncmp(variable, "LC_ALL=", 7) == 0 || strncmp(variable, "LANGUAGE=", 9) == 0 ||
	    strncmp(variable, "LC_MESSAGES=", 12) == 0)
		return false;
	return !run->environment || (strncmp(variable, "PG", 2) != 0 && !is_set(run->environment, variable));
}

/* An array to free(); the texts stay borrowed. */
static char **make_environment(const struct cf_pg_run *run)
{
	static char messages[] = "LC_MESSAGES=C";
	size_t n = 2, used = 0;
	char **all;

	for (char **at = environ; *at; at++)
		n++;
	for (char *const *at = run->environment; at && *at; at++)
		n++;
	all = calloc(n, sizeof(*all));
	if (!all)
		return NULL;
	for (char **at = environ; *at; at++)
		if (is_inherited(run, *at))
			all[used++] = *at;
	for (char *const *at = run->environment; at && *at; at++)
		all[used++] = *at;
	all[used] = messages;
	return all;
}

static char **make_arguments(const struct cf_pg_run *run)
{
	size_t n = 0;
	char **all;

	while (run->args[n])
		n++;
	all = calloc(n + 2, sizeof(*all));
	if (!all)
		return NULL;
	all[0] = run->program->path;
	/* execve() takes what it does not change as not const. */
	memcpy(&all[1], run->args, n * sizeof(*all));
	return all;
}

/* In the child, where only async-signal-safe functions may be called. */
static void exec_child(char **args, char **environment, int in, int out, int errors, pid_t parent)
{
	sigset_t none;

	/* However we end, kill -9 included, it does not go on alone with its locks on the server. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(127);
	setpgid(0, 0);
	for (int signal_no = 1; signal_no < NSIG; signal_no++)
		signal(signal_no, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(errors, STDERR_FILENO) < 0)
		_exit(127);
	execve(args[0], args, environment);
	_exit(127);
}

static int fork_child(struct process *process, char **args, char **environment, int in, int out, int errors,
		      struct cf_err *err)
{
	pid_t parent = getpid();

	/* Not posix_spawn(): that has no place for prctl(). */
	process->pid = fork();
	if (process->pid == 0)
		exec_child(args, environment, in, out, errors, parent);
	if (process->pid < 0) {
		process->pid = 0;
		return cf_err_errno(err, errno, "cannot run %s", process->name);
	}
	setpgid(process->pid, process->pid);
	return 0;
}

static int start(struct process *process, struct cf_err *err)
{
	char **args = make_arguments(process->run);
	char **environment = make_environment(process->run);
	int out[2] = {-1, -1}, errors[2] = {-1, -1};
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int rc = 0;

	if (!args || !environment)
		rc = cf_err_nomem(err);
	else if (null_fd < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(errors, O_CLOEXEC) < 0)
		rc = cf_err_errno(err, errno, "cannot run %s", process->name);
	else
		rc = fork_child(process, args, environment,
				process->run->input_fd >= 0 ? process->run->input_fd : null_fd, out[1],
				errors[1], err);
	process->out_fd = out[0];
	process->err_fd = errors[0];
	for (size_t i = 0; i < 3; i++) {
		int fd = i == 0 ? null_fd : i == 1 ? out[1] : errors[1];

		if (fd >= 0)
			close(fd);
	}
	free(args);
	free(environment);
	return rc;
}

/* --- what it says --- */

static const char *behind(const char *line, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(line, prefix, len) == 0 ? line + len : line;
}

static int fail(const struct process *process, struct cf_err *err)
{
	return cf_err_set(err, CF_ERR_FAILED, "%s: %.*s", process->name, (int)process->errors.len,
			  (const char *)process->errors.data);
}

/* What pg_restore --jobs says behind the reason. */
static bool is_of_worker(const struct process *process, const char *text)
{
	return process->errors.len > 0 && strcmp(text, "a worker process died unexpectedly") == 0;
}

/* "pg_dump: error: ..." is why it fails, with the lines that follow; "warning:" and the rest are ours to report. */
static int take_said(struct process *process, const char *line, struct cf_err *err)
{
	const char *text;

	if (process->run->said) {
		process->run->said(process->run->said_user, line);
		return 0;
	}
	text = behind(line, "error: ");
	if (text == line)
		text = behind(line, "fatal: ");
	if (text != line && process->errors.len > 0 && process->run->harmless)
		return fail(process, err);
	if (strncmp(line, "warning: ", 9) == 0) {
		cf_ctx_warn(process->ctx, "postgres.warning", process->name, "%s", line + 9);
	} else if (text != line || process->errors.len > 0) {
		if (process->errors.len < ERRORS_MAX_LEN && text[0] && !is_of_worker(process, text))
			return cf_buf_printf(&process->errors, err, "%s%s", process->errors.len ? "; " : "", text);
	} else if (line[0]) {
		cf_ctx_note(process->ctx, "postgres.said", process->name, "%s", line);
	}
	return 0;
}

/* True when the line is of a harmless failure alone. */
static bool is_of_harmless(struct process *process, const char *line)
{
	const char *statement = behind(line, "Command was: "), *count = behind(line, "warning: errors ignored on restore: ");
	const char *harmless = process->run->harmless;

	if (process->held.len > 0 && statement != line && strncmp(statement, harmless, strlen(harmless)) == 0) {
		process->n_harmless++;
		cf_buf_clear(&process->held);
		return true;
	}
	process->is_forgiven = count != line && process->n_harmless > 0 && atoi(count) == process->n_harmless;
	return process->is_forgiven;
}

static int release_held(struct process *process, struct cf_err *err)
{
	int rc = process->held.len > 0 ? take_said(process, (const char *)process->held.data, err) : 0;

	cf_buf_clear(&process->held);
	return rc;
}

static int take_error_line(struct process *process, struct cf_err *err)
{
	const char *line;
	int rc = cf_buf_append(&process->line, "", 1, err);

	if (rc < 0)
		return rc;
	line = behind((const char *)process->line.data, process->name);
	line = behind(line, ": ");
	if (!process->run->harmless || !is_of_harmless(process, line)) {
		rc = release_held(process, err);
		if (rc == 0 && process->run->harmless && behind(line, "error: ") != line)
			rc = cf_buf_append(&process->held, line, strlen(line) + 1, err);
		else if (rc == 0)
			rc = take_said(process, line, err);
	}
	cf_buf_clear(&process->line);
	return rc;
}

static int take_errors(struct process *process, struct cf_span data, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < data.len; i++) {
		if (data.data[i] == '\n')
			rc = take_error_line(process, err);
		else if (process->line.len < LINE_MAX_LEN)
			rc = cf_buf_append(&process->line, &data.data[i], 1, err);
	}
	return rc;
}

/* Read what there is; closes fd at its end. */
static int read_piece(struct process *process, int *fd, uint8_t *piece, struct cf_err *err)
{
	ssize_t n = read(*fd, piece, PIECE_LEN);

	if (n < 0)
		return errno == EINTR ? 0 : cf_err_errno(err, errno, "read from %s", process->name);
	if (n == 0) {
		close(*fd);
		*fd = -1;
		return 0;
	}
	if (fd == &process->err_fd)
		return take_errors(process, cf_span_of(piece, (size_t)n), err);
	return process->take ? process->take(process->user, cf_span_of(piece, (size_t)n), err) : 0;
}

static int check_stop(const struct process *process, struct cf_err *err)
{
	if (process->run->stop && atomic_load(process->run->stop))
		return cf_err_set(err, CF_ERR_CANCELED, "canceled");
	return cf_ctx_check(process->ctx, err);
}

static int read_all(struct process *process, struct cf_err *err)
{
	uint8_t *piece = malloc(PIECE_LEN);
	int rc = piece ? 0 : cf_err_nomem(err);

	while (rc == 0 && (process->out_fd >= 0 || process->err_fd >= 0)) {
		struct pollfd fds[] = {{.fd = process->out_fd, .events = POLLIN},
				       {.fd = process->err_fd, .events = POLLIN}};
		int n = poll(fds, 2, TICK_MS);

		rc = check_stop(process, err);
		if (rc == 0 && n > 0 && fds[0].revents)
			rc = read_piece(process, &process->out_fd, piece, err);
		if (rc == 0 && n > 0 && fds[1].revents)
			rc = read_piece(process, &process->err_fd, piece, err);
	}
	if (rc == 0 && process->line.len > 0)
		rc = take_error_line(process, err);
	if (rc == 0)
		rc = release_held(process, err);
	free(piece);
	return rc;
}

/* --- end --- */

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
}

/* Both pipes are closed, so it ends by itself, unless it hangs while it does. */
static int finish(struct process *process, struct cf_err *err)
{
	int status = 0;
	pid_t got;

	while ((got = waitpid(process->pid, &status, WNOHANG)) == 0 || (got < 0 && errno == EINTR)) {
		int rc = check_stop(process, err);

		if (rc < 0)
			return rc;
		nap();
	}
	process->pid = 0;
	if (got > 0 && WIFEXITED(status) && (WEXITSTATUS(status) == 0 || process->is_forgiven))
		return 0;
	if (process->errors.len > 0)
		return fail(process, err);
	if (got > 0 && WIFSIGNALED(status))
		return cf_err_set(err, CF_ERR_FAILED, "%s was killed by signal %d", process->name,
				  WTERMSIG(status));
	return cf_err_set(err, CF_ERR_FAILED, "%s exited with status %d", process->name,
			  got > 0 ? WEXITSTATUS(status) : -1);
}

static void kill_process(struct process *process)
{
	int status;
	pid_t got = 0;

	/* pg_dump and its relatives cancel their statement on the server at SIGTERM. */
	kill(-process->pid, SIGTERM);
	for (int i = 0; i < TERM_GRACE_NAPS && got == 0; i++) {
		got = waitpid(process->pid, &status, WNOHANG);
		if (got == 0)
			nap();
	}
	if (got != 0)
		return;
	kill(-process->pid, SIGKILL);
	while (waitpid(process->pid, &status, 0) < 0 && errno == EINTR)
		;
}

int cf_pg_program_run(const struct cf_pg_run *run, int (*take)(void *user, struct cf_span data, struct cf_err *err),
		      void *user, const struct cf_ctx *ctx, struct cf_err *err)
{
	struct process process = {.run = run,
				  .ctx = ctx,
				  .name = strrchr(run->program->path, '/') + 1,
				  .out_fd = -1,
				  .err_fd = -1,
				  .line = CF_BUF_INIT,
				  .held = CF_BUF_INIT,
				  .errors = CF_BUF_INIT,
				  .take = take,
				  .user = user};
	int rc = start(&process, err);

	if (rc == 0)
		rc = read_all(&process, err);
	if (rc == 0)
		rc = finish(&process, err);
	if (process.pid)
		kill_process(&process);
	if (process.out_fd >= 0)
		close(process.out_fd);
	if (process.err_fd >= 0)
		close(process.err_fd);
	cf_buf_release(&process.line);
	cf_buf_release(&process.held);
	cf_buf_release(&process.errors);
	return rc;
}
