#include "cli/audited.h"

#include "base/err.h"
#include "cli/cli.h"
#include "cli/identity.h"
#include "cli/redact.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *command_text(const struct cf_cli *cli, const char *action)
{
	char *text = NULL;
	int len = asprintf(&text, "%s%s%s", cli->args->command->name, action ? " " : "",
			   action ? action : "");

	return len < 0 ? NULL : text;
}

void cf_audited_begin(struct cf_audited *audited, struct cf_cli *cli, const char *action)
{
	struct cf_audit_record *record = &audited->record;

	*audited = (struct cf_audited){.cli = cli,
				       .n_warnings = atomic_load(&cli->n_warnings),
				       .begun_ns = cf_ctx_now_ns(&cli->ctx)};
	record->command = command_text(cli, action);
	audited->has_failed =
		cf_identity_texts(&record->host, &record->user, NULL) < 0 || !record->command;
}

void cf_audited_about(struct cf_audited *audited, const char *key, const char *value)
{
	struct cf_audit_record *record = &audited->record;
	struct cf_audit_about *about =
		realloc(record->about, (record->n_about + 1) * sizeof(*about));

	if (!about) {
		audited->has_failed = true;
		return;
	}
	record->about = about;
	about = &about[record->n_about++];
	*about = (struct cf_audit_about){.key = strdup(key), .value = cf_redact(value)};
	audited->has_failed |= !about->key || !about->value;
}

void cf_audited_id(struct cf_audited *audited, const char *key, const struct cf_id *id)
{
	cf_audited_about(audited, key, cf_id_text(id).s);
}

void cf_audited_figure(struct cf_audited *audited, const char *key, uint64_t value)
{
	struct cf_audit_record *record = &audited->record;
	struct cf_audit_figure *figures =
		realloc(record->figures, (record->n_figures + 1) * sizeof(*figures));

	if (!figures) {
		audited->has_failed = true;
		return;
	}
	record->figures = figures;
	figures = &figures[record->n_figures++];
	*figures = (struct cf_audit_figure){.key = strdup(key), .value = (int64_t)value};
	audited->has_failed |= !figures->key;
}

/* As the program will end, if nothing follows. */
static int64_t status_of(const struct cf_audited *audited, int rc)
{
	int number = atomic_load(audited->cli->ctx.cancel);

	if (rc < 0 && number)
		return 128 + number;
	if (rc == 0 && atomic_load(&audited->cli->n_warnings) > audited->n_warnings)
		rc = CF_ERR_PARTIAL;
	return cf_err_exit_status(rc);
}

static int store(struct cf_audited *audited, struct cf_repo *repo, int rc, const struct cf_err *why,
		 struct cf_err *err)
{
	struct cf_audit_record *record = &audited->record;
	int64_t took_ns = cf_ctx_now_ns(&audited->cli->ctx) - audited->begun_ns;

	cf_audited_figure(audited, "duration_ns", took_ns > 0 ? (uint64_t)took_ns : 0);
	record->status = status_of(audited, rc);
	record->error = cf_redact(rc < 0 ? why->text : "");
	if (audited->has_failed || !record->error)
		return cf_err_nomem(err);
	return cf_audit_append(repo, record, err);
}

int cf_audited_end(struct cf_audited *audited, struct cf_repo *repo, int rc,
		   const struct cf_err *err)
{
	const struct cf_ctx *ctx = &audited->cli->ctx;
	struct cf_err why = CF_ERR_INIT;

	if (repo && store(audited, repo, rc, err, &why) < 0) {
		/* What failed has been said, or will be. */
		if (rc < 0 || audited->is_optional)
			cf_ctx_note(ctx, "audit.failed", NULL,
				    "the audit log got no record of this: %s", why.text);
		else
			cf_ctx_warn(ctx, "audit.failed", NULL,
				    "done, but the audit log got no record of it: %s", why.text);
	}
	cf_audited_drop(audited);
	return rc;
}

void cf_audited_drop(struct cf_audited *audited)
{
	cf_audit_record_release(&audited->record);
}
