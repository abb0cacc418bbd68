/*
 * Foreign keys after a restore. They are not checked while rows are loaded, and a table that is
 * replaced may be one that others refer to: where a key has one side in the restore and the other
 * was on the server before, its rows are looked at.
 */

#include "base/err.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/load.h"
#include "drivers/mysql/sql.h"

#include <stdlib.h>
#include <string.h>

/* A row for each column of a key: its name, table and column, and those it refers to. */
enum {
	KEY_NAME,
	KEY_DATABASE,
	KEY_TABLE,
	KEY_COLUMN,
	KEY_PARENT_DATABASE,
	KEY_PARENT,
	KEY_PARENT_COLUMN,
	KEY_N
};

static const char keys_sql[] =
	"SELECT CONSTRAINT_NAME, TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, REFERENCED_TABLE_SCHEMA, "
	"REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE "
	"WHERE REFERENCED_TABLE_NAME IS NOT NULL AND ";
static const char keys_order[] =
	" ORDER BY TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION";

struct key {
	char *values[KEY_N]; /* of its first column */
	struct cf_buf filled, equal;
};

static void release_key(struct key *key)
{
	for (size_t i = 0; i < KEY_N; i++)
		free(key->values[i]);
	cf_buf_release(&key->filled);
	cf_buf_release(&key->equal);
	*key = (struct key){.filled = CF_BUF_INIT, .equal = CF_BUF_INIT};
}

static bool is_of_key(const struct key *key, const struct cf_mysql_row *row)
{
	for (int i = KEY_NAME; i <= KEY_TABLE; i++)
		if (!key->values[i] || strcmp(key->values[i], row->values[i]) != 0)
			return false;
	return true;
}

static int add_column(struct key *key, const struct cf_mysql_row *row, struct cf_err *err)
{
	const char *and = key->filled.len > 0 ? " AND " : "";
	int rc = 0;

	for (int i = 0; rc == 0 && i < KEY_N && !key->values[i]; i++)
		rc = cf_mysql_copy(row->values[i], &key->values[i], err);
	if (rc == 0)
		rc = cf_mysql_sql(&key->filled, err, "%sc.%n IS NOT NULL", and,
				  row->values[KEY_COLUMN]);
	if (rc == 0)
		rc = cf_mysql_sql(&key->equal, err, "%sp.%n = c.%n", and,
				  row->values[KEY_PARENT_COLUMN], row->values[KEY_COLUMN]);
	return rc;
}

/* What came together from one snapshot held there as well as it does now. */
static bool may_be_broken(const struct cf_mysql_load *load, const struct key *key)
{
	const struct cf_mysql_load_table *child =
		cf_mysql_load_find_table(load, key->values[KEY_DATABASE], key->values[KEY_TABLE]);
	const struct cf_mysql_load_table *parent = cf_mysql_load_find_table(
		load, key->values[KEY_PARENT_DATABASE], key->values[KEY_PARENT]);

	if (child && !child->path)
		return false;
	if (child && parent)
		return parent->from->data_len > 0 && !parent->path;
	return child || parent;
}

static int check_key(struct cf_mysql_load *load, const struct key *key, struct cf_err *err)
{
	char *count = NULL, *const *values = key->values;
	char *label;
	int rc;

	if (!values[KEY_NAME] || !may_be_broken(load, key))
		return cf_ctx_check(load->ctx, err);
	label = cf_mysql_load_label("table", values[KEY_DATABASE], values[KEY_TABLE]);
	rc = label ? cf_mysql_ask_value(load->my, &count, err,
					"SELECT COUNT(*) FROM %n.%n AS c WHERE %s AND NOT EXISTS "
					"(SELECT 1 FROM %n.%n AS p WHERE %s)",
					values[KEY_DATABASE], values[KEY_TABLE],
					(const char *)key->filled.data, values[KEY_PARENT_DATABASE],
					values[KEY_PARENT], (const char *)key->equal.data)
		   : cf_err_nomem(err);
	if (rc == CF_ERR_ACCESS) {
		cf_err_clear(err);
		rc = 0;
		cf_ctx_warn(load->ctx, "restore.foreign_key", label,
			    "foreign key %s of %s was not checked, for this user may not read both "
			    "tables",
			    values[KEY_NAME], label);
	} else if (rc == CF_ERR_NOT_FOUND) {
		/* A parent that is not there was told. */
		cf_err_clear(err);
		rc = 0;
	} else if (rc < 0 && label) {
		cf_err_wrap(err, "foreign key %s of %s", values[KEY_NAME], label);
	} else if (rc == 0 && count && strcmp(count, "0") != 0) {
		bool is_one = !strcmp(count, "1");

		cf_ctx_warn(load->ctx, "restore.foreign_key", label,
			    "foreign key %s does not hold: %s %s of %s %s to nothing in %s.%s",
			    values[KEY_NAME], count, is_one ? "row" : "rows", label,
			    is_one ? "refers" : "refer", values[KEY_PARENT_DATABASE],
			    values[KEY_PARENT]);
	}
	free(count);
	free(label);
	return rc;
}

static int check_keys(struct cf_mysql_load *load, const char *sql, struct cf_err *err)
{
	struct key key = {.filled = CF_BUF_INIT, .equal = CF_BUF_INIT};
	struct cf_mysql_result *result = NULL;
	struct cf_mysql_row row;
	int rc = cf_mysql_query(load->my, sql, &result, err);

	while (rc == 0 && (rc = cf_mysql_fetch(result, &row, err)) > 0) {
		rc = 0;
		if (!is_of_key(&key, &row)) {
			rc = check_key(load, &key, err);
			release_key(&key);
		}
		if (rc == 0)
			rc = add_column(&key, &row, err);
	}
	if (rc == 0)
		rc = check_key(load, &key, err);
	release_key(&key);
	cf_mysql_result_free(result);
	return rc;
}

/* To find those of other databases the server opens every table: only where something was dropped,
 * for what is added breaks none. */
static int check_target(struct cf_mysql_load *load, const struct cf_mysql_load_target *target,
			struct cf_err *err)
{
	bool has_dropped = load->n_drops > 0 || target->is_dropped;
	struct cf_buf sql = CF_BUF_INIT;
	int rc = cf_mysql_sql(&sql, err,
			      load->folds ? "%sTABLE_SCHEMA = %t%s" : "%sTABLE_SCHEMA = %i%s",
			      keys_sql, target->name, keys_order);

	if (rc == 0)
		rc = check_keys(load, (const char *)sql.data, err);
	cf_buf_clear(&sql);
	if (rc == 0 && has_dropped)
		rc = cf_mysql_sql(
			&sql, err,
			load->folds ? "%sREFERENCED_TABLE_SCHEMA = %t AND TABLE_SCHEMA <> %t%s"
				    : "%sREFERENCED_TABLE_SCHEMA = %i AND TABLE_SCHEMA <> %i%s",
			keys_sql, target->name, target->name, keys_order);
	if (rc == 0 && has_dropped)
		rc = check_keys(load, (const char *)sql.data, err);
	cf_buf_release(&sql);
	return rc;
}

int cf_mysql_load_check_keys(struct cf_mysql_load *load, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < load->n_targets; i++)
		rc = check_target(load, &load->targets[i], err);
	return rc;
}
