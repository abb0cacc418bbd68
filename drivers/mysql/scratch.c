#include "drivers/mysql/scratch.h"

#include "base/buf.h"
#include "base/ctx.h"
#include "base/err.h"
#include "base/file.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/url.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	ARGS_MAX = 32,
	POLL_NS = 20 * 1000 * 1000,
	START_TRIES = 3000, /* of POLL_NS each: a minute */
	LOG_LEN_MAX = 1 << 20
};

/* Arguments of a program, each its own allocation. */
struct args {
	char *values[ARGS_MAX + 1];
	size_t n;
	bool failed;
};

__attribute__((format(printf, 2, 3))) static void add_arg(struct args *args, const char *fmt, ...)
{
	va_list list;

	va_start(list, fmt);
	if (args->n == ARGS_MAX || vasprintf(&args->values[args->n], fmt, list) < 0) {
		args->values[args->n] = NULL;
		args->failed = true;
	} else {
		args->n++;
	}
	va_end(list);
}

static void release_args(struct args *args)
{
	for (size_t i = 0; i < args->n; i++)
		free(args->values[i]);
}

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
}

/* NULL when it is nowhere. free() it. */
static char *find_program(const char *name)
{
	static const char fallback[] =
		"/usr/sbin:/usr/libexec:/usr/local/sbin:/usr/local/mysql/bin";
	const char *path = getenv("PATH");
	char *folders, *rest, *folder, *found = NULL;

	if (asprintf(&folders, "%s:%s", path ? path : "", fallback) < 0)
		return NULL;
	rest = folders;
	while (!found && (folder = strsep(&rest, ":"))) {
		if (asprintf(&found, "%s/%s", folder, name) < 0)
			found = NULL;
		else if (*folder != '/' || access(found, X_OK) != 0) {
			free(found);
			found = NULL;
		}
	}
	free(folders);
	return found;
}

/* The server does not run as root. */
static const struct passwd *server_user(void)
{
	return geteuid() == 0 ? getpwnam("mysql") : NULL;
}

