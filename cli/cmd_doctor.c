/* coffer doctor */

#include "backends/backend.h"
#include "base/err.h"
#include "cli/doctor.h"
#include "cli/escape.h"
#include "cli/output.h"
#include "repo/repo.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { TEXT_COLUMN = 17, TEXT_COLUMNS_MIN = 30 };

static const char *const verdicts[CF_N_VERDICTS] = {"ok", "warn", "fail"};

/* Break lines between words, below each other. */
static void print_wrapped(const char *text, size_t columns)
{
	size_t used = 0;

	while (*text) {
		size_t len = strcspn(text, " ");

		if (used && columns && used + 1 + len > columns) {
			printf("\n%*s", TEXT_COLUMN, "");
			used = 0;
		} else if (used) {
			fputc(' ', stdout);
			used++;
		}
		printf("%.*s", (int)len, text);
		used += len;
		text += len + (text[len] == ' ');
	}
	fputc('\n', stdout);
}

static void print_line(const struct cf_doctor *doctor, enum cf_verdict verdict, const char *name,
		       const char *text)
{
	struct cf_buf escaped = CF_BUF_INIT;
	size_t columns = doctor->columns > TEXT_COLUMN + TEXT_COLUMNS_MIN
				 ? doctor->columns - TEXT_COLUMN
				 : 0;

	printf("%-4s  %-10s ", verdicts[verdict], name);
	if (cf_escape_append(&escaped, text, CF_ESCAPE_MESSAGE, NULL) == 0 &&
	    cf_buf_append(&escaped, "", 1, NULL) == 0)
		print_wrapped((const char *)escaped.data, columns);
	else
		puts("(no memory)");
	cf_buf_release(&escaped);
}

void cf_doctor_say(struct cf_doctor *doctor, enum cf_verdict verdict, const char *name,
		   const char *fmt, ...)
{
	char text[CF_ERR_TEXT_MAX + 512];
	struct cf_doc item;
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	doctor->n[verdict]++;
	if (doctor->cli->json) {
		item = cf_doc_object();
		cf_doc_text(&item, "name", name);
		cf_doc_text(&item, "result", verdicts[verdict]);
		cf_doc_text(&item, "text", text);
		cf_doc_push(&doctor->checks, &item);
	} else if (verdict != CF_DOCTOR_OK || !doctor->cli->quiet) {
		print_line(doctor, verdict, name, text);
	}
}

/* The repository by its own way, which asks for the password; what fails there is told, and the
 * rest goes on. */
static void look_into(struct cf_doctor *doctor)
{
	struct cf_err err = CF_ERR_INIT;
	struct cf_repo *repo = NULL;
	int rc = cf_cli_open(doctor->cli, &repo, &err);

	if (rc < 0) {
		cf_doctor_say(doctor, CF_DOCTOR_FAIL, rc == CF_ERR_KEY ? "secret" : "repository",
			      "%s", err.text);
		return;
	}
	cf_doctor_say(doctor, CF_DOCTOR_OK, "repository", "%.8s opens; %s, chunker %s",
		      cf_repo_id_text(repo), cf_cipher_name(cf_repo_cipher(repo)),
		      cf_chunker_name(cf_repo_chunker_kind(repo)));
	cf_doctor_repo(doctor, repo);
	cf_repo_close(repo);
}

static void look_at(struct cf_doctor *doctor)
{
	const char *url = cf_args_text(doctor->cli->args, CF_OPT_REPOSITORY);
	struct cf_backend *store = NULL;
	struct cf_err err = CF_ERR_INIT;

	cf_doctor_host(doctor);
	if (!url) {
		cf_doctor_say(doctor, CF_DOCTOR_WARN, "repository",
			      "none was named, so nothing of one was checked: use -r REPO or set "
			      "COFFER_REPOSITORY");
		return;
	}
	if (cf_backend_open(url, false, &store, &err) < 0) {
		cf_doctor_say(doctor, CF_DOCTOR_FAIL, "repository", "%s", err.text);
		return;
	}
	if (store->ops->size(store, "config", &(uint64_t){0}, NULL) == 0)
		cf_doctor_store(doctor, store);
	cf_backend_close(store);
	look_into(doctor);
}

static int print_result(struct cf_doctor *doctor, struct cf_err *err)
{
	struct cf_doc document;

	if (!doctor->cli->json)
		return 0;
	document = cf_doc_begin();
	cf_doc_put(&document, "checks", &doctor->checks);
	cf_doc_count(&document, "ok", doctor->n[CF_DOCTOR_OK]);
	cf_doc_count(&document, "warnings", doctor->n[CF_DOCTOR_WARN]);
	cf_doc_count(&document, "failures", doctor->n[CF_DOCTOR_FAIL]);
	return cf_doc_print(&document, stdout, err);
}

int cf_cmd_doctor(struct cf_cli *cli, struct cf_err *err)
{
	struct cf_doctor doctor = {.cli = cli, .now_ns = cf_ctx_now_ns(&cli->ctx)};
	struct winsize size;
	int rc;

	if (cli->json)
		doctor.checks = cf_doc_array();
	else if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		doctor.columns = size.ws_col;
	look_at(&doctor);
	rc = print_result(&doctor, err);
	cf_doc_release(&doctor.checks);
	if (rc == 0)
		rc = cf_ctx_check(&cli->ctx, err);
	if (rc == 0 && doctor.n[CF_DOCTOR_FAIL])
		rc = cf_err_set(
			err, CF_ERR_FAILED, "%s",
			cf_text_count(doctor.n[CF_DOCTOR_FAIL], "check failed", "checks failed").s);
	return rc;
}
