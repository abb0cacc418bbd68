#include "drivers/mysql/columns.h"

#include "base/err.h"
#include "drivers/mysql/client.h"
#include "drivers/mysql/manifest.h"
#include "drivers/mysql/sql.h"

#include <stdlib.h>
#include <string.h>

/* How the versions of a row are told apart. */
enum history {
	HISTORY_NONE,
	HISTORY_HIDDEN,	  /* row_start and row_end, shown nowhere */
	HISTORY_EXPLICIT, /* columns of TIMESTAMP(6) */
	HISTORY_LOST	  /* by transaction number, or a server that takes no rows of the past */
};

static bool is_one_of(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (strcmp(name, *names) == 0)
			return true;
	return false;
}

/* Types whose text is none, or would not be taken back as bytes. */
static bool has_packed_text(const char *data_type)
{
	static const char *const types[] = {"uuid", "inet6", "inet4", NULL};

	return is_one_of(data_type, types);
}

enum cf_mysql_form cf_mysql_form_of(const char *data_type, bool has_scale)
{
	static const char *const numbers[] = {"tinyint", "smallint", "mediumint", "int", "bigint",
					      "decimal", "double",   "year",	  NULL};
	static const char *const bytes[] = {"binary",
					    "varbinary",
					    "tinyblob",
					    "blob",
					    "mediumblob",
					    "longblob",
					    "bit",
					    "geometry",
					    "point",
					    "linestring",
					    "polygon",
					    "multipoint",
					    "multilinestring",
					    "multipolygon",
					    "geometrycollection",
					    "geomcollection",
					    "vector",
					    NULL};

	if (is_one_of(data_type, numbers))
		return CF_MYSQL_AS_IS;
	if (is_one_of(data_type, bytes) || has_packed_text(data_type))
		return CF_MYSQL_HEX;
	if (strcmp(data_type, "float") == 0)
		return has_scale ? CF_MYSQL_AS_IS : CF_MYSQL_FLOAT;
	if (strcmp(data_type, "enum") == 0)
		return CF_MYSQL_ENUM;
	/* MySQL's: MariaDB's is a text. */
	if (strcmp(data_type, "json") == 0)
		return CF_MYSQL_UTF8;
	return CF_MYSQL_QUOTED;
}

/* Of enum('a','','it''s'), or set(...). */
static bool has_empty_member(const char *column_type)
{
	const char *at = strchr(column_type, '(');
	bool is_empty = false;

	while (at && at[1] == '\'' && !is_empty) {
		const char *from = at + 2;

		for (at = from; *at && (at[0] != '\'' || at[1] == '\'');)
			at += at[0] == '\'' ? 2 : 1;
		is_empty = at == from;
		at = *at && at[1] == ',' ? at + 1 : NULL;
	}
	return is_empty;
}

/*
 * Two values of a set or an enum may be shown as ''. Of an enum the one that is a member is marked.
 * All of a set are numbers then: a text of digits may be a member, with a plus it is none, and +00
 * is not the +0 of an enum.
 */
static enum cf_mysql_form form_of_members(const char *data_type, const char *column_type,
					  enum cf_mysql_form form)
{
	bool is_enum = strcmp(data_type, "enum") == 0;

	if ((!is_enum && strcmp(data_type, "set") != 0) || !has_empty_member(column_type))
		return form;
	return is_enum ? CF_MYSQL_MARKED_ENUM : CF_MYSQL_AS_IS;
}

static int append_selected(const char *name, const char *data_type, enum cf_mysql_form form,
			   struct cf_buf *select, struct cf_err *err)
{
	if (form == CF_MYSQL_FLOAT)
		return cf_mysql_sql(select, err, "%n*1e0", name);
	if (form == CF_MYSQL_MARKED_ENUM)
		return cf_mysql_sql(select, err, "IF(%n+0=0,'',CONCAT('=',CAST(%n AS BINARY)))",
				    name, name);
	if (form == CF_MYSQL_AS_IS && strcmp(data_type, "set") == 0)
		return cf_mysql_sql(select, err, "CONCAT('+0',%n+0)", name);
	if (has_packed_text(data_type))
		return cf_mysql_sql(select, err, "CAST(%n AS BINARY(%s))", name,
				    strcmp(data_type, "inet4") == 0 ? "4" : "16");
	return cf_mysql_sql(select, err, "%n", name);
}

static int add_column(struct cf_mysql_table *table, struct cf_mysql_columns *columns,
		      const char *name, const char *data_type, const char *column_type,
		      bool has_scale, struct cf_err *err)
{
	enum cf_mysql_form form =
		form_of_members(data_type, column_type, cf_mysql_form_of(data_type, has_scale));
	const char *comma = table->n_columns ? "," : "";
	int rc = cf_mysql_sql(&columns->select, err, "%s", comma);

	columns->forms[table->n_columns] = form;
	if (rc == 0)
		rc = append_selected(name, data_type, form, &columns->select, err);
	if (rc == 0)
		rc = cf_mysql_table_add_column(table, name, form == CF_MYSQL_HEX, err);
	return rc;
}

/* What information_schema tells of a column. */
enum { COLUMN_NAME, COLUMN_TYPE, COLUMN_SCALE, COLUMN_EXTRA, COLUMN_EXPRESSION, COLUMN_FULL_TYPE };