/* In the child: only calls that are safe there, up to exec. */
static _Noreturn void become(char *const *argv, const struct passwd *user, int log_fd)
{
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	setsid();
	if (user &&
	    (setgroups(0, NULL) < 0 || setgid(user->pw_gid) < 0 || setuid(user->pw_uid) < 0))
		_exit(126);
	/* Behind setuid, which forgets it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(null_fd, 0) < 0 || dup2(log_fd, 1) < 0 || dup2(log_fd, 2) < 0)
		_exit(126);
	execv(argv[0], argv);
	_exit(127);
}

static int start_program(struct cf_mysql_scratch *scratch, struct args *args, struct cf_err *err)
{
	const struct passwd *user = server_user();
	char *log;
	int fd, rc = 0;

	if (args->failed || asprintf(&log, "%s/log", scratch->folder.path) < 0)
		return cf_err_nomem(err);
	fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0) {
		rc = cf_err_errno(err, errno, "%s", log);
	} else {
		scratch->pid = fork();
		if (scratch->pid == 0)
			become(args->values, user, fd);
		if (scratch->pid < 0) {
			rc = cf_err_errno(err, errno, "cannot start %s", args->values[0]);
			scratch->pid = 0;
		}
		cf_keeper_watch(&scratch->folder.keeper, scratch->pid);
		close(fd);
	}
	free(log);
	return rc;
}

/* The log's last line of substance tells why. */
static int failed(const struct cf_mysql_scratch *scratch, const char *program, struct cf_err *err)
{
	struct cf_buf text = CF_BUF_INIT;
	char *log, *line = NULL;
	int rc;

	if (asprintf(&log, "%s/log", scratch->folder.path) < 0)
		return cf_err_nomem(err);
	if (cf_file_read(AT_FDCWD, log, LOG_LEN_MAX, &text, NULL) == 0 &&
	    cf_buf_append(&text, "", 1, NULL) == 0) {
		char *rest = (char *)text.data, *each;

		while ((each = strsep(&rest, "\n")))
			if (!line || strstr(each, "ERROR"))
				line = each;
	}
	rc = cf_err_set(err, CF_ERR_FAILED, "a server to verify in cannot be started: %s: %s",
			program, line && *line ? line : "it says nothing");
	cf_buf_release(&text);
	free(log);
	return rc;
}

/* Until the child ends. */
static int wait_for(struct cf_mysql_scratch *scratch, const struct cf_ctx *ctx, int *status_out,
		    struct cf_err *err)
{
	pid_t pid;
	int rc = 0;

	while ((pid = waitpid(scratch->pid, status_out, WNOHANG)) == 0 && rc == 0) {
		rc = cf_ctx_check(ctx, err);
		if (rc == 0)
			nap();
	}
	if (pid != 0) {
		cf_keeper_watch(&scratch->folder.keeper, 0);
		scratch->pid = 0;
	}
	return rc;
}

static int install(struct cf_mysql_scratch *scratch, const char *program,
		   const struct passwd *owner, unsigned lower_case, const struct cf_ctx *ctx,
		   struct cf_err *err)
{
	struct args args = {.n = 0};
	int rc, status = 0;

	add_arg(&args, "%s", program);
	add_arg(&args, "--no-defaults");
	add_arg(&args, "--datadir=%s/data", scratch->folder.path);
	add_arg(&args, "--tmpdir=%s", scratch->folder.path);
	add_arg(&args, "--auth-root-authentication-method=socket");
	add_arg(&args, "--auth-root-socket-user=%s", owner->pw_name);
	add_arg(&args, "--skip-test-db");
	add_arg(&args, "--skip-name-resolve");
	add_arg(&args, "--lower-case-table-names=%u", lower_case);
	rc = start_program(scratch, &args, err);
	if (rc == 0)
		rc = wait_for(scratch, ctx, &status, err);
	if (rc == 0 && status != 0)
		rc = failed(scratch, program, err);
	release_args(&args);
	return rc;
}

static int launch(struct cf_mysql_scratch *scratch, const char *program, unsigned lower_case,
		  struct cf_err *err)
{
	struct args args = {.n = 0};
	int rc;

	add_arg(&args, "%s", program);
	add_arg(&args, "--no-defaults");
	add_arg(&args, "--datadir=%s/data", scratch->folder.path);
	add_arg(&args, "--tmpdir=%s", scratch->folder.path);
	add_arg(&args, "--socket=%s/socket", scratch->folder.path);
	add_arg(&args, "--pid-file=%s/pid", scratch->folder.path);
	add_arg(&args, "--skip-networking");
	add_arg(&args, "--skip-log-bin");
	add_arg(&args, "--local-infile=1");
	add_arg(&args, "--event-scheduler=OFF");
	add_arg(&args, "--lower-case-table-names=%u", lower_case);
	add_arg(&args, "--max-allowed-packet=1G");
	add_arg(&args, "--innodb-flush-log-at-trx-commit=0");
	add_arg(&args, "--innodb-doublewrite=0");
	add_arg(&args, "--innodb-buffer-pool-size=256M");
	add_arg(&args, "--innodb-log-file-size=256M");
	add_arg(&args, "--innodb-autoinc-lock-mode=2");
	rc = start_program(scratch, &args, err);
	release_args(&args);
	return rc;
}

/* Percent-encoded for a URL. */
static int append_encoded(struct cf_buf *out, const char *text, struct cf_err *err)
{
	int rc = 0;

	for (; rc == 0 && *text; text++)
		rc = isalnum((unsigned char)*text) || strchr("/._-", *text)
			     ? cf_buf_append(out, text, 1, err)
			     : cf_buf_printf(out, err, "%%%02X", (unsigned char)*text);
	return rc;
}

/* The user's own option files have other servers in mind. */
static int make_url(struct cf_mysql_scratch *scratch, const struct passwd *owner,
		    struct cf_err *err)
{
	struct cf_buf url = CF_BUF_INIT;
	int rc = cf_buf_append_str(&url, "//", err);

	if (rc == 0)
		rc = append_encoded(&url, owner->pw_name, err);
	if (rc == 0)
		rc = cf_buf_append_str(&url, "@localhost/?defaults-file=/dev/null&socket=", err);
	if (rc == 0)
		rc = append_encoded(&url, scratch->folder.path, err);
	if (rc == 0)
		rc = cf_buf_append(&url, "/socket", sizeof("/socket"), err);
	if (rc < 0) {
		cf_buf_release(&url);
		return rc;
	}
	scratch->url = (char *)url.data;
	return 0;
}

static bool answers(const struct cf_mysql_url *url, const struct cf_ctx *ctx)
{
	const struct cf_mysql_connect_options options = {.program = "coffer verify"};
	struct cf_mysql *my = NULL;
	bool does = cf_mysql_connect(url, &options, ctx, &my, NULL) == 0;

	cf_mysql_close(my);
	return does;
}

static int wait_until_up(struct cf_mysql_scratch *scratch, const struct cf_mysql_url *url,
			 const char *program, const struct cf_ctx *ctx, struct cf_err *err)
{
	for (int i = 0; i < START_TRIES; i++) {
		int status, rc = cf_ctx_check(ctx, err);

		if (rc < 0)
			return rc;
		if (waitpid(scratch->pid, &status, WNOHANG) != 0) {
			scratch->pid = 0;
			return failed(scratch, program, err);
		}
		if (access(url->socket, F_OK) == 0 && answers(url, ctx))
			return 0;
		nap();
	}
	return failed(scratch, program, err);
}

static int start_in(struct cf_mysql_scratch *scratch, const char *installer, const char *program,
		    unsigned lower_case, const struct cf_ctx *ctx, struct cf_err *err)
{
	const struct passwd *owner = getpwuid(geteuid());
	struct cf_mysql_url url;
	int rc;

	if (!owner)
		return cf_err_set(err, CF_ERR_FAILED, "user %u has no name", (unsigned)geteuid());
	rc = make_url(scratch, owner, err);
	if (rc < 0)
		return rc;
	rc = cf_mysql_url_parse(scratch->url, &url, err);
	if (rc == 0)
		rc = install(scratch, installer, owner, lower_case, ctx, err);
	if (rc == 0)
		rc = launch(scratch, program, lower_case, err);
	if (rc == 0)
		rc = wait_until_up(scratch, &url, program, ctx, err);
	cf_mysql_url_release(&url);
	return rc;
}

int cf_mysql_scratch_start(struct cf_mysql_scratch *scratch, unsigned lower_case_table_names,
			   const struct cf_verify_options *options, const struct cf_ctx *ctx,
			   struct cf_err *err)
{
	char *installer = find_program("mariadb-install-db"), *program = find_program("mariadbd");
	int rc = 0;

	if (!installer || !program)
		rc = cf_err_set(err, CF_ERR_NOT_FOUND,
				"there is no mariadbd here to verify in: install mariadb-server, "
				"or name a server by --against");
	if (rc == 0)
		rc = cf_scratch_folder_make(&scratch->folder, server_user(), options, ctx, err);
	if (rc == 0)
		rc = cf_scratch_folder_keep(&scratch->folder, "KILL", err);
	if (rc == 0)
		rc = start_in(scratch, installer, program, lower_case_table_names, ctx, err);
	free(installer);
	free(program);
	return rc;
}

void cf_mysql_scratch_stop(struct cf_mysql_scratch *scratch)
{
	/* Nothing of it is kept: there is no need to let it finish. */
	if (scratch->pid > 0) {
		kill(-scratch->pid, SIGKILL);
		kill(scratch->pid, SIGKILL);
		while (waitpid(scratch->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	cf_scratch_folder_remove(&scratch->folder);
	free(scratch->url);
	*scratch = (struct cf_mysql_scratch)CF_MYSQL_SCRATCH_INIT;
}
