/* Values of sequences, large objects, and the rows of materialized views. */

#include "base/err.h"
#include "base/tree.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/load.h"
#include "drivers/postgres/manifest.h"
#include "drivers/postgres/sql.h"
#include "drivers/postgres/toc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH	  500
#define PIECE_LEN ((size_t)256 << 10) /* of a large object, sent as twice as many digits */

/* --- sequences --- */

static int append_setval(const struct cf_pg_sequence *sequence, const char *schema,
			 const char *name, struct cf_buf *sql, struct cf_err *err)
{
	struct cf_buf qualified = CF_BUF_INIT;
	int rc = cf_sql_append_qualified(schema, name, &qualified, err);

	if (rc == 0)
		rc = cf_buf_append(&qualified, "", 1, err);
	if (rc == 0)
		rc = cf_buf_append_str(sql, "SELECT pg_catalog.setval(", err);
	if (rc == 0)
		rc = cf_sql_append_literal((const char *)qualified.data, sql, err);
	if (rc == 0)
		rc = cf_buf_printf(sql, err, ", %" PRId64 ", %s);\n", sequence->last_value,
				   sequence->is_called ? "true" : "false");
	cf_buf_release(&qualified);
	return rc;
}

/* One that is there already never goes back: its numbers may have been given to rows elsewhere. */
static int append_only_forward(const struct cf_pg_sequence *sequence, const char *schema,
			       const char *name, struct cf_buf *sql, struct cf_err *err)
{
	struct cf_buf qualified = CF_BUF_INIT;
	int rc = cf_sql_append_qualified(schema, name, &qualified, err);

	/* Instead of the end of setval(). */
	sql->len -= strlen(";\n");
	if (rc == 0)
		rc = cf_buf_append(sql, " FROM ", strlen(" FROM "), err);
	if (rc == 0)
		rc = cf_buf_append(sql, qualified.data, qualified.len, err);
	if (rc == 0)
		rc = cf_buf_append(&qualified, "", 1, err);
	if (rc == 0)
		rc = cf_buf_append_str(sql,
				       " AS s, pg_catalog.pg_sequence AS q WHERE q.seqrelid = ",
				       err);
	if (rc == 0)
		rc = cf_sql_append_literal((const char *)qualified.data, sql, err);
	if (rc == 0)
		rc = cf_buf_printf(
			sql, err,
			"::pg_catalog.regclass AND (pg_catalog.sign(q.seqincrement::pg_catalog.numeric) * (%" PRId64
			"::pg_catalog.numeric - s.last_value) > 0"
			" OR (s.last_value = %" PRId64 " AND %s AND NOT s.is_called));\n",
			sequence->last_value, sequence->last_value,
			sequence->is_called ? "true" : "false");
	cf_buf_release(&qualified);
	return rc;
}

/* A sequence that was kept, because something else than the restored tables needs it, keeps its
 * value. */
static int add_sequence(struct cf_pg_load *load, const struct cf_pg_sequence *sequence, size_t *n,
			struct cf_buf *sql, struct cf_err *err)
{
	const char *schema = sequence->schema, *name = sequence->name;
	size_t entry = cf_pg_graph_relation(load->graph, sequence->oid);
	int rc;

	if (entry == CF_PG_NO_ENTRY ? !load->everything : load->set.marks[entry] == CF_PG_OUT)
		return 0;
	if (entry != CF_PG_NO_ENTRY &&
	    (load->set.marks[entry] == CF_PG_NEEDED || load->kept[entry]))
		return 0;
	if (load->renames.n > 0 && entry != CF_PG_NO_ENTRY)
		cf_pg_load_new_name(load, entry, &schema, &name);
	++*n;
	rc = append_setval(sequence, schema, name, sql, err);
	return rc < 0 || cf_pg_load_wants_schema(load)
		       ? rc
		       : append_only_forward(sequence, schema, name, sql, err);
}