static int ask_columns(struct cf_mysql *my, const char *database, const char *table,
		       struct cf_mysql_result **result_out, struct cf_err *err)
{
	return cf_mysql_ask(my, result_out, err,
			    "SELECT COLUMN_NAME, DATA_TYPE, NUMERIC_SCALE, EXTRA, "
			    "GENERATION_EXPRESSION, COLUMN_TYPE FROM information_schema.COLUMNS "
			    "WHERE TABLE_SCHEMA = %i AND TABLE_NAME = %i ORDER BY ORDINAL_POSITION",
			    database, table);
}

/* "STORED GENERATED", and in old servers "PERSISTENT"; not MySQL's "DEFAULT_GENERATED". */
static bool is_generated(const struct cf_mysql_row *row)
{
	const char *extra = row->values[COLUMN_EXTRA];

	return strstr(extra, "STORED GENERATED") || strstr(extra, "VIRTUAL GENERATED") ||
	       strstr(extra, "PERSISTENT") || strcmp(extra, "VIRTUAL") == 0;
}

static bool is_period_column(const struct cf_mysql_row *row)
{
	const char *expression = row->values[COLUMN_EXPRESSION];

	return expression &&
	       (strcmp(expression, "ROW START") == 0 || strcmp(expression, "ROW END") == 0);
}

static int find_history(struct cf_mysql *my, struct cf_mysql_result *result,
			enum history *history_out, struct cf_err *err)
{
	struct cf_mysql_row row;
	int rc = 0;

	*history_out = HISTORY_HIDDEN;
	while (rc == 0 && (rc = cf_mysql_fetch(result, &row, err)) > 0) {
		rc = 0;
		if (is_period_column(&row) && *history_out != HISTORY_LOST)
			*history_out = strcmp(row.values[COLUMN_TYPE], "timestamp") == 0
					       ? HISTORY_EXPLICIT
					       : HISTORY_LOST;
	}
	if (cf_mysql_version(my) < 101100)
		*history_out = HISTORY_LOST;
	return rc;
}

static int append_columns(struct cf_mysql_result *result, enum history history,
			  struct cf_mysql_table *table, struct cf_mysql_columns *columns,
			  struct cf_err *err)
{
	struct cf_mysql_row row;
	int rc = 0;

	columns->forms = calloc(cf_mysql_n_rows(result) + 2, sizeof(*columns->forms));
	if (!columns->forms)
		return cf_err_nomem(err);
	while (rc == 0 && (rc = cf_mysql_fetch(result, &row, err)) > 0) {
		rc = 0;
		if (!is_generated(&row) || (history == HISTORY_EXPLICIT && is_period_column(&row)))
			rc = add_column(table, columns, row.values[COLUMN_NAME],
					row.values[COLUMN_TYPE], row.values[COLUMN_FULL_TYPE],
					row.values[COLUMN_SCALE] != NULL, err);
	}
	if (rc == 0 && history == HISTORY_HIDDEN)
		rc = add_column(table, columns, "row_start", "timestamp", "", false, err);
	if (rc == 0 && history == HISTORY_HIDDEN)
		rc = add_column(table, columns, "row_end", "timestamp", "", false, err);
	return rc;
}

/*
 * The order of the clustered index is the one that changes least from day to day and loads fastest.
 * USE INDEX () asks for it: else the server may prefer a secondary index that happens to hold all
 * columns. The limit is no limit but it stands above any that the session might have.
 */
static int finish_select(const char *database, const struct cf_mysql_table *table,
			 struct cf_buf *select, struct cf_err *err)
{
	return cf_mysql_sql(select, err, "%s FROM %n.%n%s USE INDEX () LIMIT 18446744073709551615",
			    table->n_columns ? "" : "1", database, table->name,
			    table->has_history ? " FOR SYSTEM_TIME ALL" : "");
}

static int write_insert(const struct cf_mysql_table *table, struct cf_buf *insert,
			struct cf_err *err)
{
	int rc = cf_mysql_sql(insert, err, "INSERT INTO %n (", table->name);

	for (size_t i = 0; rc == 0 && i < table->n_columns; i++)
		rc = cf_mysql_sql(insert, err, "%s%n", i ? "," : "", table->columns[i].name);
	return rc == 0 ? cf_mysql_sql(insert, err, ") VALUES\n") : rc;
}

int cf_mysql_columns_read(struct cf_mysql *my, const char *database, bool is_versioned,
			  struct cf_mysql_table *table, struct cf_mysql_columns *columns,
			  struct cf_err *err)
{
	struct cf_mysql_result *result = NULL;
	enum history history = HISTORY_NONE;
	int rc = 0;

	*columns = (struct cf_mysql_columns){.forms = NULL};
	if (is_versioned) {
		rc = ask_columns(my, database, table->name, &result, err);
		if (rc == 0)
			rc = find_history(my, result, &history, err);
		cf_mysql_result_free(result);
		result = NULL;
	}
	if (rc == 0)
		rc = cf_mysql_sql(&columns->select, err, "SELECT /*!40001 SQL_NO_CACHE */ ");
	if (rc == 0)
		rc = ask_columns(my, database, table->name, &result, err);
	if (rc == 0)
		rc = append_columns(result, history, table, columns, err);
	cf_mysql_result_free(result);
	columns->loses_history = history == HISTORY_LOST;
	table->has_history = history == HISTORY_HIDDEN || history == HISTORY_EXPLICIT;
	if (rc == 0)
		rc = finish_select(database, table, &columns->select, err);
	return rc == 0 ? write_insert(table, &columns->insert, err) : rc;
}

void cf_mysql_columns_release(struct cf_mysql_columns *columns)
{
	free(columns->forms);
	cf_buf_release(&columns->select);
	cf_buf_release(&columns->insert);
	*columns = (struct cf_mysql_columns){.forms = NULL};
}
