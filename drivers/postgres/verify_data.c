/* Whether every table's rows can be read from the snapshot, and are as many as they should be. In
 * COPY text each line is one. */

#include "base/err.h"
#include "base/tree.h"
#include "drivers/postgres/manifest.h"
#include "drivers/postgres/verify.h"

#include <inttypes.h>
#include <string.h>

struct tally {
	const struct cf_ctx *ctx;
	uint64_t bytes, lines;
};

static int count_piece(void *user, struct cf_span data, struct cf_err *err)
{
	struct tally *tally = user;
	const uint8_t *at = data.data, *end = at + data.len;

	tally->bytes += data.len;
	while (at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
		tally->lines++;
		at++;
	}
	return cf_ctx_check(tally->ctx, err);
}

/* Damage is an outcome, not an error. */
static int count_file(struct cf_pg_verify *verify, const char *file, const char *name,
		      const char *object, struct tally *tally, bool *read_out, struct cf_err *err)
{
	struct cf_buf path = CF_BUF_INIT;
	struct cf_err failure = CF_ERR_INIT;
	int rc = cf_buf_printf(&path, err, "%s%s%c", verify->folder, file, 0);

	*tally = (struct tally){.ctx = verify->ctx};
	if (rc == 0) {
		rc = verify->tree->ops->read(verify->tree, (const char *)path.data, 0, UINT64_MAX,
					     count_piece, tally, &failure);
		*read_out = rc == 0;
		if (rc == CF_ERR_DAMAGED || rc == CF_ERR_NOT_FOUND) {
			cf_pg_verify_report(verify, name, object, false, "%s", failure.text);
			rc = 0;
		} else if (rc < 0 && err) {
			*err = failure;
		}
	}
	cf_buf_release(&path);
	return rc;
}

static int check_table(struct cf_pg_verify *verify, const struct cf_pg_table *table,
		       struct cf_err *err)
{
	struct cf_buf object = CF_BUF_INIT;
	struct tally tally;
	bool was_read = false;
	int rc = cf_buf_printf(&object, err, "%s.%s%c", table->schema, table->name, 0);
	const char *name = (const char *)object.data;

	if (rc == 0)
		rc = count_file(verify, table->file, "data", name, &tally, &was_read, err);
	if (rc == 0 && was_read && (tally.lines != table->rows || tally.bytes != table->bytes))
		cf_pg_verify_report(verify, "data", name, false,
				    "%" PRIu64 " rows in %" PRIu64 " bytes, should be %" PRIu64
				    " in %" PRIu64,
				    tally.lines, tally.bytes, table->rows, table->bytes);
	else if (rc == 0 && was_read)
		cf_pg_verify_report(verify, "data", name, true, "%" PRIu64 " rows", tally.lines);
	cf_buf_release(&object);
	return rc;
}

static int check_large_objects(struct cf_pg_verify *verify, struct cf_err *err)
{
	const struct cf_pg_manifest *manifest = verify->manifest;
	uint64_t n_good = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < manifest->n_large_objects; i++) {
		const struct cf_pg_large_object *large = &manifest->large_objects[i];
		struct tally tally;
		bool was_read = false;

		if (!large->file)
			continue;
		rc = count_file(verify, large->file, "large_objects", large->file, &tally,
				&was_read, err);
		if (rc == 0 && was_read && tally.bytes != large->bytes)
			cf_pg_verify_report(verify, "large_objects", large->file, false,
					    "%" PRIu64 " bytes, should be %" PRIu64, tally.bytes,
					    large->bytes);
		n_good += was_read && tally.bytes == large->bytes;
	}
	if (rc == 0 && n_good > 0)
		cf_pg_verify_report(verify, "large_objects", NULL, true, "%" PRIu64 " of %zu",
				    n_good, manifest->n_large_objects);
	return rc;
}

int cf_pg_verify_data(struct cf_pg_verify *verify, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < verify->manifest->n_tables; i++)
		if (verify->manifest->tables[i].file)
			rc = check_table(verify, &verify->manifest->tables[i], err);
	return rc < 0 ? rc : check_large_objects(verify, err);
}