static int run_batch(struct cf_pg_load *load, struct cf_buf *sql, struct cf_err *err)
{
	int rc = sql->len > 0 ? cf_buf_append(sql, "", 1, err) : 0;

	if (rc == 0 && sql->len > 0)
		rc = cf_pg_exec(load->pg, (const char *)sql->data, err);
	cf_buf_clear(sql);
	return rc;
}

static int set_value(struct cf_pg_load *load, const struct cf_pg_sequence *sequence,
		     struct cf_buf *sql, struct cf_err *err)
{
	struct cf_pg_rows *rows = NULL;
	int rc = cf_buf_append(sql, "", 1, err);

	if (rc == 0)
		rc = cf_pg_query(load->pg, (const char *)sql->data, NULL, 0, &rows, err);
	if (rc == 0 && cf_pg_rows_count(rows) == 0)
		cf_ctx_note(load->ctx, "restore.sequence", sequence->name,
			    "sequence %s.%s stays as it is: the snapshot's value %" PRId64
			    " is not further",
			    sequence->schema, sequence->name, sequence->last_value);
	cf_pg_rows_free(rows);
	cf_buf_clear(sql);
	return rc;
}

static int set_alone(struct cf_pg_load *load, const struct cf_pg_sequence *sequence,
		     struct cf_buf *sql, struct cf_err *err)
{
	/* What makes numbers for these rows may be called otherwise there. */
	const struct cf_pg_step step = {.inside = load->single,
					.dispensable = !cf_pg_load_wants_schema(load)};
	struct cf_buf object = CF_BUF_INIT;
	int rc = cf_buf_printf(&object, err, "value of sequence %s.%s%c", sequence->schema,
			       sequence->name, 0);

	if (rc == 0)
		rc = cf_pg_load_begin_step(load, load->pg, &step, err);
	if (rc == 0)
		rc = cf_pg_load_end_step(load, load->pg, &step,
					 set_value(load, sequence, sql, err),
					 (const char *)object.data, err);
	cf_buf_release(&object);
	return rc;
}

int cf_pg_load_sequences(struct cf_pg_load *load, struct cf_err *err)
{
	bool alone = load->options->keep_going || !cf_pg_load_wants_schema(load);
	struct cf_buf sql = CF_BUF_INIT;
	size_t n = 0;
	int rc = 0;

	if (load->manifest->n_sequences > 0)
		cf_pg_load_step(load, 0, "set", "values of sequences");
	for (size_t i = 0; rc == 0 && i < load->manifest->n_sequences; i++) {
		rc = add_sequence(load, &load->manifest->sequences[i], &n, &sql, err);
		if (rc == 0 && alone && sql.len > 0)
			rc = set_alone(load, &load->manifest->sequences[i], &sql, err);
		else if (rc == 0 && !alone && n % BATCH == BATCH - 1)
			rc = run_batch(load, &sql, err);
	}
	if (rc == 0)
		rc = run_batch(load, &sql, err);
	if (rc < 0)
		cf_err_wrap(err, "sequences");
	cf_buf_release(&sql);
	return rc;
}

/* --- large objects --- */

struct object_writer {
	struct cf_pg_load *load;
	uint32_t oid;
	uint64_t off;
	struct cf_buf digits; /* of a piece: \x and two for each byte */
};

static int flush_digits(struct object_writer *writer, struct cf_err *err)
{
	char oid[16], off[24];
	const char *values[3] = {oid, off, NULL};
	struct cf_pg_rows *rows = NULL;
	uint64_t len = writer->digits.len / 2 - 1;
	int rc;

	if (writer->digits.len <= 2)
		return 0;
	rc = cf_buf_append(&writer->digits, "", 1, err);
	if (rc < 0)
		return rc;
	snprintf(oid, sizeof(oid), "%u", writer->oid);
	snprintf(off, sizeof(off), "%" PRIu64, writer->off);
	values[2] = (const char *)writer->digits.data;
	rc = cf_pg_query(writer->load->pg,
			 "SELECT pg_catalog.lo_put($1::pg_catalog.oid, $2::pg_catalog.int8, "
			 "$3::pg_catalog.bytea)",
			 values, 3, &rows, err);
	cf_pg_rows_free(rows);
	writer->off += len;
	cf_buf_clear(&writer->digits);
	return rc < 0 ? rc : cf_buf_append_str(&writer->digits, "\\x", err);
}

