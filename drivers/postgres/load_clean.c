/*
 * Dropping what is in the way, in one transaction, so that a refusal leaves the target as it was.
 *
 * Everything: each entry's own DROP in the reverse of the archive's order, with IF EXISTS where
 * pg_restore --if-exists puts it. Chosen tables: views one by one, and one DROP TABLE for all
 * tables, because foreign keys may link them. That order is not always right: the archive has a
 * view that groups by a primary key before the key, and the target may have grown otherwise. So what
 * the server refuses, because something else depends on it, is tried again after the others. What
 * depends on it from outside (views, foreign keys of other tables) is not dropped: in the end the
 * server's refusal names it.
 */

#include "base/err.h"
#include "drivers/postgres/client.h"
#include "drivers/postgres/load.h"
#include "drivers/postgres/manifest.h"
#include "drivers/postgres/sql.h"
#include "drivers/postgres/toc.h"

#include <stdlib.h>
#include <string.h>

/* sql with IF EXISTS behind what begins with prefix, or nothing when it begins otherwise. */
static int append_if_exists(const char *sql, const char *prefix, struct cf_buf *out,
			    struct cf_err *err)
{
	size_t len = strlen(prefix);

	if (strncmp(sql, prefix, len) != 0)
		return 0;
	return cf_buf_printf(out, err, "%s IF EXISTS%s", prefix, sql + len);
}

static int append_alter(const char *sql, struct cf_buf *out, struct cf_err *err)
{
	static const char alter[] = "ALTER TABLE", drop[] = " DROP CONSTRAINT ";
	const char *mark = strstr(sql, drop);

	if (!mark)
		return append_if_exists(sql, alter, out, err);
	return cf_buf_printf(out, err, "ALTER TABLE IF EXISTS%.*s DROP CONSTRAINT IF EXISTS %s",
			     (int)((size_t)(mark - sql) - strlen(alter)), sql + strlen(alter),
			     mark + strlen(drop));
}

static int append_drop(const struct cf_pg_toc_entry *entry, struct cf_buf *out, struct cf_err *err)
{
	const char *sql = entry->drop_stmt;
	char prefix[64];

	if (!sql || !sql[0])
		return 0;
	if (strncmp(sql, "ALTER TABLE ", strlen("ALTER TABLE ")) == 0)
		return append_alter(sql, out, err);
	if (strlen(entry->desc) > sizeof(prefix) - sizeof("DROP "))
		return 0;
	strcpy(prefix, "DROP ");
	strcat(prefix, entry->desc);
	return append_if_exists(sql, prefix, out, err);
}

static bool is_index(const struct cf_pg_toc_entry *entry)
{
	return strcmp(entry->desc, "INDEX") == 0 || strcmp(entry->desc, "CONSTRAINT") == 0;
}

/* Of a partition, as a part of its parent's index: it goes with that one, and not before. */
static bool is_part_of_index(const struct cf_pg_load *load, const struct cf_pg_toc_entry *entry)
{
	for (size_t i = 0; is_index(entry) && i < entry->n_deps; i++) {
		size_t dep = cf_pg_graph_entry(load->graph, entry->deps[i]);

		if (dep != CF_PG_NO_ENTRY && is_index(&load->toc->entries[dep]))
			return true;
	}
	return false;
}

/* Statements, each ended by NUL; those that are done are emptied. */
struct drops {
	struct cf_buf sql;
	size_t *begins;
	size_t n, capacity;
};

static void release_drops(struct drops *drops)
{
	cf_buf_release(&drops->sql);
	free(drops->begins);
}

static char *statement(const struct drops *drops, size_t i)
{
	return (char *)drops->sql.data + drops->begins[i];
}

/* What was appended to drops->sql since the last one, if anything. */
static int end_statement(struct drops *drops, size_t begin, struct cf_err *err)
{
	if (drops->sql.len == begin)
		return 0;
	if (drops->n == drops->capacity) {
		size_t capacity = drops->capacity ? 2 * drops->capacity : 64;
		size_t *begins = realloc(drops->begins, capacity * sizeof(*begins));

		if (!begins)
			return cf_err_nomem(err);
		drops->begins = begins;
		drops->capacity = capacity;
	}
	drops->begins[drops->n++] = begin;
	return cf_buf_append(&drops->sql, "", 1, err);
}

