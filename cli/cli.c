#include "cli/cli.h"

#include "backends/backend.h"
#include "base/err.h"
#include "base/file.h"
#include "cli/secrets.h"
#include "repo/repo.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	MOUNT_BLOBS_LEN = 16 << 20
};

int cf_cli_repository(const struct cf_cli *cli, const char **url_out, struct cf_err *err)
{
	*url_out = cf_args_text(cli->args, CF_OPT_REPOSITORY);
	if (!*url_out)
		return cf_err_set(err, CF_ERR_USAGE,
				  "no repository given; use -r REPO or set COFFER_REPOSITORY");
	return 0;
}

/* The default folder, NULL when there is no home. */
static char *default_cache_dir(void)
{
	const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	const struct passwd *user;
	char *path = NULL;
	int len;

	if (base && base[0] == '/') {
		len = asprintf(&path, "%s/coffer", base);
		return len < 0 ? NULL : path;
	}
	if (!home || home[0] != '/') {
		user = getpwuid(geteuid());
		home = user ? user->pw_dir : NULL;
	}
	if (!home)
		return NULL;
	len = asprintf(&path, "%s/.cache/coffer", home);
	return len < 0 ? NULL : path;
}

char *cf_cli_cache_dir(const struct cf_cli *cli)
{
	const char *named = cf_args_text(cli->args, CF_OPT_CACHE_DIR);

	return named ? strdup(named) : default_cache_dir();
}

void cf_cli_own_folders(const struct cf_cli *cli, char *folders_out[2])
{
	const char *url = cf_args_text(cli->args, CF_OPT_REPOSITORY);
	char *cache = cf_cli_cache_dir(cli);

	if (url && strncmp(url, "file:", 5) == 0)
		url += 5;
	/* Other stores have URLs that are no paths here. */
	folders_out[0] = url ? realpath(url, NULL) : NULL;
	folders_out[1] = cache ? realpath(cache, NULL) : NULL;
	free(cache);
}

/* A folder the user named must be usable; without the default one the index is kept in memory. */
static int make_cache_dir(struct cf_cli *cli, char **path_out, struct cf_err *err)
{
	const char *named = cf_args_text(cli->args, CF_OPT_CACHE_DIR);
	struct cf_err why = CF_ERR_INIT;
	char *path = cf_cli_cache_dir(cli);
	int rc;

	if (!path && named)
		return cf_err_nomem(err);
	rc = path ? cf_dir_make(path, 0700, &why) : 0;
	if (rc < 0 && named) {
		free(path);
		return cf_err_set(err, rc, "cache: %s", why.text);
	}
	if (rc < 0) {
		cf_ctx_note(&cli->ctx, "cache.unusable", path, "%s; the index stays in memory",
			    why.text);
		free(path);
		path = NULL;
	}
	*path_out = path;
	return 0;
}

static int open_store(const char *url, struct cf_backend **backend_out, struct cf_err *err)
{
	int rc = cf_backend_open(url, false, backend_out, err);

	if (rc == CF_ERR_NOT_FOUND)
		cf_err_set(err, rc, "no repository at %s; `coffer init` creates one", url);
	return rc;
}

int cf_cli_open_keyed(struct cf_cli *cli, struct cf_secrets *secrets_out, struct cf_repo **repo_out,
		      struct cf_err *err)
{
	struct cf_backend *backend = NULL;
	struct cf_repo_open_options options = {0};
	struct cf_credentials credentials;
	const char *url;
	char *cache = NULL;
	int rc = cf_cli_repository(cli, &url, err);

	*secrets_out = (struct cf_secrets){0};
	if (rc == 0)
		rc = open_store(url, &backend, err);
	if (rc == 0)
		rc = cf_secrets_load(cli->args, &cli->ctx, false, secrets_out, err);
	if (rc == 0)
		rc = make_cache_dir(cli, &cache, err);
	if (rc < 0)
		goto out;
	options.cache_dir = cache;
	options.n_threads = (unsigned)cf_args_number(cli->args, CF_OPT_THREADS);
	/* A mount keeps chunks itself; a few blobs serve those that are neighbours. */
	if (cli->args->command->id == CF_COMMAND_MOUNT)
		options.blob_cache_len = MOUNT_BLOBS_LEN;
	credentials = cf_secrets_credentials(secrets_out);
	rc = cf_repo_open(backend, &credentials, &options, &cli->ctx, repo_out, err);
	if (rc == 0)
		backend = NULL;
	if (rc == 0 && cli->args->command->needs_full_key)
		rc = cf_repo_require_full(*repo_out, err);
	if (rc < 0 && !backend) {
		cf_repo_close(*repo_out);
		*repo_out = NULL;
	}
out:
	cf_backend_close(backend);
	free(cache);
	return rc;
}

int cf_cli_open(struct cf_cli *cli, struct cf_repo **repo_out, struct cf_err *err)
{
	struct cf_secrets secrets;
	int rc = cf_cli_open_keyed(cli, &secrets, repo_out, err);

	cf_secrets_release(&secrets);
	return rc;
}

static int output_failed(struct cf_cli *cli, int errno_value, struct cf_err *err)
{
	cli->reader_gone = errno_value == EPIPE;
	return cf_err_errno(err, errno_value, "write standard output");
}

int cf_cli_check(struct cf_cli *cli, struct cf_err *err)
{
	if (ferror(stdout))
		return cf_cli_flush(cli, err);
	return cf_ctx_check(&cli->ctx, err);
}

int cf_cli_write(struct cf_cli *cli, const void *data, size_t len, struct cf_err *err)
{
	const char *at = data;

	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, at, len);
		int rc = cf_ctx_check(&cli->ctx, err);

		if (rc < 0)
			return rc;
		if (n < 0 && errno != EINTR)
			return output_failed(cli, errno, err);
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

int cf_cli_flush(struct cf_cli *cli, struct cf_err *err)
{
	bool failed = ferror(stdout) != 0;

	errno = 0;
	if (fflush(stdout) == 0 && !failed)
		return 0;
	/* stdio forgets why an earlier write failed, and what it had to write. What has come
	 * through is useless in any case: one more byte tells why. */
	if (errno == 0 && write(STDOUT_FILENO, "\n", 1) == 1)
		errno = EIO;
	return output_failed(cli, errno, err);
}