static int write_piece(void *user, struct cf_span data, struct cf_err *err)
{
	static const char digits[] = "0123456789abcdef";
	struct object_writer *writer = user;
	int rc = 0;

	while (rc == 0 && data.len > 0) {
		size_t room = PIECE_LEN - (writer->digits.len / 2 - 1);
		size_t n = data.len < room ? data.len : room;
		char *out;

		rc = cf_buf_reserve(&writer->digits, 2 * n, err);
		if (rc < 0)
			break;
		out = (char *)writer->digits.data + writer->digits.len;
		for (size_t i = 0; i < n; i++) {
			*out++ = digits[data.data[i] >> 4];
			*out++ = digits[data.data[i] & 15];
		}
		writer->digits.len += 2 * n;
		data = cf_span_of(data.data + n, data.len - n);
		if (n == room)
			rc = flush_digits(writer, err);
	}
	return rc;
}

static int write_content(struct cf_pg_load *load, const struct cf_pg_large_object *large,
			 struct cf_err *err)
{
	struct object_writer writer = {.load = load, .oid = large->oid};
	struct cf_buf path = CF_BUF_INIT;
	int rc;

	if (!large->file)
		return 0;
	rc = cf_buf_append_str(&writer.digits, "\\x", err);
	if (rc == 0)
		rc = cf_buf_printf(&path, err, "%s%s", load->folder, large->file);
	if (rc == 0)
		rc = load->tree->ops->read(load->tree, (const char *)path.data, 0, UINT64_MAX,
					   write_piece, &writer, err);
	if (rc == 0)
		rc = flush_digits(&writer, err);
	if (rc == 0 && writer.off != large->bytes)
		rc = cf_err_set(err, CF_ERR_DAMAGED,
				"the snapshot has %" PRIu64 " bytes of it and should have %" PRIu64,
				writer.off, large->bytes);
	cf_buf_release(&writer.digits);
	cf_buf_release(&path);
	return rc;
}

static int append_attributes(struct cf_pg_load *load, const struct cf_pg_large_object *large,
			     struct cf_buf *sql, struct cf_err *err)
{
	int rc = cf_buf_printf(sql, err, "SELECT pg_catalog.lo_create(%u);\n", large->oid);

	if (rc == 0 && large->owner && !load->options->no_owner) {
		rc = cf_buf_printf(sql, err, "ALTER LARGE OBJECT %u OWNER TO ", large->oid);
		if (rc == 0)
			rc = cf_sql_append_name(large->owner, sql, err);
		if (rc == 0)
			rc = cf_buf_append_str(sql, ";\n", err);
	}
	if (rc == 0 && large->comment) {
		rc = cf_buf_printf(sql, err, "COMMENT ON LARGE OBJECT %u IS ", large->oid);
		if (rc == 0)
			rc = cf_sql_append_literal(large->comment, sql, err);
		if (rc == 0)
			rc = cf_buf_append_str(sql, ";\n", err);
	}
	if (rc == 0 && large->grants && !load->options->no_privileges)
		rc = cf_buf_append_str(sql, large->grants, err);
	return rc;
}

static int load_object(struct cf_pg_load *load, const struct cf_pg_large_object *large,
		       struct cf_buf *sql, struct cf_err *err)
{
	const struct cf_pg_step step = {.inside = true};
	char object[32];
	int rc = cf_ctx_check(load->ctx, err);

