/* coffer init */

#include "backends/backend.h"
#include "base/err.h"
#include "cli/audited.h"
#include "cli/cli.h"
#include "cli/doc.h"
#include "cli/escape.h"
#include "cli/identity.h"
#include "cli/secrets.h"
#include "repo/repo.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static struct cf_repo_init_options read_options(const struct cf_args *args)
{
	struct cf_repo_init_options options = {0};
	const char *cipher = cf_args_text(args, CF_OPT_CIPHER),
		   *chunker = cf_args_text(args, CF_OPT_CHUNKER);
	bool known = true;

	if (cipher)
		known = cf_cipher_parse(cipher, &options.cipher);
	if (chunker)
		known &= cf_chunker_parse(chunker, &options.chunker);
	/* The table's choices are the library's names. */
	assert(known);
	(void)known;
	return options;
}

static int print_result(const struct cf_cli *cli, const char *url, const struct cf_secrets *secrets,
			const char *id, struct cf_err *err)
{
	struct cf_doc document;

	if (cli->json) {
		document = cf_doc_begin();
		cf_doc_text(&document, "id", id);
		cf_doc_text(&document, "repository", url);
		cf_doc_text(&document, "key_file_made", secrets->made);
		return cf_doc_print(&document, stdout, err);
	}
	if (cli->quiet)
		return 0;
	printf("created repository %.8s at ", id);
	cf_escape_print(stdout, url, CF_ESCAPE_NAME);
	fputc('\n', stdout);
	if (secrets->made) {
		fputs("made the key file ", stdout);
		cf_escape_print(stdout, secrets->made, CF_ESCAPE_NAME);
		fputs(": keep a copy elsewhere, without it the backups cannot be read\n", stdout);
	} else if (secrets->passphrase) {
		puts("keep the password: without it the backups cannot be read");
	}
	return 0;
}

/* The first record of the repository's audit log. To open it proves that it opens. Takes the
 * backend over when that succeeds. */
static int record(struct cf_audited *audited, struct cf_backend **backend,
		  const struct cf_credentials *credentials, const char *id, struct cf_err *err)
{
	const struct cf_repo_open_options options = {.n_threads = 1};
	struct cf_repo *repo = NULL;
	int rc = cf_repo_open(*backend, credentials, &options, &audited->cli->ctx, &repo, err);

	if (rc == 0)
		*backend = NULL;
	cf_audited_about(audited, "repository", id);
	if (rc == 0)
		cf_audited_about(audited, "cipher", cf_cipher_name(cf_repo_cipher(repo)));
	rc = cf_audited_end(audited, repo, rc, err);
	cf_repo_close(repo);
	return rc;
}

int cf_cmd_init(struct cf_cli *cli, struct cf_err *err)
{
	struct cf_repo_init_options options = read_options(cli->args);
	struct cf_backend *backend = NULL;
	struct cf_secrets secrets = {0};
	struct cf_credentials credentials;
	struct cf_audited audited;
	struct cf_id id;
	char id_text[2 * 16 + 1], *host = NULL, *user = NULL;
	const char *url;
	int rc = cf_cli_repository(cli, &url, err);

	if (rc == 0)
		rc = cf_identity_texts(&host, &user, err);
	options.host = host;
	options.user = user;
	if (rc == 0)
		rc = cf_secrets_load(cli->args, &cli->ctx, true, &secrets, err);
	if (rc == 0)
		rc = cf_backend_open(url, true, &backend, err);
	cf_audited_begin(&audited, cli, NULL);
	if (rc == 0) {
		credentials = cf_secrets_credentials(&secrets);
		rc = cf_repo_init(backend, &credentials, &options, &cli->ctx, &id, err);
	}
	if (rc == 0) {
		cf_hex_encode(id.bytes, 16, id_text);
		rc = record(&audited, &backend, &credentials, id_text, err);
		if (rc == 0)
			rc = print_result(cli, url, &secrets, id_text, err);
	} else {
		cf_audited_drop(&audited);
		cf_secrets_undo(&secrets);
	}
	cf_backend_close(backend);
	cf_secrets_release(&secrets);
	free(host);
	free(user);
	return rc;
}