static int list_entries(struct cf_pg_load *load, struct drops *drops, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = load->set.n; rc == 0 && i-- > 0;) {
		const struct cf_pg_toc_entry *entry = &load->toc->entries[load->set.list[i]];
		size_t begin = drops->sql.len;

		if (is_part_of_index(load, entry))
			continue;
		rc = append_drop(entry, &drops->sql, err);
		if (rc == 0)
			rc = end_statement(drops, begin, err);
	}
	return rc;
}

/* The object is not there: for what belongs to a table there is no IF EXISTS when the table is
 * another one of that name. */
static bool is_absent(const char *sqlstate)
{
	static const char *const states[] = {"42703", "42704", "42P01", "42883", "3F000"};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(sqlstate, states[i]) == 0)
			return true;
	return false;
}

/* Something else needs it. */
static bool is_needed(const char *sqlstate)
{
	return strcmp(sqlstate, "2BP01") == 0;
}

/* *refused_out: the server's error is then in refusal. */
static int try_drop(struct cf_pg_load *load, const char *sql, bool *refused_out,
		    struct cf_err *refusal, struct cf_err *err)
{
	int rc = cf_pg_exec(load->pg, "SAVEPOINT coffer", err);

	*refused_out = false;
	if (rc < 0)
		return rc;
	rc = cf_pg_exec(load->pg, sql, refusal);
	if (rc < 0) {
		*refused_out = is_needed(cf_pg_sqlstate(load->pg));
		if (!*refused_out && !is_absent(cf_pg_sqlstate(load->pg))) {
			if (err)
				*err = *refusal;
			return rc;
		}
		rc = cf_pg_exec(load->pg, "ROLLBACK TO SAVEPOINT coffer", err);
	}
	return rc < 0 ? rc : cf_pg_exec(load->pg, "RELEASE SAVEPOINT coffer", err);
}

/* *n_left_out: those that were refused. The first one's error is in refusal. */
static int drop_round(struct cf_pg_load *load, struct drops *drops, size_t *n_left_out,
		      struct cf_err *refusal, struct cf_err *err)
{
	int rc = 0;

	*n_left_out = 0;
	for (size_t i = 0; rc == 0 && i < drops->n; i++) {
		struct cf_err answer = CF_ERR_INIT;
		bool refused;

		if (!statement(drops, i)[0])
			continue;
		rc = try_drop(load, statement(drops, i), &refused, &answer, err);
		if (refused && (*n_left_out)++ == 0)
			*refusal = answer;
		if (!refused)
			statement(drops, i)[0] = 0;
	}
	return rc;
}

/* Within a transaction. */
static int drop_in_rounds(struct cf_pg_load *load, struct drops *drops, struct cf_err *err)
{
	struct cf_err refusal = CF_ERR_INIT;
	size_t n_left = drops->n, n_before;
	int rc;

	do {
		n_before = n_left;
		rc = drop_round(load, drops, &n_left, &refusal, err);
	} while (rc == 0 && n_left > 0 && n_left < n_before);
	if (rc < 0 || n_left == 0)
		return rc;
	if (err)
		*err = refusal;
	return refusal.code;
}

static int drop_one_by_one(struct cf_pg_load *load, struct drops *drops, struct cf_err *err)
{
	int rc = cf_pg_exec(load->pg, "BEGIN", err);

	if (rc == 0)
		rc = drop_in_rounds(load, drops, err);
	return rc < 0 ? rc : cf_pg_exec(load->pg, "COMMIT", err);
}

/* All at once, which is one transaction by itself; if that does not fit what is there, one by one.
 */
