#include "drivers/mysql/claim.h"

#include "base/ctx.h"
#include "base/err.h"
#include "drivers/leftover.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/sql.h"

#include <stdlib.h>
#include <string.h>

/* True in *yes_out for the answer 1. format: with the tag for its only %s. */
static int ask(struct cf_mysql *my, const char *format, const struct cf_scratch_tag *tag,
	       bool *yes_out, struct cf_err *err)
{
	char *answer = NULL;
	int rc = cf_mysql_ask_value(my, &answer, err, format, tag->text);

	*yes_out = answer && strcmp(answer, "1") == 0;
	free(answer);
	return rc;
}

static int sweep_database(struct cf_mysql *my, const char *name, const struct cf_scratch_tag *tag,
			  const struct cf_verify_options *options, const struct cf_ctx *ctx,
			  struct cf_err *err)
{
	struct cf_err failure = CF_ERR_INIT;
	bool is_free;
	int rc = ask(my, "SELECT IS_FREE_LOCK('coffer_verify_%s')", tag, &is_free, err);

	if (rc < 0 || !is_free)
		return rc;
	rc = cf_mysql_do(my, &failure, "DROP DATABASE IF EXISTS %n", name);
	if (rc == CF_ERR_CANCELED)
		return cf_err_set(err, rc, "%s", failure.text);
	if (rc == 0)
		cf_leftover_removed(options, name);
	else
		cf_leftover_stays(ctx, name, failure.text, "DROP DATABASE %s", name);
	return 0;
}

static int sweep(struct cf_mysql *my, const char *server, const struct cf_verify_options *options,
		 const struct cf_ctx *ctx, struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	int rc = cf_mysql_query(my,
				"SELECT SCHEMA_NAME FROM information_schema.SCHEMATA"
				" WHERE LEFT(SCHEMA_NAME, 14) = 'coffer_verify_' ORDER BY 1",
				&result, err);

	while (rc == 0 && (rc = cf_mysql_fetch(result, &row, err)) == 1) {
		struct cf_scratch_tag tag;
		enum cf_scratch_kind kind = cf_scratch_name_parse(row.values[0], server, &tag);

		rc = 0;
		if (kind == CF_SCRATCH_HERE)
			rc = sweep_database(my, row.values[0], &tag, options, ctx, err);
		else if (kind == CF_SCRATCH_ELSEWHERE)
			cf_ctx_note(ctx, "verify.left", row.values[0],
				    "of a verification through another server, or this one under "
				    "another name: if none runs, use DROP DATABASE %s",
				    row.values[0]);
	}
	cf_mysql_result_free(result);
	return rc;
}

static int lock(struct cf_mysql_claim *claim, const char *server, struct cf_err *err)
{
	bool locked;
	int rc;

	cf_scratch_tag_new(server, &claim->tag);
	rc = ask(claim->my, "SELECT GET_LOCK('coffer_verify_%s', 0)", &claim->tag, &locked, err);
	if (rc == 0 && !locked)
		rc = cf_err_set(err, CF_ERR_FAILED, "%s gives no lock by GET_LOCK()",
				cf_mysql_server_name(claim->my));
	return rc;
}

int cf_mysql_claim_take(struct cf_mysql_claim *claim, const struct cf_mysql_url *url,
			const struct cf_verify_options *options, const struct cf_ctx *ctx,
			struct cf_err *err)
{
	const struct cf_mysql_connect_options connect_options = {.program = "coffer verify"};
	char *server = NULL;
	int rc = cf_mysql_connect(url, &connect_options, ctx, &claim->my, err);

	/* Tables of one database may refer to another's. */
	if (rc == 0)
		rc = cf_mysql_run(claim->my,
				  "SET SESSION foreign_key_checks = 0, lock_wait_timeout = 5", err);
	if (rc == 0)
		rc = cf_mysql_value(claim->my,
				    "SELECT CONCAT(@@hostname, ':', @@port, ':', @@server_id)",
				    &server, err);
	if (rc == 0)
		rc = sweep(claim->my, server ? server : "", options, ctx, err);
	if (rc == 0)
		rc = lock(claim, server ? server : "", err);
	free(server);
	return rc;
}

void cf_mysql_claim_release(struct cf_mysql_claim *claim)
{
	cf_mysql_close(claim->my);
	claim->my = NULL;
}
