/* Large objects: a file for each, what makes them with owner, comment and rights in large-objects.sql. */

#include "base/ctx.h"
#include "base/err.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/dump.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PIECE_LEN = 4 << 20,  /* of a long object at a time */
	FIRST_LEN = 64 << 10, /* of several objects at once: most are short */
	AT_ONCE = 64
};

/*
 * In the order of names, so that the folder can be told to be sorted and takes no memory. The rights are those the access list
 * says, in its order, given by the owner: who gave them otherwise is lost, as in pg_dump's archives without SET SESSION AUTHORIZATION.
 */
static const char objects_sql[] =
	"SELECT o.oid, pg_get_userbyid(o.lomowner), obj_description(o.oid, 'pg_largeobject'),"
	" CASE WHEN o.lomacl IS NOT NULL THEN"
	"   format('REVOKE ALL ON LARGE OBJECT %s FROM PUBLIC, %I;', o.oid, pg_get_userbyid(o.lomowner))"
	"   || coalesce((SELECT string_agg(format(E'\\nGRANT %s ON LARGE OBJECT %s TO %s%s;', x.privilege_type, o.oid,"
	"     CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END,"
	"     CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), ''"
	"     ORDER BY x.place) FROM aclexplode(o.lomacl) WITH ORDINALITY"
	"     AS x(grantor, grantee, privilege_type, is_grantable, place)), '')"
	" END, quote_ident(pg_get_userbyid(o.lomowner)),"
	" quote_literal(obj_description(o.oid, 'pg_largeobject'))"
	" FROM pg_largeobject_metadata AS o ORDER BY o.oid::text COLLATE \"C\"";

int cf_pg_objects_list(struct cf_pg_database *database, struct cf_err *err)
{
	struct cf_pg_manifest *manifest = &database->manifest;
	size_t n;
	char *len = NULL;
	int rc;

	cf_pg_rows_free(database->objects);
	database->objects = NULL;
	rc = cf_pg_query(database->leader, objects_sql, NULL, 0, &database->objects, err);
	if (rc == 0)
		rc = cf_pg_query_text(database->leader, "SELECT pg_table_size('pg_largeobject')", NULL, 0, &len, err);
	if (rc < 0)
		return rc;
	database->objects_len = len ? strtoull(len, NULL, 10) : 0;
	free(len);
	n = cf_pg_rows_count(database->objects);
	manifest->large_objects = calloc(n + 1, sizeof(*manifest->large_objects));
	if (!manifest->large_objects)
		return cf_err_nomem(err);
	for (size_t i = 0; i < n; i++) {
		char *file = NULL;

		if (asprintf(&file, "large-objects/%s", cf_pg_value(database->objects, i, 0)) < 0)
			return cf_err_nomem(err);
		manifest->large_objects[i] = (struct cf_pg_large_object){
			.oid = (uint32_t)cf_pg_value_number(database->objects, i, 0),
			.owner = cf_pg_value(database->objects, i, 1),
			.comment = cf_pg_value(database->objects, i, 2),
			.grants = cf_pg_value(database->objects, i, 3),
			.file = file};
		manifest->n_large_objects = i + 1;
	}
	return 0;
}

static int append_script(const struct cf_pg_database *database, size_t i, struct cf_buf *out, struct cf_err *err)
{
	const struct cf_pg_large_object *object = &database->manifest.large_objects[i];
	int rc = cf_buf_printf(out, err,
			       "SELECT pg_catalog.lo_create('%" PRIu32 "');\nALTER LARGE OBJECT %" PRIu32 " OWNER TO ",
			       object->oid, object->oid);

	if (rc == 0)
		rc = cf_buf_append_str(out, cf_pg_value(database->objects, i, 4), err);
	if (rc == 0)
		rc = cf_buf_append_str(out, ";\n", err);
	if (rc == 0 && object->comment)
		rc = cf_buf_printf(out, err, "COMMENT ON LARGE OBJECT %" PRIu32 " IS ", object->oid);
	if (rc == 0 && object->comment)
		rc = cf_buf_append_str(out, cf_pg_value(database->objects, i, 5), err);
	if (rc == 0 && object->comment)
		rc = cf_buf_append_str(out, ";\n", err);
	if (rc == 0 && object->grants)
		rc = cf_buf_append_str(out, object->grants, err);
	return rc == 0 && object->grants ? cf_buf_append_str(out, "\n", err) : rc;
}

static int put_script(struct cf_pg_database *database, struct cf_err *err)
{
	struct cf_pg_dump *dump = database->dump;
	const struct cf_sink_ops *ops = dump->sink->ops;
	struct cf_entry entry = cf_pg_entry(dump, CF_ENTRY_FILE, "large-objects.sql");
	struct cf_profile profile = {.kind = CF_PROFILE_TEXT};
	struct cf_buf piece = CF_BUF_INIT;
	struct cf_file *file = NULL;
	int rc = ops->file_begin(dump->sink, database->dir, &entry, &profile, &file, err);

	if (rc < 0 || !file)
		return rc;
	rc = cf_buf_printf(&piece, err, "SET client_encoding = '%s';\n", database->manifest.text_encoding);
	for (size_t i = 0; rc == 0 && i < database->manifest.n_large_objects; i++) {
		rc = append_script(database, i, &piece, err);
		if (rc == 0 && (piece.len >= FIRST_LEN || i + 1 == database->manifest.n_large_objects)) {
			rc = ops->file_write(dump->sink, file, cf_buf_span(&piece), err);
			cf_buf_clear(&piece);
		}
	}
	cf_buf_release(&piece);
	if (rc == 0)
		return ops->file_end(dump->sink, file, NULL, err);
	ops->file_abort(dump->sink, file);
	return rc;
}