static int drop_everything(struct cf_pg_load *load, struct drops *drops, struct cf_err *err)
{
	struct cf_buf sql = CF_BUF_INIT;
	int rc = list_entries(load, drops, err);

	for (size_t i = 0; rc == 0 && i < drops->n; i++)
		rc = cf_buf_append_str(&sql, statement(drops, i), err);
	if (rc == 0)
		rc = cf_buf_append(&sql, "", 1, err);
	if (rc == 0) {
		rc = cf_pg_exec(load->pg, (const char *)sql.data, err);
		if (rc < 0 && (is_absent(cf_pg_sqlstate(load->pg)) ||
			       is_needed(cf_pg_sqlstate(load->pg)))) {
			cf_err_clear(err);
			rc = drop_one_by_one(load, drops, err);
		}
	}
	cf_buf_release(&sql);
	return rc;
}

static const char *kind_of(const struct cf_pg_table *table)
{
	switch (table->kind) {
	case 'v':
		return "VIEW";
	case 'm':
		return "MATERIALIZED VIEW";
	case 'f':
		return "FOREIGN TABLE";
	default:
		return "TABLE";
	}
}

static bool is_chosen(const struct cf_pg_load *load, const struct cf_pg_table *table)
{
	size_t index = cf_pg_graph_relation(load->graph, table->oid);

	return index != CF_PG_NO_ENTRY && load->set.marks[index] == CF_PG_CHOSEN;
}

/* DROP of all chosen relations of one kind, at once or one by one. */
static int list_kind(struct cf_pg_load *load, const char *kind, bool at_once, struct drops *drops,
		     struct cf_err *err)
{
	size_t begin = drops->sql.len;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < load->manifest->n_tables; i++) {
		const struct cf_pg_table *table = &load->manifest->tables[i];
		const char *schema, *name;

		if (!is_chosen(load, table) || strcmp(kind_of(table), kind) != 0)
			continue;
		if (!at_once) {
			rc = end_statement(drops, begin, err);
			begin = drops->sql.len;
		}
		cf_renames_apply(&load->renames, table->schema, table->name, &schema, &name);
		if (rc == 0)
			rc = drops->sql.len == begin
				     ? cf_buf_printf(&drops->sql, err, "DROP %s IF EXISTS ", kind)
				     : cf_buf_append_str(&drops->sql, ", ", err);
		if (rc == 0)
			rc = cf_sql_append_qualified(schema, name, &drops->sql, err);
	}
	return rc < 0 ? rc : end_statement(drops, begin, err);
}

static int drop_chosen(struct cf_pg_load *load, struct drops *drops, struct cf_err *err)
{
	int rc = list_kind(load, "VIEW", false, drops, err);

	if (rc == 0)
		rc = list_kind(load, "MATERIALIZED VIEW", false, drops, err);
	if (rc == 0)
		rc = list_kind(load, "FOREIGN TABLE", true, drops, err);
	if (rc == 0)
		rc = list_kind(load, "TABLE", true, drops, err);
	return rc < 0 ? rc : drop_in_rounds(load, drops, err);
}

static int drop_large_objects(struct cf_pg_load *load, struct cf_buf *sql, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < load->manifest->n_large_objects; i++)
		rc = cf_buf_printf(sql, err,
				   "SELECT pg_catalog.lo_unlink(oid) FROM "
				   "pg_catalog.pg_largeobject_metadata WHERE oid = %u;\n",
				   load->manifest->large_objects[i].oid);
	return rc;
}

int cf_pg_load_clean(struct cf_pg_load *load, struct cf_err *err)
{
	struct cf_buf sql = CF_BUF_INIT;
	struct drops drops = {0};
	int rc;

	cf_pg_load_step(load, 0, "drop", "%s",
			load->by_archive ? "what is in the way" : "the tables in the way");
	rc = load->by_archive ? drop_everything(load, &drops, err) : drop_chosen(load, &drops, err);
	if (rc == 0 && load->everything && cf_pg_load_wants_data(load))
		rc = drop_large_objects(load, &sql, err);
	if (rc == 0 && sql.len > 0)
		rc = cf_buf_append(&sql, "", 1, err);
	if (rc == 0 && sql.len > 0)
		rc = cf_pg_exec(load->pg, (const char *)sql.data, err);
	if (rc < 0)
		cf_err_wrap(err, "cannot drop what is in the way");
	cf_buf_release(&sql);
	release_drops(&drops);
	return rc;
}
