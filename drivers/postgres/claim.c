#include "drivers/postgres/claim.h"

#include "base/err.h"
#include "drivers/leftover.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/load.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	KEY_LEN = 24 /* a number of 64 bits, in decimal */
};

/* A waiting DROP DATABASE keeps others from connecting. */
static const struct cf_pg_setting settings[] = {
	{"lock_timeout", "5s"},
	{"statement_timeout", "0"},
	{"idle_in_transaction_session_timeout", "0"},
	{"idle_session_timeout", "0"},
	{"transaction_timeout", "0"},
	{"tcp_keepalives_idle", "30"},
	{"tcp_keepalives_interval", "10"},
	{"tcp_keepalives_count", "3"},
};

static int configure(struct cf_pg *pg, struct cf_err *err)
{
	return cf_pg_configure(pg, settings, sizeof(settings) / sizeof(settings[0]), err);
}

static void print_key(const struct cf_scratch_tag *tag, char out[KEY_LEN])
{
	snprintf(out, KEY_LEN, "%" PRId64, (int64_t)cf_scratch_tag_key(tag));
}

static int is_locked(struct cf_pg *pg, const struct cf_scratch_tag *tag, bool *locked_out,
		     struct cf_err *err)
{
	char key[KEY_LEN];
	const char *values[] = {key};
	struct cf_pg_rows *rows = NULL;
	int rc;

	print_key(tag, key);
	rc = cf_pg_query(pg,
			 "SELECT EXISTS (SELECT FROM pg_catalog.pg_locks"
			 " WHERE locktype = 'advisory' AND objsubid = 1"
			 " AND (classid::bigint << 32) | objid::bigint = $1::bigint)",
			 values, 1, &rows, err);
	*locked_out = rc == 0 && cf_pg_value_bool(rows, 0, 0);
	cf_pg_rows_free(rows);
	return rc;
}

static int sweep_database(struct cf_pg *pg, const char *name, const struct cf_scratch_tag *tag,
			  const struct cf_verify_options *options, const struct cf_ctx *ctx,
			  struct cf_err *err)
{
	struct cf_err failure = CF_ERR_INIT;
	char *command = NULL;
	bool locked;
	int rc = is_locked(pg, tag, &locked, err);

	if (rc < 0 || locked)
		return rc;
	rc = cf_pg_load_drop_made(pg, name, false, ctx, &failure);
	if (rc == CF_ERR_CANCELED) {
		cf_err_set(err, rc, "%s", failure.text);
		return rc;
	}
	if (rc == 0)
		cf_leftover_removed(options, name);
	else if ((rc = cf_pg_load_drop_by_hand(pg, name, &command, err)) == 0)
		cf_leftover_stays(ctx, name, failure.text, "%s", command);
	free(command);
	return rc;
}

static int sweep(struct cf_pg *pg, const struct cf_verify_options *options,
		 const struct cf_ctx *ctx, struct cf_err *err)
{
	struct cf_pg_rows *rows = NULL;
	int rc = cf_pg_query(pg,
			     "SELECT datname FROM pg_catalog.pg_database"
			     " WHERE datname LIKE 'coffer\\_verify\\_%' ORDER BY datname",
			     NULL, 0, &rows, err);

	for (size_t i = 0; rc == 0 && i < cf_pg_rows_count(rows); i++) {
		const char *name = cf_pg_value(rows, i, 0);
		struct cf_scratch_tag tag;

		if (cf_scratch_name_parse(name, "", &tag) == CF_SCRATCH_HERE)
			rc = sweep_database(pg, name, &tag, options, ctx, err);
	}
	cf_pg_rows_free(rows);
	return rc;
}

static int lock(struct cf_pg *pg, const struct cf_scratch_tag *tag, struct cf_err *err)
{
	char key[KEY_LEN];
	int rc;

	print_key(tag, key);
	/* Not as default_transaction_isolation says: a snapshot would stay. */
	rc = cf_pg_exec(pg, "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY", err);
	/* Again: behind a pooler this may be another session. */
	if (rc == 0)
		rc = configure(pg, err);
	return rc < 0 ? rc
		      : cf_pg_execf(pg, err, "SELECT pg_catalog.pg_advisory_xact_lock(%s)", key);
}

int cf_pg_claim_take(struct cf_pg_claim *claim, const char *server,
		     const struct cf_verify_options *options, const struct cf_ctx *ctx,
		     struct cf_err *err)
{
	int rc = cf_pg_load_connect_elsewhere(server, "coffer verify", ctx, &claim->pg, err);

	if (rc == 0)
		rc = configure(claim->pg, err);
	/* Before what others left: it shows no locks of its primary. */
	if (rc == 0)
		rc = cf_pg_load_refuse_standby(claim->pg, err);
	if (rc == 0)
		rc = sweep(claim->pg, options, ctx, err);
	cf_scratch_tag_new("", &claim->tag);
	return rc < 0 ? rc : lock(claim->pg, &claim->tag, err);
}

void cf_pg_claim_release(struct cf_pg_claim *claim)
{
	cf_pg_close(claim->pg);
	claim->pg = NULL;
}