/* Where the contents go. */
struct content {
	struct cf_pg_database *database;
	struct cf_pg *worker;
	struct cf_dir *dir;
};

/* What is behind the first piece. */
static int write_rest(struct content *content, struct cf_pg_large_object *object, struct cf_file *file,
		      struct cf_err *err)
{
	struct cf_pg_dump *dump = content->database->dump;
	size_t len = PIECE_LEN;
	int rc = 0;

	while (rc == 0 && len == PIECE_LEN) {
		char oid[16], off[24], want[16];
		const char *const values[] = {oid, off, want};
		struct cf_pg_rows *rows = NULL;

		snprintf(oid, sizeof(oid), "%" PRIu32, object->oid);
		snprintf(off, sizeof(off), "%" PRIu64, object->bytes);
		snprintf(want, sizeof(want), "%d", PIECE_LEN);
		rc = cf_pg_query_binary(content->worker, "SELECT lo_get($1::oid, $2::bigint, $3::integer)", values,
					3, &rows, err);
		if (rc < 0)
			break;
		len = cf_pg_value_len(rows, 0, 0);
		if (len > 0)
			rc = dump->sink->ops->file_write(dump->sink, file,
							 cf_span_of(cf_pg_value(rows, 0, 0), len), err);
		object->bytes += len;
		cf_pg_rows_free(rows);
	}
	return rc;
}

static int put_object(struct content *content, struct cf_pg_large_object *object, struct cf_span first,
		      struct cf_err *err)
{
	struct cf_pg_dump *dump = content->database->dump;
	const struct cf_sink_ops *ops = dump->sink->ops;
	struct cf_entry entry = cf_pg_entry(dump, CF_ENTRY_FILE, strchr(object->file, '/') + 1);
	struct cf_file *file = NULL;
	int rc = ops->file_begin(dump->sink, content->dir, &entry, NULL, &file, err);

	if (rc < 0 || !file)
		return rc;
	object->bytes = first.len;
	if (first.len > 0)
		rc = ops->file_write(dump->sink, file, first, err);
	if (rc == 0 && first.len == FIRST_LEN)
		rc = write_rest(content, object, file, err);
	if (rc == 0)
		return ops->file_end(dump->sink, file, NULL, err);
	ops->file_abort(dump->sink, file);
	return rc;
}

/* Many a large object is small: they come several in one answer. */
static int put_some(struct content *content, struct cf_pg_large_object *objects, size_t n, struct cf_err *err)
{
	static const char sql[] = "SELECT lo_get(o.oid, 0, $2::integer) FROM unnest($1::oid[])"
				  " WITH ORDINALITY AS o(oid, place) ORDER BY o.place";
	struct cf_buf oids = CF_BUF_INIT;
	struct cf_pg_rows *rows = NULL;
	char want[16];
	const char *values[] = {NULL, want};
	int rc = cf_buf_append_str(&oids, "{", err);

	snprintf(want, sizeof(want), "%d", FIRST_LEN);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = cf_buf_printf(&oids, err, "%s%" PRIu32, i ? "," : "", objects[i].oid);
	if (rc == 0)
		rc = cf_buf_append(&oids, "}", 2, err);
	values[0] = (const char *)oids.data;
	if (rc == 0)
		rc = cf_pg_query_binary(content->worker, sql, values, 2, &rows, err);
	if (rc == CF_ERR_ACCESS)
		cf_err_wrap(err,
			    "user %s may not read all large objects (a superuser can, or a role for which one sets "
			    "lo_compat_privileges: ALTER ROLE ... SET lo_compat_privileges = on)",
			    cf_pg_user(content->worker));
	if (rc == 0 && cf_pg_rows_count(rows) != n)
		rc = cf_err_set(err, CF_ERR_FAILED, "the server gave %zu of %zu large objects",
				cf_pg_rows_count(rows), n);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = put_object(content, &objects[i],
				cf_span_of(cf_pg_value(rows, i, 0), cf_pg_value_len(rows, i, 0)), err);
	cf_pg_rows_free(rows);
	cf_buf_release(&oids);
	return rc;
}

int cf_pg_dump_objects(struct cf_pg_database *database, struct cf_pg *worker, struct cf_err *err)
{
	struct cf_pg_dump *dump = database->dump;
	const struct cf_sink_ops *ops = dump->sink->ops;
	struct cf_pg_manifest *manifest = &database->manifest;
	struct cf_entry entry = cf_pg_entry(dump, CF_ENTRY_DIR, "large-objects");
	struct content content = {.database = database, .worker = worker};
	int rc = put_script(database, err);

	if (rc == 0)
		rc = ops->dir_begin(dump->sink, database->dir, &entry, CF_DIR_SORTED, &content.dir, err);
	for (size_t i = 0; rc == 0 && i < manifest->n_large_objects; i += AT_ONCE) {
		size_t left = manifest->n_large_objects - i;

		rc = cf_ctx_check(dump->ctx, err);
		if (rc == 0)
			rc = put_some(&content, &manifest->large_objects[i], left < AT_ONCE ? left : AT_ONCE, err);
	}
	return rc == 0 ? ops->dir_end(dump->sink, content.dir, NULL, err) : rc;
}
