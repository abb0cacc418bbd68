#include "cli/secrets.h"

#include "base/err.h"
#include "base/file.h"
#include "base/secret.h"
#include "cli/parse.h"
#include "cli/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECRET_LEN_MAX	 65536
#define KEY_FILE_LEN_MIN 32
#define KEY_FILE_LEN_NEW 64

/* Everything fd gives, read into key memory from the start. */
static int read_secret(int fd, const char *name, struct cf_secret **secret_out, struct cf_err *err)
{
	struct cf_secret *room = NULL;
	size_t len = 0;
	int rc = cf_secret_new(SECRET_LEN_MAX + 1, &room, err);

	while (rc == 0) {
		ssize_t n = read(fd, cf_secret_data(room) + len, SECRET_LEN_MAX + 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = cf_err_errno(err, errno, "read %s", name);
		if (n <= 0)
			break;
		len += (size_t)n;
		if (len > SECRET_LEN_MAX)
			rc = cf_err_set(err, CF_ERR_KEY, "%s is longer than %d bytes", name,
					SECRET_LEN_MAX);
	}
	if (rc == 0)
		rc = cf_secret_copy(cf_span_of(cf_secret_data(room), len), secret_out, err);
	cf_secret_free(room);
	return rc;
}

/* What the caller has opened for us: standard input, and pipes of the shell. */
static bool is_stream(const char *path)
{
	return strcmp(path, "/dev/stdin") == 0 || strncmp(path, "/dev/fd/", 8) == 0;
}

/* Pipes and descriptors (as of "<(command)") have no owner worth asking. */
static int check_private(int fd, const char *what, const char *path, struct cf_err *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return cf_err_errno(err, errno, "%s %s", what, path);
	if (S_ISDIR(st.st_mode))
		return cf_err_set(err, CF_ERR_KEY, "%s %s is a folder", what, path);
	if (!S_ISREG(st.st_mode) && !is_stream(path))
		return cf_err_set(err, CF_ERR_KEY, "%s %s is no regular file", what, path);
	if (S_ISREG(st.st_mode) && (st.st_mode & 077) != 0)
		return cf_err_set(err, CF_ERR_KEY,
				  "%s %s is open to others (mode %03o); run: chmod 600 %s", what,
				  path, st.st_mode & 0777, path);
	return 0;
}

static int read_private(const char *what, const char *path, struct cf_secret **secret_out,
			struct cf_err *err)
{
	/* A pipe with a name would keep us waiting for who writes to it. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | (is_stream(path) ? 0 : O_NONBLOCK)), rc;

	if (fd < 0)
		return cf_err_set(err, CF_ERR_KEY, "%s %s: %s", what, path, strerror(errno));
	rc = check_private(fd, what, path, err);
	if (rc == 0)
		rc = read_secret(fd, path, secret_out, err);
	close(fd);
	return rc;
}

/* The secret's first `len` bytes take its place. */
static int shorten(struct cf_secret **secret, size_t len, struct cf_err *err)
{
	struct cf_secret *shorter;
	int rc = cf_secret_copy(cf_span_of(cf_secret_data(*secret), len), &shorter, err);

	if (rc < 0)
		return rc;
	cf_secret_free(*secret);
	*secret = shorter;
	return 0;
}

static size_t without_newline(struct cf_span text)
{
	size_t len = text.len;

	if (len > 0 && text.data[len - 1] == '\n')
		len--;
	if (len < text.len && len > 0 && text.data[len - 1] == '\r')
		len--;
	return len;
}

static int password_from_file(const char *path, struct cf_secret **secret_out, struct cf_err *err)
{
	int rc = read_private("password file", path, secret_out, err);

	if (rc == 0)
		rc = shorten(secret_out, without_newline(cf_secret_span(*secret_out)), err);
	if (rc == 0 && cf_secret_span(*secret_out).len == 0)
		rc = cf_err_set(err, CF_ERR_KEY, "password file %s is empty", path);
	return rc;
}

static int password_from_command(const char *command, struct cf_secret **secret_out,
				 struct cf_err *err)
{
	FILE *pipe = popen(command, "re");
	struct cf_span text;
	const uint8_t *newline;
	int rc, status;

	if (!pipe)
		return cf_err_errno(err, errno, "run the password command");
	rc = read_secret(fileno(pipe), "the password command's output", secret_out, err);
	status = pclose(pipe);
	if (rc < 0)
		return rc;
	if (status == -1 || !WIFEXITED(status))
		return cf_err_set(err, CF_ERR_KEY, "the password command '%s' was killed", command);
	if (WEXITSTATUS(status) != 0)
		return cf_err_set(err, CF_ERR_KEY,
				  "the password command '%s' exited with status %d", command,
				  WEXITSTATUS(status));
	text = cf_secret_span(*secret_out);
	newline = text.len ? memchr(text.data, '\n', text.len) : NULL;
	if (newline)
		text.len = (size_t)(newline - text.data) + 1;
	if (without_newline(text) == 0)
		return cf_err_set(err, CF_ERR_KEY, "the password command '%s' printed no password",
				  command);
	return shorten(secret_out, without_newline(text), err);
}

/* Out of the environment, where children would find it. */
static int password_from_environment(struct cf_secret **secret_out, struct cf_err *err)
{
	char *text = getenv("COFFER_PASSWORD");
	int rc = cf_secret_copy(cf_span_str(text), secret_out, err);

	cf_wipe(text, strlen(text));
	unsetenv("COFFER_PASSWORD");
	if (rc == 0 && cf_secret_span(*secret_out).len == 0)
		rc = cf_err_set(err, CF_ERR_KEY, "COFFER_PASSWORD is empty");
	return rc;
}

static int write_new_key(int fd, const char *path, struct cf_err *err)
{
	struct cf_secret *key = NULL;
	int rc = cf_secret_new(KEY_FILE_LEN_NEW, &key, err);

	if (rc == 0 && getrandom(cf_secret_data(key), KEY_FILE_LEN_NEW, 0) != KEY_FILE_LEN_NEW)
		rc = cf_err_errno(err, errno, "random bytes for %s", path);
	if (rc == 0)
		rc = cf_fd_write_all(fd, path, cf_secret_span(key), err);
	if (rc == 0 && fsync(fd) != 0)
		rc = cf_err_errno(err, errno, "fsync %s", path);
	cf_secret_free(key);
	return rc;
}

/* True in *made_out when the file was not there and now is. */
static int make_key_file(const char *path, bool *made_out, struct cf_err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), rc;

	if (fd < 0 && errno == EEXIST)
		return 0;
	if (fd < 0)
		return cf_err_errno(err, errno, "create the key file %s", path);
	rc = write_new_key(fd, path, err);
	if (close(fd) != 0 && rc == 0)
		rc = cf_err_errno(err, errno, "close %s", path);
	if (rc < 0)
		unlink(path);
	else
		*made_out = true;
	return rc;
}

static int load_key_file(const char *path, bool creating, struct cf_secrets *secrets,
			 struct cf_err *err)
{
	bool made = false;
	int rc = creating ? make_key_file(path, &made, err) : 0;

	if (made)
		secrets->made = path;
	if (rc == 0)
		rc = read_private("key file", path, &secrets->key_file, err);
	if (rc == 0 && cf_secret_span(secrets->key_file).len < KEY_FILE_LEN_MIN)
		rc = cf_err_set(err, CF_ERR_KEY, "key file %s is shorter than %d bytes", path,
				KEY_FILE_LEN_MIN);
	return rc;
}

enum { KEY_FILE, PASSWORD_FILE, PASSWORD_COMMAND, KEY_COMMAND, N_KINDS, TERMINAL = N_KINDS };

/* Where a secret may come from: that of the repository, or that of a new key slot. */
struct origin {
	enum cf_option_id options[N_KINDS];
	const char *names, *question;
	bool in_environment;
};

static const struct origin of_repository = {
	.options = {CF_OPT_KEY_FILE, CF_OPT_PASSWORD_FILE, CF_OPT_PASSWORD_COMMAND,
		    CF_OPT_KEY_COMMAND},
	.names = "--key-file, --password-file, --password-command and --key-command",
	.question = "password of the repository: ",
	.in_environment = true,
};

static const struct origin of_new_slot = {
	.options = {CF_OPT_NEW_KEY_FILE, CF_OPT_NEW_PASSWORD_FILE, CF_OPT_NEW_PASSWORD_COMMAND,
		    CF_OPT_NEW_KEY_COMMAND},
	.names =
		"--new-key-file, --new-password-file, --new-password-command and --new-key-command",
	.question = "new password: ",
};

/* Which kind is asked for, options before the environment; TERMINAL when none is. */
static int choose(const struct cf_args *args, const struct origin *origin, int *kind_out,
		  struct cf_err *err)
{
	*kind_out = TERMINAL;
	for (int i = 0; i < N_KINDS; i++) {
		if (!cf_args_given(args, origin->options[i]))
			continue;
		if (*kind_out != TERMINAL)
			return cf_err_set(err, CF_ERR_USAGE, "%s exclude one another",
					  origin->names);
		*kind_out = i;
	}
	for (int i = 0; i < N_KINDS && *kind_out == TERMINAL; i++)
		if (cf_args_text(args, origin->options[i]))
			*kind_out = i;
	return 0;
}

static int load_password(const struct cf_args *args, const struct origin *origin, int kind,
			 const struct cf_ctx *ctx, bool creating, struct cf_secret **secret_out,
			 struct cf_err *err)
{
	const char *password = origin->in_environment ? getenv("COFFER_PASSWORD") : NULL;

	if (kind == PASSWORD_FILE)
		return password_from_file(cf_args_text(args, origin->options[kind]), secret_out,
					  err);
	if (kind == PASSWORD_COMMAND)
		return password_from_command(cf_args_text(args, origin->options[kind]), secret_out,
					     err);
	if (password)
		return password_from_environment(secret_out, err);
	return cf_prompt_password(
		ctx,
		origin->in_environment && creating ? "password for the new repository: "
						   : origin->question,
		creating,
		origin->in_environment ? "--password-file, --password-command, --key-file, "
					 "--key-command or COFFER_PASSWORD"
				       : "--new-password-file, --new-password-command, "
					 "--new-key-file or --new-key-command",
		secret_out, err);
}

static int load_command(const char *line, const struct cf_ctx *ctx, struct cf_secrets *secrets,
			struct cf_err *err)
{
	if (!line[0])
		return cf_err_set(err, CF_ERR_USAGE, "the key command is empty");
	secrets->command = (struct cf_key_command){.line = line, .ctx = ctx};
	secrets->wrapper = cf_key_command_wrapper(&secrets->command);
	return 0;
}

static int load(const struct cf_args *args, const struct cf_ctx *ctx, const struct origin *origin,
		bool creating, struct cf_secrets *secrets, struct cf_err *err)
{
	int kind, rc;

	*secrets = (struct cf_secrets){0};
	rc = choose(args, origin, &kind, err);
	if (rc < 0)
		return rc;
	if (kind == KEY_FILE)
		return load_key_file(cf_args_text(args, origin->options[kind]), creating, secrets,
				     err);
	if (kind == KEY_COMMAND)
		return load_command(cf_args_text(args, origin->options[kind]), ctx, secrets, err);
	rc = load_password(args, origin, kind, ctx, creating, &secrets->passphrase, err);
	if (rc == 0 && cf_secret_span(secrets->passphrase).len == 0)
		rc = cf_err_set(err, CF_ERR_KEY, "the password is empty");
	return rc;
}

int cf_secrets_load(const struct cf_args *args, const struct cf_ctx *ctx, bool creating,
		    struct cf_secrets *secrets, struct cf_err *err)
{
	return load(args, ctx, &of_repository, creating, secrets, err);
}

int cf_secrets_load_new(const struct cf_args *args, const struct cf_ctx *ctx,
			struct cf_secrets *secrets, struct cf_err *err)
{
	return load(args, ctx, &of_new_slot, true, secrets, err);
}

void cf_secrets_release(struct cf_secrets *secrets)
{
	cf_secret_free(secrets->passphrase);
	cf_secret_free(secrets->key_file);
	*secrets = (struct cf_secrets){0};
}

void cf_secrets_undo(const struct cf_secrets *secrets)
{
	if (secrets->made)
		unlink(secrets->made);
}

struct cf_credentials cf_secrets_credentials(const struct cf_secrets *secrets)
{
	return (struct cf_credentials){.passphrase = secrets->passphrase,
				       .key_file = secrets->key_file,
				       .wrapper = secrets->wrapper.wrap ? &secrets->wrapper : NULL};
}
