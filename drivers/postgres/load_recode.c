/*
 * Older snapshots have definitions in the encoding of their database, and the names of all else in UTF-8. In our hands all are
 * in UTF-8; pg_restore reads the archive itself.
 */

#include "base/err.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/load.h"
#include "drivers/postgres/manifest.h"
#include "drivers/postgres/toc.h"

#include <string.h>

struct converter {
	struct cf_pg *pg;
	char encoding[CF_PG_ENCODING_MAX];
};

static int convert_text(void *user, const char *text, struct cf_buf *out, struct cf_err *err)
{
	const struct converter *converter = user;
	struct cf_buf digits = CF_BUF_INIT;
	struct cf_pg_rows *rows = NULL;
	int rc = cf_buf_append_str(&digits, "\\x", err);

	for (const char *at = text; rc == 0 && *at; at++)
		rc = cf_buf_printf(&digits, err, "%02x", (unsigned char)*at);
	if (rc == 0)
		rc = cf_buf_append(&digits, "", 1, err);
	if (rc == 0) {
		const char *values[] = {(const char *)digits.data, converter->encoding};

		rc = cf_pg_query_binary(converter->pg,
					"SELECT pg_catalog.convert($1::pg_catalog.bytea, $2, 'UTF8')", values, 2, &rows, err);
		if (rc < 0 && cf_pg_is_untold(converter->pg)) {
			cf_err_clear(err);
			rc = 0;
		}
	}
	if (rc == 0 && rows)
		rc = cf_buf_append(out, cf_pg_value(rows, 0, 0), cf_pg_value_len(rows, 0, 0), err);
	if (rc == 0 && rows)
		rc = cf_buf_append(out, "", 1, err);
	cf_pg_rows_free(rows);
	cf_buf_release(&digits);
	return rc;
}

int cf_pg_load_recode(struct cf_pg_load *load, const char *target, struct cf_err *err)
{
	const struct cf_pg_options options = {.application = "coffer restore",
					      .fallback_database = load->manifest->name};
	struct converter converter = {.pg = NULL};
	int rc;

	cf_pg_toc_encoding_name(load->toc, converter.encoding, sizeof(converter.encoding));
	if (strcmp(load->manifest->text_encoding, "UTF8") != 0 || strcmp(converter.encoding, "UTF8") == 0 ||
	    !converter.encoding[0])
		return 0;
	rc = load->options->create
		     ? cf_pg_load_connect_elsewhere(target, "coffer restore", load->ctx, &converter.pg, err)
		     : cf_pg_connect(target, &options, load->ctx, &converter.pg, err);
	if (rc == 0)
		rc = cf_pg_toc_convert(load->toc, convert_text, &converter, err);
	cf_pg_close(converter.pg);
	return rc;
}