	snprintf(object, sizeof(object), "large object %u", large->oid);
	if (rc == 0)
		rc = cf_pg_load_begin_step(load, load->pg, &step, err);
	if (rc < 0)
		return rc;
	rc = append_attributes(load, large, sql, err);
	if (rc == 0)
		rc = run_batch(load, sql, err);
	if (rc == 0)
		rc = write_content(load, large, err);
	if (rc < 0 && rc != CF_ERR_CANCELED)
		cf_err_wrap(err, "%s", object);
	return cf_pg_load_end_step(load, load->pg, &step, rc, object, err);
}

int cf_pg_load_large_objects(struct cf_pg_load *load, struct cf_err *err)
{
	const struct cf_pg_manifest *manifest = load->manifest;
	struct cf_buf sql = CF_BUF_INIT;
	uint64_t bytes = 0;
	int rc = 0;

	if (!load->everything || manifest->n_large_objects == 0)
		return 0;
	for (size_t i = 0; i < manifest->n_large_objects; i++)
		bytes += manifest->large_objects[i].bytes;
	cf_pg_load_step(load, bytes, "load", "%zu large objects", manifest->n_large_objects);
	rc = load->single ? 0 : cf_pg_exec(load->pg, "BEGIN", err);
	for (size_t i = 0; rc == 0 && i < manifest->n_large_objects; i++) {
		rc = load_object(load, &manifest->large_objects[i], &sql, err);
		/* Each is a lock until the end of its transaction. */
		if (rc == 0 && !load->single && i % BATCH == BATCH - 1)
			rc = cf_pg_exec(load->pg, "COMMIT; BEGIN", err);
	}
	if (rc == 0 && !load->single)
		rc = cf_pg_exec(load->pg, "COMMIT", err);
	cf_buf_release(&sql);
	return rc;
}

/* --- materialized views --- */

static bool is_populated(const struct cf_pg_load *load, uint32_t oid)
{
	for (size_t i = 0; i < load->manifest->n_tables; i++)
		if (load->manifest->tables[i].oid == oid)
			return load->manifest->tables[i].populated;
	return false;
}

static int refresh(struct cf_pg_load *load, const struct cf_pg_toc_entry *entry, struct cf_err *err)
{
	/* Its rows are those of others: what it needs may come later, as roles or a search path do. */
	const struct cf_pg_step step = {.inside = load->single, .dispensable = true};
	struct cf_buf sql = CF_BUF_INIT, object = CF_BUF_INIT;
	const char *schema, *name;
	int rc;

	cf_renames_apply(&load->renames, entry->nspname, entry->tag, &schema, &name);
	cf_pg_load_step(load, 0, "refresh", "materialized view %s.%s", schema, name);
	rc = cf_buf_printf(&object, err, "rows of materialized view %s.%s%c", schema, name, 0);
	if (rc == 0)
		rc = cf_buf_append_str(&sql, "REFRESH MATERIALIZED VIEW ", err);
	if (rc == 0)
		rc = cf_sql_append_qualified(schema, name, &sql, err);
	if (rc == 0)
		rc = cf_buf_append(&sql, "", 1, err);
	if (rc == 0)
		rc = cf_pg_load_begin_step(load, load->pg, &step, err);
	if (rc == 0)
		rc = cf_pg_load_end_step(load, load->pg, &step,
					 cf_pg_exec(load->pg, (const char *)sql.data, err),
					 (const char *)object.data, err);
	if (rc < 0)
		cf_err_wrap(err, "materialized view %s.%s", schema, name);
	cf_buf_release(&object);
	cf_buf_release(&sql);
	return rc;
}

/* In the archive's order: a view that reads another one comes after it. */
int cf_pg_load_refresh(struct cf_pg_load *load, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < load->set.n; i++) {
		size_t index = load->set.list[i];
		const struct cf_pg_toc_entry *entry = &load->toc->entries[index];

		if (strcmp(entry->desc, "MATERIALIZED VIEW") == 0 &&
		    load->set.marks[index] == CF_PG_CHOSEN && is_populated(load, entry->oid))
			rc = refresh(load, entry, err);
	}
	return rc;
}
