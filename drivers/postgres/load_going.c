/* What fails while the rest goes on: --keep-going, and what others can do without. */

#include "base/err.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/load.h"
#include "drivers/postgres/toc.h"

#include <string.h>

/* Of the statement alone, not of the connection, the server's resources or its end. */
static bool is_of_statement(const char *sqlstate)
{
	static const char *const others[] = {"08", "53", "57", "58"};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strncmp(sqlstate, others[i], 2) == 0)
			return false;
	return sqlstate[0];
}

static bool is_forgivable(struct cf_pg *pg, int rc)
{
	return rc == CF_ERR_DAMAGED || rc == CF_ERR_NOT_FOUND ||
	       (rc != CF_ERR_CANCELED && is_of_statement(cf_pg_sqlstate(pg)));
}

bool cf_pg_load_forgives(const struct cf_pg_load *load, struct cf_pg *pg, int rc)
{
	return load->options->keep_going && is_forgivable(pg, rc);
}

void cf_pg_load_tell_failed(const struct cf_pg_load *load, const char *object, const char *text)
{
	cf_ctx_warn(load->ctx, "restore.failed", object, "left out: %s", text);
}

void cf_pg_load_warn_of_entry(const struct cf_pg_load *load, const char *event,
			      const struct cf_pg_toc_entry *entry, const char *text)
{
	struct cf_buf object = CF_BUF_INIT;

	cf_pg_load_entry_name(entry, &object, NULL);
	cf_ctx_warn(load->ctx, event, object.len ? (const char *)object.data : entry->tag, "%s",
		    text);
	cf_buf_release(&object);
}

static bool may_go_on(const struct cf_pg_load *load, const struct cf_pg_step *step)
{
	return load->options->keep_going || step->dispensable;
}

int cf_pg_load_begin_step(struct cf_pg_load *load, struct cf_pg *pg, const struct cf_pg_step *step,
			  struct cf_err *err)
{
	return may_go_on(load, step) && step->inside ? cf_pg_exec(pg, "SAVEPOINT step", err) : 0;
}

int cf_pg_load_end_step(struct cf_pg_load *load, struct cf_pg *pg, const struct cf_pg_step *step,
			int rc, const char *object, struct cf_err *err)
{
	if (!may_go_on(load, step))
		return rc;
	if (rc == 0)
		return step->inside ? cf_pg_exec(pg, "RELEASE SAVEPOINT step", err) : 0;
	if (!is_forgivable(pg, rc))
		return rc;
	cf_pg_load_tell_failed(load, object, err ? err->text : "");
	cf_err_clear(err);
	return step->inside
		       ? cf_pg_exec(pg, "ROLLBACK TO SAVEPOINT step; RELEASE SAVEPOINT step", err)
		       : 0;
}
